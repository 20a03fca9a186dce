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
    let runs = track.path.chunk_by(same);
    let silences = runs.filter_map(|run| {
        // One reading shows no time in which nothing arrived.
        let [first, .., last] = run else {
            return None;
        };
        let heard_ns = first.heard_ns.filter(|heard_ns| *heard_ns < first.at_ns);
        let whole = Span {
            from_ns: first.at_ns,
            to_ns: last.at_ns,
        };
        let mut unanswered = 0;
        for step in track.series.iter() {
            unanswered += match whole.has(step.at_ns) {
                true => loss_retransmits(step),
                // In the intervals in which it began and ended, those of timers.
                false if heard_ns.is_some() && is_next_to(track, whole, step.at_ns) => {
                    step.of_kinds(&TIMERS)
                }
                false => 0,
            };
        }
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

/// Whether an interval ends with the first of these readings, or with the next one after them.
fn is_next_to(track: &FlowHistory, readings: Span, end_ns: u64) -> bool {
    let mut after = track.path.iter().filter(|one| one.at_ns > readings.to_ns);
    let next = after.next().map(|one| one.at_ns);
    end_ns == readings.from_ns || Some(end_ns) == next
}
