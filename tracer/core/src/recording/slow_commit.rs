//! Commits that were slow, and what all of a server took.

use crate::interval::Span;
use crate::recording::stage::WaitStages;

/// A commit that was slow, and its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowCommit {
    /// Its server's first process.
    pub server: u32,
    /// From its start to its end.
    pub whole: Span,
    /// Of which it brought its WAL to the disk for, ns.
    pub flush_ns: u64,
    /// Of which it waited for a standby.
    pub wait: Span,
    /// Of which the replication was recovering from a loss for, ns; `None` if it was
    /// not traced.
    pub in_recovery_ns: Option<u64>,
    /// What the wait was made of; `None` if it was not followed.
    pub stages: Option<WaitStages>,
}

/// All commits of a server, slow or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllCommits {
    /// The server's first process.
    pub server: u32,
    /// How long they took together, ns.
    pub spent_ns: u64,
    /// How long one usually takes, ns; `None` if that is not known.
    pub usual_ns: Option<u64>,
}
