//! Which engine makes which fault.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tracer_core::report::fault::FaultKind;
use tracer_ebpf::{Direction, FaultSettings, MAX_PORTS};

use crate::inject::{BitRate, Correlation, Directions, FaultSpec, Faults, Share};
use crate::kernel::tc::Netem;

/// How many packets may wait in netem: more than come in ten seconds of a busy
/// 1 Gbit/s link, so that nothing is lost that was to be late.
const DEEP_QUEUE: u32 = 1_000_000;
/// In front of a slow link, what routers have and `tc` takes by default.
const LINK_QUEUE: u32 = 1000;

/// What does something to packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// The kernel's queueing discipline for faults.
    Netem,
    /// A program of ours.
    Bpf,
}

/// What the user says of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum EngineChoice {
    /// For each fault the one that counts its hits
    #[default]
    Auto,
    /// The kernel's queueing discipline for faults
    Netem,
    /// A program of tracer's own
    Bpf,
}

impl Engine {
    /// As typed and as reported.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Netem => "netem",
            Self::Bpf => "bpf",
        }
    }

    /// Those that can make a fault, the one that is taken by default
    /// first: our own counts what it does.
    pub(crate) const fn of(kind: FaultKind) -> &'static [Self] {
        match kind {
            FaultKind::Corrupt | FaultKind::Loss | FaultKind::Partition => {
                &[Self::Bpf, Self::Netem]
            }
            FaultKind::Delay | FaultKind::Duplicate | FaultKind::Reorder | FaultKind::Rate => {
                &[Self::Netem]
            }
        }
    }

    /// Whether it is known to hit the share that was asked for: netem mixes each
    /// random number with the one before where there is a correlation, after which
    /// they are not uniform any more, except for loss, which we have it draw
    /// otherwise ([`Share::loss`]).
    pub(crate) fn keeps_to(self, kind: FaultKind, share: Share) -> bool {
        self == Self::Bpf || share.correlation.is_none() || kind == FaultKind::Loss
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Why no engine can do it. A mistake on the command line: exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AssignmentError {
    #[error("--engine {engine} cannot make {kind}; {} can", others.join(" or "))]
    Engine {
        engine: Engine,
        kind: &'static str,
        others: Vec<&'static str>,
    },
    /// netem sees what leaves.
    #[error(
        "{kind} is made by netem, which works on what leaves: leave out --direction {direction} and make the other way's fault on the peer"
    )]
    OnlyOut {
        kind: &'static str,
        direction: Directions,
    },
    /// What arrives may count as verified already.
    #[error(
        "corrupt can only be made on what leaves: what arrives may have been verified by the device, and would be taken for good; make it on the peer, with --direction out"
    )]
    CorruptOnArrival,
}

/// Each fault with its engine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Assignment {
    entries: Vec<(FaultSpec, Engine)>,
    direction: Directions,
}

/// What the interface must not do by itself meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Compute checksums: it would repair them.
    pub no_checksums: bool,
    /// Cut packets into segments: all of them would share one lot.
    pub no_segmentation: bool,
    /// Put arriving segments together: they would share one, too.
    pub no_coalescing: bool,
}

impl Assignment {
    /// Gives each fault its engine. Without a direction, a partition cuts both
    /// directions and everything else is done to what leaves.
    pub(crate) fn new(
        faults: &Faults,
        choice: EngineChoice,
        direction: Option<Directions>,
    ) -> Result<Self, AssignmentError> {
        let entries = faults
            .iter()
            .map(|fault| Ok((*fault, engine(fault.kind(), choice)?)))
            .collect::<Result<Vec<_>, AssignmentError>>()?;
        let only_out = |engine| engine == Engine::Netem;
        let direction = direction.unwrap_or(
            if faults.is_partition() && !entries.iter().any(|(_, engine)| only_out(*engine)) {
                Directions::Both
            } else {
                Directions::Out
            },
        );
        if direction.has(Direction::Ingress) {
            for (fault, engine) in &entries {
                let kind = fault.kind();
                if only_out(*engine) {
                    return Err(AssignmentError::OnlyOut {
                        kind: kind.name(),
                        direction,
                    });
                }
                if kind == FaultKind::Corrupt {
                    return Err(AssignmentError::CorruptOnArrival);
                }
            }
        }
        Ok(Self { entries, direction })
    }

