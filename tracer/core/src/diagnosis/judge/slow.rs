//! Slow commits that no sample explains.

use crate::diagnosis::judge::{Case, LEAST_S, LEAST_SAMPLES};
use crate::evidence::loss_episode::lost;
use crate::recording::latency::Step;
use crate::report::finding::{Cause, Confidence, Finding, Size};

pub(crate) fn judge(case: &Case<'_>) -> Option<Finding> {
    let recorded = case.recorded;
    let probe = recorded.probe()?;
    let inside = |step: &&Step| recorded.window().has(step.at_ns) && recorded.is_slow(step);
    let slow: Vec<&Step> = probe.commits.iter().filter(inside).collect();
    let duration_s = slow.len() as f64 * recorded.interval_ns as f64 / 1e9;
    if slow.len() < LEAST_SAMPLES || duration_s < LEAST_S {
        return None;
    }
    let worst = |step: &Step| {
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
        .flat_map(|track| track.series)
        .map(lost)
        .sum();
    let (cause, confidence, why) = if !case.sees_waits {
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
                "{resent} segments were sent again, but no sample shows anybody waiting for a standby meanwhile"
            ),
        )
    } else if reads_slow >= LEAST_SAMPLES {
        (
            Cause::NotDetermined,
            Confidence::Low,
            "reads were slow as well, nothing was sent again, and no sample shows what was waited for".to_owned(),
        )
    } else {
        (
            Cause::NotTheNetwork,
            Confidence::Medium,
            "reads over the same way were not, nobody was seen to wait for a standby, and nothing was sent again".to_owned(),
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
