//! A round trip takes a good part of what a commit takes.

use crate::evidence::Evidence;
use crate::evidence::commit_stages::latest_ns;
use crate::evidence::rtt;
use crate::evidence::thresholds::CLEAR_FACTOR;
use crate::evidence::waiting::Waiting;
use crate::report::finding::{Cause, Confidence, Finding, Size};
use crate::report::stages::Stage;
use crate::text;

pub(super) fn finding(evidence: &Evidence<'_>, kept: &Waiting<'_>) -> Option<Finding> {
    let recorded = evidence.recorded;
    let long = kept.intervals.iter().filter_map(|one| {
        let serves = |flow| evidence.links.serves(flow, one.index);
        rtt::long(recorded, one.span, serves)
    });
    let long = long.max_by(|(_, a), (_, b)| a.total_cmp(b));
    let late_ms = latest_acknowledgement_ms(evidence, kept);
    let (index, ms, is_late) = match long {
        Some((index, ms)) if late_ms < CLEAR_FACTOR * ms => (index, ms, false),
        _ => {
            let index = evidence.links.serving(&kept.intervals).next()?;
            (index, late_ms, true)
        }
    };
    let track = recorded.flows.get(index)?;
    let name = text::name(&track.name);
    let what = match is_late {
        true => format!("what was sent to {name} was acknowledged late: after up to"),
        false => format!("round trips to {name} were long: up to"),
    };
    let best = match (rtt::best_ms(track), is_late) {
        (None, _) => String::new(),
        (Some(ms), true) => format!(" (the shortest round trip took {ms:.2} ms)"),
        (Some(ms), false) => format!(" (the shortest took {ms:.2} ms)"),
    };
    // Without a probe it is not known how much of a commit a round trip is.
    let (surely, doubt) = match (is_late, recorded.probe()) {
        (true, _) => (
            Confidence::Medium,
            " The path held it up, or that host stood still.",
        ),
        (false, Some(_)) => (Confidence::High, ""),
        (false, None) => (Confidence::Medium, ""),
    };
    Some(Finding {
        text: format!(
            "Commits waited for the standby because {what} {ms:.0} ms{best}, with little or nothing lost, {}.{doubt}",
            kept.during()
        ),
        cause: Cause::NetworkDelay,
        confidence: kept.confidence().min(surely),
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

/// The longest that a slow commit of that time waited for an acknowledgement, ms; 0 if none was
/// followed.
fn latest_acknowledgement_ms(evidence: &Evidence<'_>, kept: &Waiting<'_>) -> f64 {
    let spans: Vec<_> = kept.intervals.iter().map(|one| one.span).collect();
    latest_ns(evidence.recorded, &spans, Stage::Acknowledged) as f64 / 1e6
}
