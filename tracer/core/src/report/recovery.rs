//! One recovery from a loss.

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::interval::Span;
use crate::recording::loss_recovery::Hole;

/// One hole in what the peer has: from when what was sent again first was missing to the
/// acknowledgement that closed it, both as far as its timers tell.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecoveryReport {
    /// Since when it was missing: as long before it was sent again first as that timer ran.
    pub start: String,
    /// The same from the start of the window.
    pub offset_s: f64,
    /// Until it was answered: a round trip after it was sent again last.
    pub duration_s: f64,
    /// Segments that were sent again.
    pub segments: u64,
}

impl RecoveryReport {
    /// By the clock and from the start of the run.
    #[must_use]
    pub fn new(hole: &Hole, clock: &Clock, start_ns: u64) -> Self {
        Self {
            start: clock.utc(hole.from_ns),
            offset_s: (hole.from_ns as f64 - start_ns as f64) / 1e9,
            duration_s: span(hole).seconds(),
            segments: hole.segments,
        }
    }
}

/// From when to when it lasted.
#[must_use]
pub fn span(hole: &Hole) -> Span {
    Span {
        from_ns: hole.from_ns,
        to_ns: hole.to_ns,
    }
}
