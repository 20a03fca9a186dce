//! What a fault did, as the report says it.

use tracer_core::report::fault::{FaultKind, FaultReport, Qdisc};
use tracer_core::report::whereabouts::Whereabouts;
use tracer_ebpf::Direction;

use crate::inject::plan::direction;
use crate::inject::{Counts, Engine, FaultSpec, PreparedFault, Share, interval};
use crate::kernel::tc::Object;

/// What somebody switched on again while a fault lasted that needs it off.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnAgain {
    /// Names of features.
    pub(crate) names: Vec<String>,
    /// When that was first seen, ns of `CLOCK_MONOTONIC`.
    pub(crate) seen_ns: Option<u64>,
}

/// What is the same of all faults that were made together.
pub(crate) struct Outcome<'a> {
    pub(crate) prepared: &'a PreparedFault,
    pub(crate) seed: Option<u64>,
    pub(crate) started_ns: u64,
    pub(crate) ended_ns: u64,
    pub(crate) offloads_changed: &'a [String],
    pub(crate) on_again: &'a OnAgain,
    pub(crate) guard_gone: bool,
    pub(crate) after: Option<&'a [Object]>,
    pub(crate) interface_now: &'a Whereabouts,
    pub(crate) removed: bool,
    pub(crate) left_behind: Option<&'a str>,
}

/// The report of a fault that has ended.
pub(crate) fn of(
    outcome: &Outcome<'_>,
    (fault, engine): (FaultSpec, Engine),
    direction: Direction,
    counts: Option<Counts>,
) -> FaultReport {
    let PreparedFault {
        request,
        interface,
        others,
        plan,
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
    let report = FaultReport {
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
        direction: direction::name(direction).into(),
        engine: engine.name().into(),
        hook: plan.hook.name().into(),
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
    };
    counted(
        report,
        share.filter(|share| engine.keeps_to(fault.kind(), *share)),
        counts,
    )
}

/// Fills in what follows from the counts.
fn counted(mut report: FaultReport, share: Option<Share>, counts: Option<Counts>) -> FaultReport {
    let Some(counts) = counts else { return report };
    report.seen = Some(counts.seen);
    report.hit = counts.hit;
    report.bytes = counts.bytes;
    report.passed = Some(counts.passed);
    if counts.seen > 0 && !report.may_be_repaired() {
        report.delivered_percent = counts
            .hit
            .map(|hit| 100.0 * hit as f64 / counts.seen as f64);
        report.expected_hits = share.zip(counts.seen_squares).map(|(share, squares)| {
            let scatter = squares as f64 * share.scatter();
            let (least, most) = interval(share.percent, counts.seen, scatter);
            [least, most]
        });
    }
    report
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
mod tests {
    use tracer_core::report::fault::sentences::warnings;
    use tracer_core::report::percent::Percent;

    use super::*;

    fn share() -> Share {
        Share {
            percent: Percent::new(50.0).unwrap(),
            correlation: None,
        }
    }

    fn report(counts: Option<Counts>) -> FaultReport {
        let report = FaultReport {
            percent: Some(share().percent),
            peers: vec!["10.0.10.2".to_owned()],
            interface: "ens160".to_owned(),
            damaged: Some("tcp checksum".into()),
            ..FaultReport::unmeasured(FaultKind::Corrupt)
        };
        counted(report, Some(share()), counts)
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
            let report = FaultReport {
                peers: vec!["10.0.10.2".to_owned()],
                offloads_on_again: vec![name.to_owned()],
                offloads_on_again_ms: Some(2_000.0),
                ..FaultReport::unmeasured(FaultKind::Corrupt)
            };
            counted(report, Some(share()), totals(170, 170))
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
