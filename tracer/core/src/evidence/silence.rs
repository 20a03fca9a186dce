//! When nothing at all arrived from a flow's peer though it was sent to again and again:
//! a network that only loses lets some through.

use crate::evidence::loss_episode::lost;
use crate::interval::Span;
use crate::recording::Track;
use crate::recording::tcp_info::Reading;

/// A time in which nothing arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Silence {
    /// From the last look that saw something arrive to the last that saw nothing.
    pub(crate) span: Span,
    /// Segments that were sent again in it.
    pub(crate) in_vain: u64,
}

/// Those of one flow in which at least so many were sent again in vain, in order.
pub(crate) fn silences(track: &Track<'_>, least_in_vain: u64) -> Vec<Silence> {
    let same = |a: &Reading, b: &Reading| a.segs_in.is_some() && a.segs_in == b.segs_in;
    let runs = track.path.chunk_by(same);
    let silences = runs.filter_map(|run| {
        let span = Span {
            from_ns: run.first()?.at_ns,
            to_ns: run.last()?.at_ns,
        };
        let steps = track.series.iter().filter(|step| span.has(step.at_ns));
        let in_vain = steps.map(lost).sum();
        Some(Silence { span, in_vain })
    });
    silences
        .filter(|one| one.in_vain >= least_in_vain)
        .collect()
}
