//! The times of which losses are judged: what gets lost while nobody waits says nothing of why
//! somebody did, and in a long run a few segments get lost anyway.

use tracer_ebpf::RetransmitKind;

use crate::evidence::loss_episode::LossEpisode;
use crate::interval::Span;
use crate::recording::flow_history::FlowHistory;
use crate::recording::flow_interval::FlowInterval;

/// In order, and apart from each other.
#[derive(Debug, Clone)]
pub(crate) struct LossTimes {
    spans: Vec<Span>,
    interval_ns: u64,
}

impl LossTimes {
    /// All of a run: where nobody knows who waited when.
    pub(crate) fn whole(interval_ns: u64) -> Self {
        let whole = Span {
            from_ns: 0,
            to_ns: u64::MAX,
        };
        Self {
            spans: vec![whole],
            interval_ns,
        }
    }

    /// While commits waited. What ended a wait, or tells of what was lost in it, is seen at the
    /// next reading.
    pub(crate) fn of_waits(waits: impl Iterator<Item = Span>, interval_ns: u64) -> Self {
        let spans = waits.map(|wait| Span {
            to_ns: wait.to_ns.saturating_add(interval_ns),
            ..wait
        });
        Self {
            spans: Span::apart(spans.collect()),
            interval_ns,
        }
    }

    /// With these troubles that go on during them: who comes to wait when a path has been silent
    /// for long waits for what was lost before.
    pub(crate) fn with(&self, troubles: &[Span]) -> Self {
        // The first retransmit is in the interval before the reading that shows the trouble.
        let troubles = troubles.iter().map(|one| Span {
            from_ns: one.from_ns.saturating_sub(self.interval_ns),
            ..*one
        });
        self.and(troubles.filter(|one| self.overlap(*one)))
    }

    /// With all that was seen of these episodes, which go on during them.
    pub(crate) fn with_all_of(&self, episodes: &[LossEpisode]) -> Self {
        self.and(episodes.iter().map(|one| one.observed))
    }

    fn and(&self, more: impl Iterator<Item = Span>) -> Self {
        Self {
            spans: Span::apart(self.spans.iter().copied().chain(more).collect()),
            ..*self
        }
    }

    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Whether some of it is within them.
    pub(crate) fn overlap(&self, span: Span) -> bool {
        let next = self.spans.partition_point(|one| one.to_ns <= span.from_ns);
        let next = self.spans.get(next);
        next.is_some_and(|one| one.from_ns < span.to_ns)
    }

    /// Whether what was seen at the end of an interval is within them.
    pub(crate) fn have(&self, end_ns: u64) -> bool {
        self.overlap(Span {
            from_ns: end_ns.saturating_sub(self.interval_ns),
            to_ns: end_ns,
        })
    }

    /// What a flow retransmitted in them.
    pub(crate) fn steps(&self, track: &FlowHistory) -> impl Iterator<Item = FlowInterval> {
        track.series.iter().filter(|step| self.have(step.at_ns))
    }

    /// How many segments of these kinds that was.
    pub(crate) fn segments(&self, track: &FlowHistory, kinds: &[RetransmitKind]) -> u64 {
        self.steps(track).map(|step| step.of_kinds(kinds)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn span(from_s: u64, to_s: u64) -> Span {
        Span {
            from_ns: from_s * S,
            to_ns: to_s * S,
        }
    }

    #[test]
    fn what_began_before_is_judged_if_it_goes_on() {
        let waited = LossTimes {
            spans: vec![span(20, 26), span(40, 42)],
            interval_ns: S,
        };
        let seen = [20, 21, 26, 27, 40, 41].map(|second| waited.have(second * S));
        assert_eq!(seen, [false, true, true, false, false, true]);
        let longer = waited.with(&[span(10, 12), span(15, 21), span(30, 33)]);
        assert_eq!(longer.spans(), [span(14, 26), span(40, 42)]);
        assert!(LossTimes::whole(S).have(1));
    }
}
