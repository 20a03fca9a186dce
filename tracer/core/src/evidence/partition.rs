//! Where nothing came through at all: what loses lets some through.

use crate::evidence::blocked::SampleInterval;
use crate::evidence::loss::LossSignal;
use crate::evidence::silence::Silence;
use crate::evidence::thresholds::{
    FEW_UNANSWERED, MIN_PARTITION_SHARE, MIN_POSSIBLE_PARTITION_SHARE, MIN_UNANSWERED,
};
use crate::interval::Span;
use crate::recording::Recording;

/// The connection on which nothing arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SilentPath {
    pub(crate) flow: usize,
    pub(crate) longest: Silence,
    /// How much of the time in which commits waited was silent, 0 to 1.
    share: f64,
}

/// Whether nothing came through for nearly all of these times.
pub(crate) fn partition(
    recorded: &Recording,
    loss: &LossSignal,
    intervals: &[SampleInterval<'_>],
) -> Option<SilentPath> {
    let found = silent(recorded, loss, intervals, MIN_UNANSWERED)?;
    (found.share >= MIN_PARTITION_SHARE).then_some(found)
}

/// For how long nothing arrived, s, where that was for most of these times, and too little
/// was retransmitted to tell a path that is cut from one that loses.
pub(crate) fn possible_partition_s(
    recorded: &Recording,
    loss: &LossSignal,
    intervals: &[SampleInterval<'_>],
) -> Option<f64> {
    let found = silent(recorded, loss, intervals, FEW_UNANSWERED)?;
    let silent_s = found.longest.span.seconds();
    (found.share >= MIN_POSSIBLE_PARTITION_SHARE).then_some(silent_s)
}

/// The flow on which most was retransmitted without an answer.
fn silent(
    recorded: &Recording,
    loss: &LossSignal,
    intervals: &[SampleInterval<'_>],
    min_unanswered: u64,
) -> Option<SilentPath> {
    let (flow, silences) = loss
        .silences()
        .map(|(flow, all)| {
            let long = all.iter().filter(|one| one.unanswered >= min_unanswered);
            (flow, long.collect::<Vec<_>>())
        })
        .max_by_key(|(_, silences)| silences.iter().map(|one| one.unanswered).sum::<u64>())?;
    let longest = **silences.iter().max_by_key(|one| one.span.length_ns())?;
    // What arrives with a bad checksum arrives.
    let peer = recorded.flows.get(flow)?.remote.ip();
    let mut corrupted = recorded.bad_checksums.iter().flatten();
    if corrupted.any(|step| longest.span.has(step.at_ns) && step.is_from(peer)) {
        return None;
    }
    let silent: Vec<Span> = silences.iter().map(|one| one.span).collect();
    let all_ns: u64 = intervals.iter().map(|one| one.span.length_ns()).sum();
    let silent_ns: u64 = intervals
        .iter()
        .map(|one| one.span.covered_ns(&silent))
        .sum();
    Some(SilentPath {
        flow,
        longest,
        share: silent_ns as f64 / all_ns as f64,
    })
}
