//! When nothing at all arrived from a flow's peer though it was sent to again and again:
//! a network that only loses lets some through.

use super::recovery::lost;
use super::{Span, Track};
use crate::path::Reading;

/// Of so many in vain, one in 64 would be expected even if every second one were lost.
const LEAST_IN_VAIN: u64 = 6;

/// A time in which nothing arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Silence {
    /// From the last look that saw something arrive to the last that saw nothing.
    pub(super) span: Span,
    /// Segments that were sent again for it in vain.
    pub(super) in_vain: u64,
    /// When something was sent again next: until then the timer ran that had doubled in the
    /// silence, whatever the network did meanwhile. The end of the silence, if the kernel
    /// was done with the loss by then.
    pub(super) resumed_ns: u64,
}

/// Those of one flow, in order.
pub(super) fn silences(track: &Track<'_>) -> Vec<Silence> {
    let same = |a: &Reading, b: &Reading| a.segs_in.is_some() && a.segs_in == b.segs_in;
    let mut before: Option<&Reading> = None;
    let mut found = Vec::new();
    for run in track.path.chunk_by(same) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        // What was sent again just before the first look, and was not answered by then, was
        // sent in vain as well.
        let unanswered = before.filter(|_| first.recovering == Some(true));
        let sent = Span {
            from_ns: unanswered.map_or(first.at_ns, |before| before.at_ns),
            to_ns: last.at_ns,
        };
        let steps = track.series.iter().filter(|step| sent.has(step.at_ns));
        let next = track.series.iter().find(|step| step.at_ns > last.at_ns);
        found.push(Silence {
            span: Span {
                from_ns: first.at_ns,
                to_ns: last.at_ns,
            },
            in_vain: steps.map(lost).sum(),
            resumed_ns: next
                .filter(|_| last.recovering == Some(true))
                .map_or(last.at_ns, |step| step.at_ns),
        });
        before = Some(last);
    }
    found.retain(|one| one.in_vain >= LEAST_IN_VAIN);
    found
}
