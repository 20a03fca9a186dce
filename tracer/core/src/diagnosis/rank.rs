//! In which order findings are shown.

use std::cmp::Ordering;

use crate::evidence::thresholds::UNEXPLAINED_WEIGHT;
use crate::report::finding::{Cause, Finding};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rank {
    /// What is committed can be lost: that comes before what is slow.
    DataAtRisk,
    /// Backends waited for so long because of it, s.
    Waited(f64),
    /// So did they, and for how many segments that were retransmitted or had a bad
    /// checksum: between equals, what was seen more often comes first.
    WaitedForSegments(f64, u64),
    /// So did they, and nobody knows why.
    Unexplained(f64),
    /// Nobody is known to have waited.
    Note,
    /// Nor need anything be the matter.
    MayBeIntended,
}

impl Rank {
    /// Seconds, or what counts as many.
    fn weight(self) -> f64 {
        match self {
            Self::DataAtRisk => f64::INFINITY,
            Self::Waited(waited_s) | Self::WaitedForSegments(waited_s, _) => waited_s,
            Self::Unexplained(waited_s) => UNEXPLAINED_WEIGHT * waited_s,
            Self::Note => 0.0,
            Self::MayBeIntended => -1.0,
        }
    }

    fn segments(self) -> u64 {
        match self {
            Self::WaitedForSegments(_, segments) => segments,
            _ => 0,
        }
    }

    /// The most important first.
    fn compare(self, other: Self) -> Ordering {
        let by_weight = other.weight().total_cmp(&self.weight());
        by_weight.then_with(|| other.segments().cmp(&self.segments()))
    }
}

#[derive(Debug, Clone)]
pub(super) struct Ranked {
    pub(super) rank: Rank,
    pub(super) finding: Finding,
}

impl Ranked {
    pub(super) fn new(rank: Rank, finding: Finding) -> Self {
        Self { rank, finding }
    }

    /// Whether it says what commits waited for: who waits for another one's lock has not begun
    /// to commit.
    pub(super) fn explains_commits(&self) -> bool {
        match self.rank {
            Rank::Waited(_) | Rank::WaitedForSegments(..) | Rank::Unexplained(_) => {
                self.finding.cause != Cause::LockWaits
            }
            Rank::DataAtRisk | Rank::Note | Rank::MayBeIntended => false,
        }
    }
}

/// The most important first; equals in the order of the table of causes.
pub(super) fn in_order(mut found: Vec<Ranked>) -> Vec<Finding> {
    found.sort_by(|a, b| a.rank.compare(b.rank));
    found.into_iter().map(|one| one.finding).collect()
}
