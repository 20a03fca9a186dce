//! Where nothing came through at all: what loses lets some through.

use crate::diagnosis::judge::by_share;
use crate::diagnosis::judge::clue::Clue;
use crate::diagnosis::judge::standby::waiters;
use crate::evidence::blocked::Slice;
use crate::evidence::silence::{Silence, silences};
use crate::interval::Span;
use crate::recording::Recorded;
use crate::report::finding::{Cause, Confidence, Finding, Size};
use crate::text;

/// How much of the time in which somebody was held up has to have been silent.
const MOST: f64 = 0.8;
/// For so much of it, the way may be cut.
const MAYBE: f64 = 0.5;
/// Of so many in vain, one in 64 would be expected even if every second one were lost.
pub(crate) const LEAST_IN_VAIN: u64 = 6;
/// Of so few, one in eight: a wait of seconds has as many wherever half of all is lost, so
/// that they show nothing; but a way that is cut has no more, either.
const FEW_IN_VAIN: u64 = 3;
/// In vain so often, it is hardly chance even where most is lost.
const SURELY: u64 = 9;

/// The network failed, and by nothing coming through, if nothing did for nearly all of
/// the time in which somebody was held up.
pub(crate) fn judge(
    recorded: &Recorded<'_>,
    clue: &Clue,
    slices: &[Slice<'_>],
    share: f64,
    size: Size,
) -> Option<Finding> {
    let (index, longest, silent_share) = silent(recorded, clue, slices, LEAST_IN_VAIN)?;
    if silent_share < MOST {
        return None;
    }
    let track = recorded.flows.get(index)?;
    let in_vain = longest.in_vain;
    let confidence = if in_vain >= SURELY {
        by_share(share)
    } else {
        by_share(share).min(Confidence::Medium)
    };
    Some(Finding {
        text: format!(
            "Commits waited for the standby while nothing at all arrived from {} for {:.1} s, whatever was sent to it: {in_vain} segments were sent again in vain. The way to it is cut, or its host is down; {:.0} % of the waiting fell into that time.",
            text::name(&track.name),
            longest.span.seconds(),
            100.0 * share
        ),
        cause: Cause::Partition,
        confidence,
        size: Size {
            silent_s: Some(longest.span.seconds()),
            segments: Some(in_vain),
            rto_doublings: track.backoff_max,
            rto_max_ms: track.rto_max_ms,
            ..size
        },
        evidence: ["path/series", "segments", "by_kind", "series"]
            .map(|field| format!("/flows/{index}/{field}"))
            .into_iter()
            .chain(waiters(slices))
            .collect(),
    })
}

/// For how long nothing arrived, where that was for most of the time in which somebody was
/// held up, and too little was sent again to tell a way that is cut from one that loses.
pub(crate) fn may_be_cut(
    recorded: &Recorded<'_>,
    clue: &Clue,
    slices: &[Slice<'_>],
) -> Option<f64> {
    let (_, longest, silent_share) = silent(recorded, clue, slices, FEW_IN_VAIN)?;
    (silent_share >= MAYBE).then(|| longest.span.seconds())
}

/// The flow of the clue on which most was sent in vain, the longest time in which nothing
/// arrived on it, and the share of such times in those in which somebody was held up.
fn silent(
    recorded: &Recorded<'_>,
    clue: &Clue,
    slices: &[Slice<'_>],
    least_in_vain: u64,
) -> Option<(usize, Silence, f64)> {
    clue.flow?;
    let flows = clue.flows.iter();
    let (index, silences) = flows
        .filter_map(|flow| Some((*flow, recorded.flows.get(*flow)?)))
        .map(|(index, track)| (index, silences(track, least_in_vain)))
        .max_by_key(|(_, silences)| silences.iter().map(|one| one.in_vain).sum::<u64>())?;
    let longest = *silences.iter().max_by_key(|one| one.span.length_ns())?;
    // What arrives with a bad checksum arrives.
    let peer = recorded.flows.get(index)?.remote.ip();
    let mut damaged = recorded.damaged.into_iter().flatten();
    if damaged.any(|step| longest.span.has(step.at_ns) && step.is_from(peer)) {
        return None;
    }
    let silent: Vec<Span> = silences.iter().map(|one| one.span).collect();
    let all_ns: u64 = slices.iter().map(|one| one.span.length_ns()).sum();
    let silent_ns: u64 = slices.iter().map(|one| one.span.covered_ns(&silent)).sum();
    Some((index, longest, silent_ns as f64 / all_ns as f64))
}
