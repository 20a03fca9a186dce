//! What the stages of slow commits leave of what may have been why they waited: who had a
//! small part of their waits was not why, whatever else happened at the time.

use crate::evidence::thresholds::MIN_SHARE;
use crate::interval::Span;
use crate::recording::Recording;
use crate::recording::slow_commit::SlowCommit;
use crate::report::stages::Stage;

/// Where WAL is held up on its way to a standby, or its acknowledgement on the way back: what
/// is not acknowledged keeps what comes next in the walsender.
pub(crate) const TO_STANDBY: &[Stage] = &[Stage::Handover, Stage::Acknowledged];
/// Where a standby's reply is held up, or what makes it late: a reply that comes at once is
/// the acknowledgement as well.
pub(crate) const FROM_STANDBY: &[Stage] = &[Stage::Acknowledged, Stage::Remote];

/// The stages of several waits together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StageSums {
    ns: [u64; Stage::COUNT],
}

impl StageSums {
    /// Of commits whose waits were followed.
    pub(crate) fn of<'a>(commits: impl IntoIterator<Item = &'a SlowCommit>) -> Self {
        let mut sums = Self::default();
        for stages in commits.into_iter().filter_map(|one| one.stages) {
            for (sum, ns) in sums.ns.iter_mut().zip(stages.ns) {
                *sum += ns;
            }
        }
        sums
    }

    /// Of slow commits of the sampled server that waited at some time in a span.
    pub(crate) fn during(recorded: &Recording, span: Span) -> Self {
        Self::during_all(recorded, [span].into_iter())
    }

    /// The same of several spans, which are in order and do not overlap.
    pub(crate) fn during_all(recorded: &Recording, spans: impl Iterator<Item = Span>) -> Self {
        let spans: Vec<Span> = spans.collect();
        let slow = recorded.sampled_slow_commits();
        Self::of(slow.filter(|one| one.wait.covered_ns(&spans) > 0))
    }

    fn total_ns(&self) -> u64 {
        self.ns.iter().sum()
    }

    /// The share of these stages in all that was waited; [`None`] if nothing was followed.
    pub(crate) fn share(&self, stages: &[Stage]) -> Option<f64> {
        let total = self.total_ns();
        let ns = |stage: &Stage| self.ns[*stage as usize];
        let part: u64 = stages.iter().map(ns).sum();
        (total > 0).then(|| part as f64 / total as f64)
    }

    /// Where a good part of the waits passed, as a clause; [`None`] if nothing was followed.
    pub(crate) fn words(&self) -> Option<String> {
        let share = |stage| self.share(&[stage]);
        let all = Stage::ALL.into_iter();
        let much = all.filter_map(|stage| Some((share(stage)?, when(stage))));
        let much = much.filter(|(share, _)| *share >= MIN_SHARE);
        let parts: Vec<String> = much
            .map(|(share, when)| format!("{:.0} % was {when}", 100.0 * share))
            .collect();
        (!parts.is_empty()).then(|| format!("of the waiting, {}", parts.join(", ")))
    }

    /// Whether what happens in these stages cannot be why commits waited, even if all that
    /// is unexplained were of them.
    pub(crate) fn rule_out(&self, stages: &[Stage]) -> bool {
        let unexplained = self.share(&[Stage::Unexplained]);
        let share = self.share(stages).zip(unexplained);
        share.is_some_and(|(share, unexplained)| share + unexplained < MIN_SHARE)
    }
}

/// Whether the waits of slow commits at that time rule these stages out.
pub(crate) fn rule_out(recorded: &Recording, span: Span, stages: &[Stage]) -> bool {
    StageSums::during(recorded, span).rule_out(stages)
}

/// How long a stage took of a slow commit of the sampled server that waited in these spans, at
/// most, ns; they are in order and do not overlap.
pub(crate) fn latest_ns(recorded: &Recording, spans: &[Span], stage: Stage) -> u64 {
    let slow = recorded.sampled_slow_commits();
    let during = slow.filter(|one| one.wait.covered_ns(spans) > 0);
    let ns = during.filter_map(|one| Some(one.stages?.ns[stage as usize]));
    ns.max().unwrap_or(0)
}

/// When a stage is, after "of the waiting, 98 % was".
const fn when(stage: Stage) -> &'static str {
    match stage {
        Stage::Handover => "before the walsender took the WAL to send it",
        Stage::Acknowledged => {
            "between sending the WAL and its acknowledgement by the standby's host"
        }
        Stage::Remote => {
            "between the acknowledgement of the WAL by the standby's host and the arrival of the standby's reply"
        }
        Stage::Release => "before the walsender read the reply that had arrived",
        Stage::Wakeup => "before the backend went on after the reply",
        Stage::Unexplained => "not explained",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::stage::WaitStages;

    fn commit(from_ns: u64, ns: [u64; Stage::COUNT]) -> SlowCommit {
        let wait = Span {
            from_ns,
            to_ns: from_ns + ns.iter().sum::<u64>(),
        };
        SlowCommit {
            server: 1,
            whole: wait,
            flush_ns: 0,
            wait,
            in_recovery_ns: None,
            stages: Some(WaitStages { ns }),
        }
    }

    fn recorded(commits: Vec<SlowCommit>) -> Recording {
        Recording {
            slow_commits: Some(commits),
            ..Recording::default()
        }
    }

    #[test]
    fn who_had_a_small_part_was_not_why() {
        let span = Span {
            from_ns: 0,
            to_ns: 1_000,
        };
        let run = recorded(vec![
            commit(10, [0, 10, 90, 0, 0, 0]),
            // Much else, at another time.
            commit(5_000, [0, 9_000, 0, 0, 0, 0]),
        ]);
        assert!(rule_out(&run, span, TO_STANDBY));
        assert!(!rule_out(&run, span, FROM_STANDBY));
        assert!(rule_out(&run, span, &[Stage::Release, Stage::Wakeup]));
        let words = StageSums::during(&run, span).words().unwrap();
        assert!(
            words.ends_with("the arrival of the standby's reply")
                && words.contains("90 % was between")
        );
        let later = Span {
            from_ns: 1_000,
            to_ns: 9_000,
        };
        assert!(!rule_out(&run, later, TO_STANDBY));
    }

    #[test]
    fn what_is_unexplained_may_be_anybody_s() {
        let run = recorded(vec![commit(10, [0, 10, 70, 0, 0, 20])]);
        assert!(!rule_out(&run, run_span(), TO_STANDBY));
    }

    #[test]
    fn what_was_not_followed_rules_out_nothing() {
        let mut other = commit(10, [0, 0, 100, 0, 0, 0]);
        other.stages = None;
        assert!(!rule_out(&recorded(vec![other]), run_span(), TO_STANDBY));
        assert!(!rule_out(&Recording::default(), run_span(), TO_STANDBY));
        assert_eq!(StageSums::default().share(TO_STANDBY), None);
        assert_eq!(StageSums::default().words(), None);
    }

    fn run_span() -> Span {
        Span {
            from_ns: 0,
            to_ns: u64::MAX,
        }
    }
}
