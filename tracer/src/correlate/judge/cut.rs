//! Where nothing came through at all: what loses lets some through.

use super::super::finding::{Cause, Confidence, Finding, Size};
use super::super::silence::{Silence, silences};
use super::super::wait::Slice;
use super::super::{Recorded, Span};
use super::by_share;
use super::clue::Clue;
use super::standby::waiters;
use crate::postgres::text;

/// How much of the time in which somebody was held up has to have been silent.
const MOST: f64 = 0.8;
/// In vain so often, it is hardly chance even where most is lost.
const SURELY: u64 = 9;

/// The network failed, and by nothing coming through, if nothing did for nearly all of
/// the time in which somebody was held up.
pub(super) fn judge(
    recorded: &Recorded<'_>,
    clue: &Clue,
    slices: &[Slice<'_>],
    share: f64,
    size: Size,
) -> Option<Finding> {
    // What arrives with a bad checksum arrives.
    clue.flow?;
    let flows = clue.flows.iter();
    let (index, track, silences) = flows
        .filter_map(|flow| Some((*flow, recorded.flows.get(*flow)?)))
        .map(|(index, track)| (index, track, silences(track)))
        .max_by_key(|(.., silences)| silences.iter().map(|one| one.in_vain).sum::<u64>())?;
    let longest: &Silence = silences.iter().max_by_key(|one| one.span.length_ns())?;
    let silent = silences.iter().map(|one| Span {
        to_ns: one.resumed_ns,
        ..one.span
    });
    let silent = Span::apart(silent.collect());
    let all_ns: u64 = slices.iter().map(|one| one.span.length_ns()).sum();
    let silent_ns: u64 = slices.iter().map(|one| one.span.covered_ns(&silent)).sum();
    if (silent_ns as f64) < MOST * all_ns as f64 {
        return None;
    }
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
