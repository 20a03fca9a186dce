//! When a flow was in loss recovery, by interval: from a retransmit to the next that
//! belongs to the same loss.

use tracer_ebpf::RetransmitKind;

use crate::evidence::thresholds::MAX_RETRANSMIT_DISTANCE_NS;
use crate::interval::Span;
use crate::recording::Recording;
use crate::recording::flow_history::FlowHistory;
use crate::recording::flow_interval::FlowInterval;
use crate::recording::loss_recovery::doubled_ns;

/// Losses that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LossEpisode {
    /// From the first interval with a retransmit to the end of the last.
    pub(crate) observed: Span,
    /// How much longer it may have lasted: what was retransmitted was not answered yet.
    pub(crate) extends_to_ns: u64,
}

impl LossEpisode {
    /// All of it.
    pub(crate) fn whole(&self) -> Span {
        Span {
            to_ns: self.extends_to_ns,
            ..self.observed
        }
    }
}

/// From intervals in which something was lost, by their ends, in order. A timeout
/// doubles each time: of one loss, the next sign may be somewhat more than twice as
/// far away as the one before.
pub(crate) fn episodes(ends_ns: impl Iterator<Item = u64>, interval_ns: u64) -> Vec<LossEpisode> {
    let near_ns = MAX_RETRANSMIT_DISTANCE_NS.max(2 * interval_ns);
    let mut found: Vec<LossEpisode> = Vec::new();
    for end_ns in ends_ns {
        let from_ns = end_ns.saturating_sub(interval_ns);
        if let Some(last) = found.last_mut()
            && end_ns <= last.extends_to_ns
        {
            let apart_ns = end_ns.saturating_sub(last.observed.to_ns);
            last.observed.to_ns = last.observed.to_ns.max(end_ns);
            last.extends_to_ns = end_ns + near_ns.max(doubled_ns(apart_ns));
        } else {
            found.push(LossEpisode {
                observed: Span {
                    from_ns,
                    to_ns: end_ns,
                },
                extends_to_ns: end_ns + near_ns,
            });
        }
    }
    found
}

/// Kinds that show a loss: not what is sent into a closed window, and not what
/// opens a connection.
pub(crate) const LOSSES: [RetransmitKind; 5] = [
    RetransmitKind::Tlp,
    RetransmitKind::Rto,
    RetransmitKind::Fast,
    RetransmitKind::Rack,
    RetransmitKind::SlowStart,
];

/// Segments of an interval that were retransmitted because of a loss.
pub(crate) fn loss_retransmits(step: FlowInterval) -> u64 {
    step.of_kinds(&LOSSES)
}

/// Of some flows together.
pub(crate) fn of_flows<'a>(
    recorded: &Recording,
    flows: impl Iterator<Item = &'a FlowHistory>,
) -> Vec<LossEpisode> {
    let steps = flows.flat_map(|track| &track.series);
    let mut ends: Vec<u64> = steps
        .filter(|step| loss_retransmits(*step) > 0)
        .map(|step| step.at_ns)
        .collect();
    ends.sort_unstable();
    ends.dedup();
    episodes(ends.into_iter(), recorded.interval_ns())
}

/// What was seen of them, apart from each other.
pub(crate) fn seen(episodes: &[LossEpisode]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::with_capacity(episodes.len());
    for episode in episodes {
        let mut span = episode.observed;
        if let Some(last) = spans.last() {
            span.from_ns = span.from_ns.max(last.to_ns);
        }
        spans.push(span);
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn seen_ms(ends_ms: &[u64]) -> Vec<(u64, u64)> {
        let found = episodes(ends_ms.iter().map(|ms| ms * MS), 100 * MS);
        let spans = seen(&found);
        spans
            .iter()
            .map(|span| (span.from_ns / MS, span.to_ns / MS))
            .collect()
    }

    #[test]
    fn timeouts_that_double_are_one_loss() {
        // 200 ms, doubled each time.
        assert_eq!(
            seen_ms(&[1_000, 1_200, 1_600, 2_400, 4_000, 7_200]),
            [(900, 7_200)]
        );
    }

    #[test]
    fn what_is_far_apart_is_not_one_loss() {
        assert_eq!(
            seen_ms(&[1_000, 3_000, 9_000]),
            [(900, 1_000), (2_900, 3_000), (8_900, 9_000)]
        );
    }
}
