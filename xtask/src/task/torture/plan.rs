//! What happens in a round: drawn from a seed, and nothing but that.

use std::fmt;

use nix::sys::signal::Signal;

use super::blow::{Blow, Family, Output, Rival, Stream, Target, What};
use crate::testbed::random::Random;

/// How much a round is to hold at most.
const MOST_BLOWS: u64 = 3;
/// How often a blow is drawn anew that does not go with the others.
const TRIES: u32 = 20;
/// Within this the tool has started, opened everything and attached its programs, ms.
const STARTING_MS: u64 = 300;
/// What happens so long after the tool's end is drawn, too, ms.
const AFTER_MS: u64 = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Abilities {
    /// Clocks of a process's own.
    pub(super) clocks: bool,
    /// Control groups that limit memory.
    pub(super) memory: bool,
    /// netem, by which a fault delays.
    pub(super) netem: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Corrupt,
    Loss,
    Partition,
    Delay,
}

impl Fault {
    pub(super) const fn typed(self) -> &'static str {
        match self {
            Self::Corrupt => "corrupt=50%",
            Self::Loss => "loss=30%",
            Self::Partition => "partition",
            Self::Delay => "delay=20ms",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    Count,
    /// `tracer run` with a fault of its own, from so many ms on.
    Fault {
        fault: Fault,
        after_ms: u64,
    },
    Inject(Fault),
}

impl Scene {
    /// What it is called in the tally.
    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::Count => "tracer run",
            Self::Fault { .. } => "tracer run --inject",
            Self::Inject(_) => "tracer inject",
        }
    }

    pub(super) const fn has_fault(self) -> bool {
        !matches!(self, Self::Count)
    }

    pub(super) const fn counts(self) -> bool {
        !matches!(self, Self::Inject(_))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RoundPlan {
    pub(super) round: u32,
    pub(super) scene: Scene,
    /// The tool's `--duration`, ms.
    pub(super) lasts_ms: u64,
    /// The tool is outside of the namespace, and gets its name.
    pub(super) by_name: bool,
    pub(super) terminal: bool,
    /// Nothing is sent before everything is counted, and nothing in the second half: the
    /// kernel's count then is to be met to the segment.
    pub(super) calm: bool,
    /// There is a report of an earlier run where the new one goes.
    pub(super) old: bool,
    /// In the order in which they happen.
    pub(super) blows: Vec<Blow>,
}

impl RoundPlan {
    pub(super) fn draw(seed: u64, round: u32, abilities: Abilities) -> Self {
        let mut random = Random::new(seed, round);
        let lasts_ms = random.between(200, 1800);
        let scene = scene(&mut random, lasts_ms, abilities);
        let mut plan = Self {
            round,
            scene,
            lasts_ms,
            by_name: random.chance(30),
            terminal: false,
            calm: random.chance(40),
            old: random.chance(50),
            blows: Vec::new(),
        };
        let count = random.between(1, MOST_BLOWS);
        let mut tries = 0;
        while (plan.blows.len() as u64) < count && tries < TRIES {
            tries += 1;
            let what = what(&mut random, &plan, abilities);
            if let Some(what) = what.filter(|what| plan.goes_with(*what)) {
                let at_ms = match what.is_lasting() {
                    true => 0,
                    false => moment(&mut random, lasts_ms),
                };
                plan.blows.push(Blow { at_ms, what });
            }
        }
        plan.blows.sort_by_key(|blow| blow.at_ms);
        let hangs = plan.has(|what| what == What::Hangup);
        let streams = plan.has(|what| what.family() == Family::Streams);
        plan.terminal = hangs || (!streams && random.chance(15));
        plan
    }

    pub(super) fn has(&self, is: impl Fn(What) -> bool) -> bool {
        self.blows.iter().any(|blow| is(blow.what))
    }

    fn goes_with(&self, what: What) -> bool {
        let same = |other: What| other.family() == what.family();
        // Signals come in any number.
        what.family() == Family::Signal || !self.has(same)
    }
}

fn scene(random: &mut Random, lasts_ms: u64, abilities: Abilities) -> Scene {
    let fault = match abilities.netem {
        true => random.pick([Fault::Corrupt, Fault::Loss, Fault::Partition, Fault::Delay]),
        false => random.pick([Fault::Corrupt, Fault::Loss, Fault::Partition]),
    };
    match random.between(0, 9) {
        0..=2 => Scene::Count,
        3..=6 => Scene::Fault {
            fault,
            after_ms: random.between(1, lasts_ms / 2),
        },
        _ => Scene::Inject(fault),
    }
}

/// Often while it starts, often in the midst of it, and sometimes about its end.
fn moment(random: &mut Random, lasts_ms: u64) -> u64 {
    match random.between(0, 9) {
        0..=3 => random.between(0, STARTING_MS),
        4..=7 => random.between(0, lasts_ms),
        _ => random.between(lasts_ms.saturating_sub(100), lasts_ms + AFTER_MS),
    }
}

/// Something that may happen; [`None`] if it cannot on this machine or in this scene.
fn what(random: &mut Random, plan: &RoundPlan, abilities: Abilities) -> Option<What> {
    let output = random.pick(match plan.scene.counts() {
        true => Output::ALL,
        false => [Output::Json, Output::Ready, Output::Json],
    });
    let stream = random.pick([Stream::Stdout, Stream::Stderr]);
    Some(match random.between(0, 15) {
        0..=4 => What::Signal {
            signal: random.pick([
                Signal::SIGKILL,
                Signal::SIGKILL,
                Signal::SIGTERM,
                Signal::SIGINT,
                Signal::SIGHUP,
            ]),
            to: target(random, plan.scene),
            twice: random.chance(30),
        },
        5 => What::Hangup,
        6 => match random.chance(60) {
            true => What::Leaves(stream),
            false => What::Stalls(stream),
        },
        7 => What::Full {
            output,
            kib: random.pick([4, 8, 16, 32]),
        },
        8 => match random.chance(50) {
            true => What::ReadOnly(output),
            false => What::FolderGone(output),
        },
        9 | 10 => match random.between(0, 4) {
            0 => What::Deleted,
            1 => What::Renamed,
            2 => What::Moved,
            3 => What::Down {
                for_ms: random.between(1, 800),
            },
            _ => What::NetnsDeleted,
        },
        11 if abilities.clocks => What::Clock {
            seconds: random.pick([-300, -30, 30, 3600, 10_000_000]),
        },
        12 => What::Descriptors(random.between(8, 64)),
        13 => match abilities.memory && random.chance(50) {
            true => What::Memory {
                mib: random.pick([2, 4, 6, 8, 12, 16, 24, 32]),
            },
            false => What::AddressSpace {
                mib: random.pick([16, 24, 32, 48, 64, 96, 160, 320]),
            },
        },
        14 => What::Stopped {
            whom: target(random, plan.scene),
            // The guard's answer is waited for during 5 s.
            for_ms: match random.chance(10) {
                true => random.between(5000, 6500),
                false => random.between(50, 1500),
            },
        },
        15 => What::Beside(match random.between(0, 2) {
            0 => Rival::Fault,
            1 => Rival::Run,
            _ => Rival::Clean,
        }),
        _ => return None,
    })
}

fn target(random: &mut Random, scene: Scene) -> Target {
    let tool_first = random.chance(50);
    match (scene.has_fault(), random.between(0, 3)) {
        (false, _) | (true, 0 | 1) => Target::Tool,
        (true, 2) => Target::Guard,
        (true, _) => Target::Both { tool_first },
    }
}

impl fmt::Display for RoundPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.scene.kind())?;
        match self.scene {
            Scene::Count => {}
            Scene::Fault { fault, after_ms } => {
                write!(formatter, " {} --after {after_ms} ms", fault.typed())?;
            }
            Scene::Inject(fault) => write!(formatter, " {}", fault.typed())?,
        }
        write!(formatter, " for {} ms", self.lasts_ms)?;
        for (is, word) in [
            (self.by_name, "--netns"),
            (self.terminal, "terminal"),
            (self.calm, "calm"),
            (self.old, "old report"),
        ] {
            if is {
                write!(formatter, ", {word}")?;
            }
        }
        for blow in &self.blows {
            write!(formatter, "; {blow}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ABLE: Abilities = Abilities {
        clocks: true,
        memory: true,
        netem: true,
    };

    #[test]
    fn the_same_seed_gives_the_same_plan() {
        for round in 0..300 {
            let plan = RoundPlan::draw(11, round, ABLE);
            assert_eq!(plan, RoundPlan::draw(11, round, ABLE));
            assert!(!plan.blows.is_empty() && plan.blows.len() <= 3, "{plan}");
        }
        assert_ne!(
            RoundPlan::draw(11, 0, ABLE).to_string(),
            RoundPlan::draw(12, 0, ABLE).to_string()
        );
    }

    #[test]
    fn every_blow_is_drawn_in_every_scene_that_can_have_it() {
        let mut kinds = BTreeSet::new();
        let mut scenes = BTreeSet::new();
        for round in 0..1500 {
            let plan = RoundPlan::draw(3, round, ABLE);
            scenes.insert(plan.scene.kind());
            kinds.extend(plan.blows.iter().map(|blow| blow.what.kind()));
        }
        assert_eq!(scenes.len(), 3);
        let names = kinds.iter().cloned().collect::<Vec<_>>().join("\n");
        // Four signals to three, streams 5, files 9, interface 5, clocks 2, limits 3,
        // stops 3, beside it 3.
        assert_eq!(kinds.len(), 12 + 5 + 9 + 5 + 2 + 3 + 3 + 3, "{names}");
    }

    #[test]
    fn what_a_machine_cannot_do_is_not_drawn() {
        let less = Abilities {
            clocks: false,
            memory: false,
            netem: false,
        };
        for round in 0..800 {
            let plan = RoundPlan::draw(5, round, less);
            let beyond = |what| matches!(what, What::Clock { .. } | What::Memory { .. });
            assert!(!plan.has(beyond), "{plan}");
            assert!(!plan.to_string().contains("delay"), "{plan}");
        }
    }

    #[test]
    fn a_tool_without_a_fault_has_no_guard_to_be_killed() {
        for round in 0..800 {
            let plan = RoundPlan::draw(9, round, ABLE);
            let guard = |what| match what {
                What::Signal { to, .. } => to != Target::Tool,
                What::Stopped { whom, .. } => whom != Target::Tool,
                _ => false,
            };
            assert!(plan.scene.has_fault() || !plan.has(guard), "{plan}");
        }
    }

    #[test]
    fn one_round_has_one_of_a_family_but_for_signals() {
        for round in 0..800 {
            let plan = RoundPlan::draw(13, round, ABLE);
            for family in [
                Family::Streams,
                Family::Files,
                Family::Interface,
                Family::Limits,
            ] {
                let of = plan
                    .blows
                    .iter()
                    .filter(|blow| blow.what.family() == family);
                assert!(of.count() <= 1, "{plan}");
            }
        }
    }
}
