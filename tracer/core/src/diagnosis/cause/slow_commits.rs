//! The commit probe's commits were slow, and no sample shows what they waited for.

use crate::diagnosis::cause::CauseRule;
use crate::diagnosis::rank::{Rank, Ranked};
use crate::evidence::Evidence;
use crate::evidence::loss_episode::loss_retransmits;
use crate::evidence::thresholds::{MIN_DURATION_S, MIN_SAMPLES};
use crate::evidence::waiting::Waiting;
use crate::recording::latency::LatencyInterval;
use crate::report::finding::{Cause, Confidence, Finding, Size};
use crate::text;

/// See the file.
#[derive(Debug)]
pub(super) struct SlowCommits;

impl CauseRule for SlowCommits {
    /// Only where nothing else is known.
    fn is_asked(&self, _: &Evidence<'_>, found: &[Ranked]) -> bool {
        found.is_empty()
    }

    fn findings(&self, evidence: &Evidence<'_>, _: &Waiting<'_>) -> Vec<Ranked> {
        let finding = finding(evidence);
        finding
            .map(|one| Ranked::new(Rank::Note, one))
            .into_iter()
            .collect()
    }
}

fn finding(evidence: &Evidence<'_>) -> Option<Finding> {
    let recorded = evidence.recorded;
    let probe = recorded.probe()?;
    let inside =
        |step: &&LatencyInterval| recorded.window().has(step.at_ns) && recorded.is_slow(step);
    let slow: Vec<&LatencyInterval> = probe.commits.iter().filter(inside).collect();
    let duration_s = slow.len() as f64 * recorded.interval_ns() as f64 / 1e9;
    if slow.len() < MIN_SAMPLES || duration_s < MIN_DURATION_S {
        return None;
    }
    let worst = |step: &LatencyInterval| {
        step.latency
            .max_ms
            .into_iter()
            .chain(step.oldest_ms)
            .fold(0.0, f64::max)
    };
    let commit_max_ms = slow.iter().map(|step| worst(step)).reduce(f64::max);
    let reads_slow = probe.reads.iter().filter(inside).count();
    let resent: u64 = recorded
        .flows
        .iter()
        .flat_map(|track| &track.series)
        .map(loss_retransmits)
        .sum();
    let (cause, confidence, why) = if !evidence.sees_waits {
        (
            Cause::NotDetermined,
            Confidence::Low,
            "who waited for what was not visible".to_owned(),
        )
    } else if resent > 0 {
        (
            Cause::NotDetermined,
            Confidence::Low,
            format!(
                "{} retransmitted, but no sample shows a backend waiting for a standby meanwhile",
                text::segments_were(resent)
            ),
        )
    } else if reads_slow >= MIN_SAMPLES {
        (
            Cause::NotDetermined,
            Confidence::Low,
            "reads were slow as well, nothing was retransmitted, and no sample shows what was waited for".to_owned(),
        )
    } else {
        (
            Cause::NotTheNetwork,
            Confidence::Medium,
            "reads over the same path were not, no backend was seen waiting for a standby, and nothing was retransmitted".to_owned(),
        )
    };
    Some(Finding {
        text: format!("Commits were slow in {} intervals: {why}.", slow.len()),
        cause,
        confidence,
        size: Size {
            duration_s: Some(duration_s),
            commit_max_ms,
            ..Size::default()
        },
        evidence: ["commits/series", "reads/series"]
            .map(|field| format!("/postgres/probe/{field}"))
            .into_iter()
            .chain(["/selected/segments".to_owned()])
            .collect(),
    })
}
