//! How much of all waiting for a standby some sample intervals are.

use std::collections::HashSet;

use crate::evidence::blocked::{SampleInterval, WaitKind, duration_s, most_waiters, waited_s};
use crate::evidence::thresholds::{
    HIGH_SHARE, MEDIUM_SHARE, MIN_DURATION_S, MIN_SAMPLES, MIN_SHARE, NEARLY_ALL,
};
use crate::report::finding::{Confidence, Size};

#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    pub(crate) intervals: Vec<SampleInterval<'a>>,
    /// How long backends waited in them, all together, s.
    pub(crate) waited_s: f64,
    /// How much that is of all waiting for a standby, 0 to 1.
    pub(crate) share: f64,
    pub(crate) percent: f64,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(intervals: Vec<SampleInterval<'a>>, all_s: f64) -> Self {
        let waited_s = waited_s(intervals.iter(), WaitKind::SyncRep);
        let of_all = |times: f64| match all_s > 0.0 {
            true => times * waited_s / all_s,
            false => 0.0,
        };
        Self {
            intervals,
            waited_s,
            share: of_all(1.0),
            percent: of_all(100.0),
        }
    }

    /// Whether it is a good part of all.
    pub(crate) fn is_much(&self) -> bool {
        self.share >= MIN_SHARE
    }

    /// Whether it is a good part, and takes in nearly all of this.
    pub(super) fn is_nearly_all_of(&self, part: &Self) -> bool {
        let there: HashSet<usize> = self.intervals.iter().map(|one| one.index).collect();
        let common = part.intervals.iter();
        let common = common.filter(|one| there.contains(&one.index));
        self.is_much() && waited_s(common, WaitKind::SyncRep) >= NEARLY_ALL * part.waited_s
    }

    /// Whether it is, and lasted.
    pub(crate) fn is_worth_a_finding(&self) -> bool {
        self.is_much() && lasted(&self.intervals)
    }

    /// How sure a cause can be that explains this much.
    pub(crate) fn confidence(&self) -> Confidence {
        by_share(self.share)
    }

    /// How much of the waiting it was, as a clause.
    pub(crate) fn during(&self) -> String {
        let duration_s = duration_s(self.intervals.iter());
        match self.percent.round() >= 100.0 {
            true => format!("during all of the wait ({duration_s:.1} s)"),
            false => format!(
                "during {:.0} % of the wait ({duration_s:.1} s)",
                self.percent
            ),
        }
    }

    /// What all findings on waits for a standby have in common.
    pub(crate) fn size(&self) -> Size {
        Size {
            duration_s: Some(duration_s(self.intervals.iter())),
            waited_s: Some(self.waited_s),
            waiters_max: self.most().map(|(_, waiters)| waiters),
            explained_percent: Some(self.percent),
            ..Size::default()
        }
    }

    /// Where the report shows the sample with the most waiters, after all these.
    pub(crate) fn evidence(&self, first: impl IntoIterator<Item = String>) -> Vec<String> {
        let most = self.most();
        let most = most.map(|(index, _)| sample(index, "sync_rep_waiters"));
        first.into_iter().chain(most).collect()
    }

    /// That sample, and how many waited.
    pub(crate) fn most(&self) -> Option<(usize, u32)> {
        most_waiters(self.intervals.iter(), WaitKind::SyncRep)
    }
}

/// Whether it lasted long enough to be worth a finding.
pub(crate) fn lasted(intervals: &[SampleInterval<'_>]) -> bool {
    intervals.len() >= MIN_SAMPLES && duration_s(intervals.iter()) >= MIN_DURATION_S
}

/// How sure a cause can be that explains such a share, 0 to 1.
pub(crate) fn by_share(share: f64) -> Confidence {
    match share {
        share if share >= HIGH_SHARE => Confidence::High,
        share if share >= MEDIUM_SHARE => Confidence::Medium,
        _ => Confidence::Low,
    }
}

/// Where the report shows a field of a sample.
pub(crate) fn sample(index: usize, field: &str) -> String {
    format!("/postgres/series/{index}/{field}")
}
