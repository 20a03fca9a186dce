//! Commits that were slow, and what is usual.

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

/// A server of which it is known how long commits usually take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownServer {
    /// Its first process.
    pub server: u32,
    /// How long one usually takes, ns.
    pub usual_ns: u64,
    /// When most of them were slow by that, in order.
    pub slow_times: Vec<Span>,
}
