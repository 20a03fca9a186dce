//! What a fault did: an element of `faults` in the report.

mod told;

pub use told::warnings;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tracer_ebpf::Way;

use super::{
    Counts, Engine, FaultKind, FaultSpec, Percent, Share, Whereabouts, direction, interval,
    offloads, request::PreparedFault,
};
use crate::kernel::tc::Object;

/// What was asked, done and undone. Times are ns of `CLOCK_MONOTONIC`, which
/// the caller converts with its clock; what was not measured is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultReport {
    /// What was done to packets.
    pub kind: FaultKind,
    /// How many of the packets were to be hit; null for a delay and a rate.
    pub percent: Option<Percent>,
    /// By how much a packet's luck depended on the one before, per cent.
    pub correlation: Option<f64>,
    /// How late packets were to be, on average.
    pub delay_ms: Option<f64>,
    /// By how much that was to vary.
    pub jitter_ms: Option<f64>,
    /// How it was to vary; null for evenly, or not at all.
    pub distribution: Option<Cow<'static, str>>,
    /// Bits a second that were to pass.
    pub rate_bits: Option<u64>,
    /// Where the random numbers began; null for the kernel's own.
    pub seed: Option<u64>,
    /// Addresses or networks, as given.
    pub peers: Vec<String>,
    /// Ports that the fault was limited to; empty for all.
    pub ports: Vec<u16>,
    /// Name of the interface.
    pub interface: String,
    /// Names of interfaces by which the peers were reached as well when it began, and
    /// where nothing was hit.
    #[serde(default)]
    pub other_interfaces: Vec<String>,
    /// `out`: packets that leave this host; `in`: those that arrive.
    pub direction: Cow<'static, str>,
    /// `bpf` or `netem`
    pub engine: Cow<'static, str>,
    /// What the program hung on: `tcx`, `clsact` or `prio`.
    pub hook: Cow<'static, str>,
    /// What was damaged; null where nothing was.
    pub damaged: Option<Cow<'static, str>>,
    /// When the first packet could be hit.
    pub started_ns: u64,
    /// When the last packet could be hit.
    pub ended_ns: u64,
    /// Segments on the wire that were for (or from) the peers.
    pub seen: Option<u64>,
    /// Those that were hit.
    pub hit: Option<u64>,
    /// Bytes of the packets that were hit, headers included.
    pub bytes: Option<u64>,
    /// Packets of the peers that this fault leaves alone.
    pub passed: Option<u64>,
    /// `hit` of `seen` in per cent; null if nothing was seen, and if what was damaged may
    /// have been repaired on its way.
    pub delivered_percent: Option<f64>,
    /// The least and the most hits that chance explains (99.999 %); null if
    /// nothing was seen or what was damaged may have been repaired, and where netem draws its lots in a way that is not known
    /// to keep to the share (with a correlation).
    pub expected_hits: Option<[u64; 2]>,
    /// Features of the interface that were off while the fault lasted.
    pub offloads_changed: Vec<String>,
    /// Features that the fault needs off and that somebody switched on again while it
    /// lasted, as far as that was seen: once a second, and at its end. Empty in a report
    /// of a version that did not look.
    #[serde(default)]
    pub offloads_on_again: Vec<String>,
    /// When that was first seen, ms from the start of the fault; null if it was not.
    #[serde(default)]
    pub offloads_on_again_ms: Option<f64>,
    /// Whether the fault was ended because its guard was gone, the process that undoes it
    /// if tracer is killed.
    #[serde(default)]
    pub guard_gone: bool,
    /// Queueing disciplines of the interface before.
    pub qdiscs_before: Vec<Qdisc>,
    /// The same after; null if they could not be read, or the interface was gone.
    pub qdiscs_after: Option<Vec<Qdisc>>,
    /// What became of the interface meanwhile; null in a report of a version that did
    /// not look.
    #[serde(default)]
    pub interface_now: Option<Whereabouts>,
    /// True only if the kernel confirmed that the program is gone and every
    /// feature, queueing discipline and filter of the interface is as it was. What
    /// was on an interface that is gone is gone with it; one that is in another
    /// namespace has its features as they were there, and nothing of ours.
    pub removed: bool,
    /// What could not be undone, with the command that does.
    pub left_behind: Option<String>,
}

/// A queueing discipline, as `tc qdisc show` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qdisc {
    /// Its kind.
    pub kind: String,
    /// Its handle; `0:` if the kernel put it there by itself.
    pub handle: String,
    /// What it hangs on.
    pub parent: String,
}

/// What somebody switched on again while a fault lasted that needs it off.
#[derive(Clone, Debug, Default)]
pub(super) struct OnAgain {
    /// Names of features.
    pub(super) names: Vec<String>,
    /// When that was first seen, ns of `CLOCK_MONOTONIC`.
    pub(super) seen_ns: Option<u64>,
}