    /// Each fault with its engine, in the order in which they were given.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (FaultSpec, Engine)> {
        self.entries.iter().copied()
    }

    /// Which direction.
    pub(crate) const fn direction(&self) -> Directions {
        self.direction
    }

    /// Whether a queueing discipline is needed.
    pub(crate) fn uses_netem(&self) -> bool {
        self.made_by(Engine::Netem).next().is_some()
    }

    /// The faults that an engine makes.
    pub(crate) fn made_by(&self, engine: Engine) -> impl Iterator<Item = FaultSpec> {
        self.entries()
            .filter(move |(_, its)| *its == engine)
            .map(|(fault, _)| fault)
    }

    fn kinds(&self) -> impl Iterator<Item = FaultKind> {
        self.entries.iter().map(|(fault, _)| fault.kind())
    }

    /// Whether this kind is made by this engine.
    fn makes(&self, engine: Engine, kind: FaultKind) -> bool {
        self.made_by(engine).any(|fault| fault.kind() == kind)
    }

    /// The settings of the program. `class` is that of a queueing discipline for what
    /// netem does, `mark` the number by which duplicates are known.
    pub(crate) fn settings(
        &self,
        ports: &[u16],
        seed: u64,
        class: u16,
        mark: u16,
    ) -> FaultSettings {
        let mut settings = FaultSettings {
            seed,
            // At most MAX_PORTS, checked before.
            port_count: ports.len().min(MAX_PORTS) as u32,
            ..FaultSettings::default()
        };
        for (to, from) in settings.ports.iter_mut().zip(ports) {
            *to = *from;
        }
        for fault in self.made_by(Engine::Bpf) {
            let Some(share) = fault.share() else { continue };
            match fault.kind() {
                FaultKind::Corrupt => settings.corrupt = share.lot(),
                _ => settings.loss = share.lot(),
            }
        }
        if self.uses_netem() {
            settings.class = class.into();
        }
        if self.makes(Engine::Netem, FaultKind::Duplicate) {
            settings.mark = mark.into();
        }
        let only_corrupt = self.kinds().all(|kind| kind == FaultKind::Corrupt);
        // netem would corrupt what carries no checksum, too.
        if only_corrupt || self.makes(Engine::Netem, FaultKind::Corrupt) {
            settings.tcp_only = 1;
        }
        settings
    }

    /// The settings of netem; [`None`] if nothing is left to it.
    pub(crate) fn netem(&self, seed: Option<u64>) -> Option<Netem> {
        if !self.uses_netem() {
            return None;
        }
        let mut netem = Netem {
            limit: DEEP_QUEUE,
            seed,
            ..Netem::default()
        };
        for fault in self.made_by(Engine::Netem) {
            match fault {
                FaultSpec::Corrupt(share) => netem.corrupt = Some(share.netem()),
                FaultSpec::Loss(share) => netem.loss = Some(share.loss()),
                FaultSpec::Partition => netem.loss = Some(Share::ALL.loss()),
                FaultSpec::Duplicate(share) => netem.duplicate = Some(share.netem()),
                FaultSpec::Reorder(share) => netem.reorder = Some(share.netem()),
                FaultSpec::Rate(rate) => {
                    netem.rate = Some(BitRate::bytes(rate));
                    netem.limit = LINK_QUEUE;
                }
                FaultSpec::Delay(delay) => {
                    netem.delay = delay.mean;
                    netem.jitter = delay.jitter;
                    netem.distribution = delay.distribution;
                    let correlation = delay.correlation.map(Correlation::probability);
                    netem.delay_correlation = correlation.unwrap_or_default();
                }
            }
        }
        Some(netem)
    }

    /// What the interface must not do meanwhile.
    pub(crate) fn needs(&self) -> Needs {
        // A share of all is a share of everything, however it is cut.
        let mut shares = self.entries.iter().filter_map(|(fault, _)| fault.share());
        let shares = shares.any(|share| share.percent.get() < 100.0);
        let corrupts = self.kinds().any(|kind| kind == FaultKind::Corrupt);
        Needs {
            no_checksums: corrupts,
            no_segmentation: corrupts || (shares && self.direction.has(Direction::Egress)),
            no_coalescing: shares && self.direction.has(Direction::Ingress),
        }
    }
}

