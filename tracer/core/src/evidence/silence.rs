//! When nothing at all arrived from a flow's peer though it was sent to again and again:
//! a network that only loses lets some through.

use tracer_ebpf::RetransmitKind;

use crate::evidence::loss_episode::loss_retransmits;
use crate::evidence::thresholds::{FEW_UNANSWERED, FEW_UNANSWERED_SINCE_READING};
use crate::interval::Span;
use crate::recording::flow_history::FlowHistory;
use crate::recording::tcp_info::TcpInfoSample;

/// Where something arrives, it is no timer any more that retransmits.
const TIMERS: [RetransmitKind; 2] = [RetransmitKind::Tlp, RetransmitKind::Rto];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Silence {
    /// From when the last acknowledgement arrived, or where that is not known from the last
    /// reading that saw something arrive, to the last that saw nothing.
    pub(crate) span: Span,
    /// Segments that were retransmitted in it.
    pub(crate) unanswered: u64,
    /// Whether it is known when it began.
    pub(crate) is_exact: bool,
}

/// Those of one flow in which enough were retransmitted to notice, in order.
pub(crate) fn silences(track: &FlowHistory) -> Vec<Silence> {
    let same = |a: &TcpInfoSample, b: &TcpInfoSample| a.segs_in.is_some() && a.segs_in == b.segs_in;
    let mut end = 0;
    let silences = track.path.chunk_by(same).filter_map(|run| {
        end += run.len();
        let next_ns = track.path.get(end).map(|next| next.at_ns);
        // One reading shows no time in which nothing arrived.
        let [first, .., last] = run else {
            return None;
        };
        let heard_ns = first.heard_ns.filter(|heard_ns| *heard_ns < first.at_ns);
        let whole = Span {
            from_ns: first.at_ns,
            to_ns: last.at_ns,
        };
        // In the intervals in which it began and ended, what timers retransmitted.
        let is_next_to = |end_ns| end_ns == first.at_ns || Some(end_ns) == next_ns;
        let steps = track.series.iter().map(|step| match whole.has(step.at_ns) {
            true => loss_retransmits(step),
            false if heard_ns.is_some() && is_next_to(step.at_ns) => step.of_kinds(&TIMERS),
            false => 0,
        });
        let unanswered = steps.sum();
        let span = Span {
            from_ns: heard_ns.unwrap_or(first.at_ns),
            ..whole
        };
        let few = match heard_ns {
            Some(_) => FEW_UNANSWERED,
            None => FEW_UNANSWERED_SINCE_READING,
        };
        (unanswered >= few).then_some(Silence {
            span,
            unanswered,
            is_exact: heard_ns.is_some(),
        })
    });
    silences.collect()
}