/// What is the same of all faults that were made together.
pub(super) struct Outcome<'a> {
    pub(super) prepared: &'a PreparedFault,
    pub(super) seed: Option<u64>,
    pub(super) started_ns: u64,
    pub(super) ended_ns: u64,
    pub(super) offloads_changed: &'a [String],
    pub(super) on_again: &'a OnAgain,
    pub(super) guard_gone: bool,
    pub(super) after: Option<&'a [Object]>,
    pub(super) interface_now: &'a Whereabouts,
    pub(super) removed: bool,
    pub(super) left_behind: Option<&'a str>,
}

impl FaultReport {
    pub(super) fn new(
        outcome: &Outcome<'_>,
        (fault, engine): (FaultSpec, Engine),
        way: Way,
        counts: Option<Counts>,
    ) -> Self {
        let PreparedFault {
            request,
            interface,
            others,
            layout,
            before,
            ..
        } = outcome.prepared;
        let share = fault.share();
        let delay = match fault {
            FaultSpec::Delay(delay) => Some(delay),
            _ => None,
        };
        let correlation = match delay {
            Some(delay) => delay.correlation,
            None => share.and_then(|share| share.correlation),
        };
        let ms = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
        Self {
            kind: fault.kind(),
            percent: share.map(|share| share.percent),
            correlation: correlation.map(|correlation| correlation.fraction() * 100.0),
            delay_ms: delay.map(|delay| ms(delay.mean)),
            jitter_ms: delay.map(|delay| ms(delay.jitter)),
            distribution: delay
                .and_then(|delay| delay.distribution)
                .map(|shape| shape.name().into()),
            rate_bits: match fault {
                FaultSpec::Rate(rate) => Some(rate.bits()),
                _ => None,
            },
            seed: outcome.seed,
            peers: request.shown_peers(),
            ports: request.ports.clone(),
            interface: interface.name.clone(),
            other_interfaces: others.clone(),
            direction: direction::name(way).into(),
            engine: engine.name().into(),
            hook: layout.hook.name().into(),
            damaged: match (fault.kind(), engine) {
                (FaultKind::Corrupt, Engine::Bpf) => Some("tcp checksum".into()),
                (FaultKind::Corrupt, Engine::Netem) => Some("a bit anywhere in the packet".into()),
                _ => None,
            },
            started_ns: outcome.started_ns,
            ended_ns: outcome.ended_ns,
            seen: None,
            hit: None,
            bytes: None,
            passed: None,
            delivered_percent: None,
            expected_hits: None,
            offloads_changed: outcome.offloads_changed.to_vec(),
            offloads_on_again: outcome.on_again.names.clone(),
            offloads_on_again_ms: outcome
                .on_again
                .seen_ns
                .map(|seen_ns| seen_ns.saturating_sub(outcome.started_ns) as f64 / 1e6),
            guard_gone: outcome.guard_gone,
            qdiscs_before: qdiscs(&before.found.qdiscs),
            qdiscs_after: outcome.after.map(qdiscs),
            interface_now: Some(outcome.interface_now.clone()),
            removed: outcome.removed,
            left_behind: outcome.left_behind.map(str::to_owned),
        }
        .count(
            share.filter(|share| engine.keeps_to(fault.kind(), *share)),
            counts,
        )
    }

    /// Fills in what follows from the counts.
    fn count(mut self, share: Option<Share>, counts: Option<Counts>) -> Self {
        let Some(counts) = counts else { return self };
        self.seen = Some(counts.seen);
        self.hit = counts.hit;
        self.bytes = counts.bytes;
        self.passed = Some(counts.passed);
        if counts.seen > 0 && !self.may_be_repaired() {
            self.delivered_percent = counts
                .hit
                .map(|hit| 100.0 * hit as f64 / counts.seen as f64);
            self.expected_hits = share.zip(counts.seen_squares).map(|(share, squares)| {
                let scatter = squares as f64 * share.scatter();
                let (least, most) = interval(share.percent, counts.seen, scatter);
                [least, most]
            });
        }
        self
    }

    /// Whether checksums that were damaged may have been repaired before they left.
    fn may_be_repaired(&self) -> bool {
        self.kind == FaultKind::Corrupt
            && self
                .offloads_on_again
                .iter()
                .any(|name| offloads::repairs(name))
    }

    /// Whether the delivered share is further from the requested one than
    /// chance explains (99.999 %): then the counts or the fault are not to be
    /// trusted.
    #[must_use]
    pub fn is_off(&self) -> bool {
        match (self.hit, self.expected_hits) {
            (Some(hit), Some([least, most])) => hit < least || hit > most,
            _ => false,
        }
    }
}