fn engine(kind: FaultKind, choice: EngineChoice) -> Result<Engine, AssignmentError> {
    let able = Engine::of(kind);
    let asked = match choice {
        EngineChoice::Auto => return Ok(*able.first().unwrap_or(&Engine::Netem)),
        EngineChoice::Netem => Engine::Netem,
        EngineChoice::Bpf => Engine::Bpf,
    };
    if able.contains(&asked) {
        return Ok(asked);
    }
    Err(AssignmentError::Engine {
        engine: asked,
        kind: kind.name(),
        others: able.iter().map(|engine| engine.name()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assign(
        faults: &[&str],
        choice: EngineChoice,
        direction: Option<Directions>,
    ) -> Result<Assignment, String> {
        let faults = faults.iter().map(|text| text.parse().unwrap()).collect();
        Assignment::new(&Faults::new(faults).unwrap(), choice, direction)
            .map_err(|error| error.to_string())
    }

    fn engines(assignment: &Assignment) -> Vec<&'static str> {
        assignment
            .entries()
            .map(|(_, engine)| engine.name())
            .collect()
    }

    #[test]
    fn each_fault_goes_to_the_engine_that_counts_it() {
        let assignment = assign(
            &["loss=1%", "delay=10ms", "corrupt=2%"],
            EngineChoice::Auto,
            None,
        )
        .unwrap();
        assert_eq!(engines(&assignment), ["bpf", "netem", "bpf"]);
        assert_eq!(assignment.direction(), Directions::Out);
        let settings = assignment.settings(&[5432], 0, 4, 7);
        assert_eq!(
            (settings.class, settings.mark, settings.tcp_only),
            (4, 0, 0)
        );
        assert!(settings.loss.threshold > 0 && settings.corrupt.threshold > 0);
        let netem = assignment.netem(None).unwrap();
        assert_eq!((netem.loss, netem.corrupt), (None, None));
        assert_eq!(netem.delay.as_millis(), 10);
    }

    #[test]
    fn asked_for_netem_makes_all() {
        let assignment = assign(
            &["loss=1%", "duplicate=2%"],
            EngineChoice::Netem,
            Some(Directions::Out),
        )
        .unwrap();
        assert_eq!(engines(&assignment), ["netem", "netem"]);
        let settings = assignment.settings(&[], 0, 4, 7);
        assert_eq!((settings.loss.threshold, settings.mark), (0, 7));
        assert!(assignment.netem(None).unwrap().loss.is_some());
    }

    #[test]
    fn a_partition_cuts_both_ways() {
        let assignment = assign(&["partition"], EngineChoice::Auto, None).unwrap();
        assert_eq!(assignment.direction(), Directions::Both);
        assert_eq!(assignment.settings(&[], 0, 4, 7).loss.threshold, 1 << 32);
        assert_eq!(assignment.needs(), Needs::default());
        let one_way = assign(&["partition"], EngineChoice::Netem, None).unwrap();
        assert_eq!(one_way.direction(), Directions::Out);
    }

    #[test]
    fn what_cannot_be_done_is_said_with_what_can() {
        for (fault, choice, direction, fragment) in [
            ("delay=5ms", EngineChoice::Bpf, None, "netem can"),
            (
                "delay=5ms",
                EngineChoice::Auto,
                Some(Directions::Both),
                "works on what leaves",
            ),
            (
                "corrupt=5%",
                EngineChoice::Auto,
                Some(Directions::In),
                "make it on the peer",
            ),
        ] {
            let error = assign(&[fault], choice, direction).unwrap_err();
            assert!(error.contains(fragment), "{error}");
        }
    }

    #[test]
    fn the_interface_is_asked_for_no_more_than_needed() {
        let needs = |fault, direction| {
            let needs = assign(&[fault], EngineChoice::Auto, Some(direction))
                .unwrap()
                .needs();
            (
                needs.no_checksums,
                needs.no_segmentation,
                needs.no_coalescing,
            )
        };
        assert_eq!(needs("corrupt=5%", Directions::Out), (true, true, false));
        assert_eq!(needs("corrupt=100%", Directions::Out), (true, true, false));
        assert_eq!(needs("loss=5%", Directions::Out), (false, true, false));
        assert_eq!(needs("loss=5%", Directions::In), (false, false, true));
        assert_eq!(needs("loss=100%", Directions::Both), (false, false, false));
        assert_eq!(needs("delay=5ms", Directions::Out), (false, false, false));
    }
}
