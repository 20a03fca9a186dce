//! A round trip takes a good part of what a commit takes.

use crate::evidence::Evidence;
use crate::evidence::rtt;
use crate::evidence::waiting::Waiting;
use crate::report::finding::{Cause, Confidence, Finding, Size};
use crate::text;

pub(super) fn finding(evidence: &Evidence<'_>, kept: &Waiting<'_>) -> Option<Finding> {
    let recorded = evidence.recorded;
    let long = kept.intervals.iter().filter_map(|one| {
        let serves = |flow| evidence.links.serves(flow, one.index);
        rtt::long(recorded, one.span, serves)
    });
    let (index, ms) = long.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let track = recorded.flows.get(index)?;
    let best = rtt::best_ms(track);
    let best = best.map_or_else(String::new, |ms| format!(" (the shortest {ms:.1} ms)"));
    Some(Finding {
        text: format!(
            "Commits waited for the standby because round trips to {} are long: up to {ms:.0} ms{best}, with little or nothing lost, {}.",
            text::name(&track.name),
            kept.during()
        ),
        cause: Cause::NetworkDelay,
        // Without a probe it is not known how much of a commit that is.
        confidence: match recorded.probe() {
            Some(_) => kept.confidence(),
            None => kept.confidence().min(Confidence::Medium),
        },
        size: Size {
            round_trip_ms: Some(ms),
            ..kept.size()
        },
        evidence: kept.evidence(
            ["path/series", "path/srtt_us_max", "path/srtt_us_min"]
                .map(|field| format!("/flows/{index}/{field}")),
        ),
    })
}