fn qdiscs(objects: &[Object]) -> Vec<Qdisc> {
    objects
        .iter()
        .map(|object| Qdisc {
            kind: object.kind.clone(),
            handle: object.handle.to_string(),
            parent: object.parent.to_string(),
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One that nothing is known of but its kind.
    pub(crate) fn fault(kind: FaultKind) -> FaultReport {
        FaultReport {
            kind,
            percent: None,
            correlation: None,
            delay_ms: None,
            jitter_ms: None,
            distribution: None,
            rate_bits: None,
            seed: None,
            peers: Vec::new(),
            ports: Vec::new(),
            interface: "ens160".to_owned(),
            other_interfaces: Vec::new(),
            direction: "out".into(),
            engine: "bpf".into(),
            hook: "tcx".into(),
            damaged: None,
            started_ns: 1,
            ended_ns: 2,
            seen: None,
            hit: None,
            bytes: None,
            passed: None,
            delivered_percent: None,
            expected_hits: None,
            offloads_changed: Vec::new(),
            offloads_on_again: Vec::new(),
            offloads_on_again_ms: None,
            guard_gone: false,
            qdiscs_before: Vec::new(),
            qdiscs_after: None,
            interface_now: Some(Whereabouts::AsBefore),
            removed: true,
            left_behind: None,
        }
    }

    fn share() -> Share {
        Share {
            percent: Percent::new(50.0).unwrap(),
            correlation: None,
        }
    }

    fn report(counts: Option<Counts>) -> FaultReport {
        FaultReport {
            percent: Some(share().percent),
            peers: vec!["10.0.10.2".to_owned()],
            damaged: Some("tcp checksum".into()),
            ..fault(FaultKind::Corrupt)
        }
        .count(Some(share()), counts)
    }

    fn totals(seen: u64, hit: u64) -> Option<Counts> {
        Some(Counts {
            seen,
            hit: Some(hit),
            bytes: Some(hit * 1500),
            passed: 3,
            seen_squares: Some(seen),
        })
    }

    #[test]
    fn delivered_as_asked() {
        let report = report(totals(10_000, 5_050));
        assert_eq!(report.delivered_percent, Some(50.5));
        assert_eq!(report.expected_hits, Some([4779, 5221]));
        assert_eq!(report.warning(), None);
    }

    #[test]
    fn beyond_chance_is_said() {
        let warning = report(totals(10_000, 2_500)).warning().unwrap();
        assert!(warning.contains("25.00% instead of 50%"), "{warning}");
    }

    #[test]
    fn nothing_matched_is_said_and_null() {
        let report = report(totals(0, 0));
        let warning = report.warning().unwrap();
        assert!(
            warning.contains("no packet for corrupt left by ens160"),
            "{warning}"
        );
        assert!(
            warning.contains("3 packets that it leaves alone"),
            "{warning}"
        );
        let json = serde_json::to_value(&report).unwrap();
        assert!(json["delivered_percent"].is_null());
        assert_eq!(json["seen"], 0);
        assert_eq!(json["kind"], "corrupt");
        assert_eq!(json["percent"], 50.0);
    }

    #[test]
    fn what_was_repaired_is_not_claimed_to_be_damaged() {
        let of = |name: &str| {
            FaultReport {
                peers: vec!["10.0.10.2".to_owned()],
                offloads_on_again: vec![name.to_owned()],
                offloads_on_again_ms: Some(2_000.0),
                ..fault(FaultKind::Corrupt)
            }
            .count(Some(share()), totals(170, 170))
        };
        let report = of("tx-checksum-ip-generic");
        assert_eq!((report.hit, report.delivered_percent), (Some(170), None));
        assert_eq!(report.expected_hits, None);
        let summary = report.summary();
        assert!(summary.starts_with("tx-checksum-ip-generic switched on again"));
        assert!(
            summary.contains("NOT KNOWN") && !summary.contains('%'),
            "{summary}"
        );
        let warning = &warnings(&[report])[0];
        assert!(warning.contains("seen 2.0 s after its start"), "{warning}");
        let report = of("tx-tcp-segmentation");
        assert_eq!(report.delivered_percent, Some(100.0));
        assert!(
            report
                .offloads_warning()
                .unwrap()
                .contains("several segments")
        );
    }

    #[test]
    fn the_same_is_said_once() {
        let reports = [report(totals(0, 0)), report(totals(0, 0))];
        assert_eq!(warnings(&reports).len(), 1);
    }

    #[test]
    fn not_measured_is_null_not_zero() {
        let json = serde_json::to_value(report(None)).unwrap();
        assert!(json["seen"].is_null() && json["hit"].is_null());
    }
}
