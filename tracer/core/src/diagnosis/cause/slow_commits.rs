//! The commit probe's commits were slow, and no sample shows what they waited for.

use crate::diagnosis::rank::{Rank, Ranked};
use crate::evidence::Evidence;
use crate::evidence::loss_episode::loss_retransmits;
use crate::evidence::thresholds::{MIN_DURATION_S, MIN_SAMPLES};
use crate::recording::latency::LatencyInterval;
use crate::report::finding::{Cause, Confidence, Finding, Size};
use crate::text;

/// Only where nothing else is known.
pub(super) fn finding(evidence: &Evidence<'_>, found: &[Ranked]) -> Option<Ranked> {
    let recorded = evidence.recorded;
    let probe = recorded.probe().filter(|_| found.is_empty())?;
    let inside =
        |step: &&LatencyInterval| recorded.window().has(step.at_ns) && recorded.is_slow(step);
    let slow: Vec<&LatencyInterval> = probe.commits.iter().filter(inside).collect();
    let duration_s = slow.len() as f64 * recorded.interval_ns() as f64 / 1e9;
    if slow.len() < MIN_SAMPLES || duration_s < MIN_DURATION_S {
        return None;
    }
    let reads_slow = probe.reads.iter().filter(inside).count();
    let retransmitted: u64 = recorded.steps().map(loss_retransmits).sum();
    let unknown = |why: String| (Cause::NotDetermined, Confidence::Low, why);
    let (cause, confidence, why) = if !evidence.sees_waits {
        unknown("who waited for what was not visible".to_owned())
    } else if retransmitted > 0 {
        unknown(format!(
            "{} retransmitted, but no sample shows a backend waiting for a standby meanwhile",
            text::segments_were(retransmitted)
        ))
    } else if reads_slow >= MIN_SAMPLES {
        unknown("reads were slow as well, nothing was retransmitted, and no sample shows what was waited for".to_owned())
    } else {
        let why = "reads over the same path were not, no backend was seen waiting for a standby, and nothing was retransmitted";
        (Cause::NotTheNetwork, Confidence::Medium, why.to_owned())
    };
    let finding = Finding {
        text: format!("Commits were slow in {} intervals: {why}.", slow.len()),
        cause,
        confidence,
        size: Size {
            duration_s: Some(duration_s),
            commit_max_ms: slow
                .iter()
                .filter_map(|step| step.slowest_ms())
                .reduce(f64::max),
            ..Size::default()
        },
        evidence: [
            "/postgres/probe/commits/series",
            "/postgres/probe/reads/series",
            "/selected/segments",
        ]
        .map(str::to_owned)
        .to_vec(),
    };
    Some(Ranked::new(Rank::Note, finding))
}
