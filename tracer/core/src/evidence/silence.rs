//! When nothing at all arrived from a flow's peer though it was sent to again and again:
//! a network that only loses lets some through.

use crate::evidence::loss_episode::loss_retransmits;
use crate::evidence::thresholds::FEW_UNANSWERED;
use crate::interval::Span;
use crate::recording::flow_history::FlowHistory;
use crate::recording::tcp_info::TcpInfoSample;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Silence {
    /// From the last reading that saw something arrive to the last that saw nothing.
    pub(crate) span: Span,
    /// Segments that were retransmitted in it.
    pub(crate) unanswered: u64,
}

/// Those of one flow in which enough were retransmitted to notice, in order.
pub(crate) fn silences(track: &FlowHistory) -> Vec<Silence> {
    let same = |a: &TcpInfoSample, b: &TcpInfoSample| a.segs_in.is_some() && a.segs_in == b.segs_in;
    let runs = track.path.chunk_by(same);
    let silences = runs.filter_map(|run| {
        let span = Span {
            from_ns: run.first()?.at_ns,
            to_ns: run.last()?.at_ns,
        };
        let steps = track.series.iter().filter(|step| span.has(step.at_ns));
        let unanswered = steps.map(loss_retransmits).sum();
        Some(Silence { span, unanswered })
    });
    silences
        .filter(|one| one.unanswered >= FEW_UNANSWERED)
        .collect()
}
