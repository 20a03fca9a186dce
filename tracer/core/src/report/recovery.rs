//! One recovery from a loss.

use serde::{Deserialize, Serialize};

/// One hole in what the peer has: from when what was retransmitted first was missing to the
/// acknowledgement that closed it, both as far as its timers tell.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecoveryReport {
    /// Since when it was missing: as long before it was retransmitted first as that timer ran.
    pub start: String,
    /// The same from the start of the window.
    pub offset_s: f64,
    /// Until it was answered: a round trip after it was retransmitted last.
    pub duration_s: f64,
    /// Segments that were retransmitted.
    pub segments: u64,
}
