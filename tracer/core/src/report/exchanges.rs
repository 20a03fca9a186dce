//! When single messages and replies of a replication were sent or arrived: what the reports of
//! two hosts have in common, by which their clocks can be compared.

use serde::{Deserialize, Serialize};

/// The most messages, and the most replies, of one connection.
pub const MAX_EXCHANGES: usize = 256;

/// Some messages with WAL and some replies on one connection, those whose keys have the lowest
/// ranks of all (`splitmix64` of the key), at most [`MAX_EXCHANGES`] of each: two hosts keep the
/// same. Times are ns of the host's `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangesReport {
    /// Of messages, where their WAL ends, as a number of bytes.
    pub wal_end: Vec<u64>,
    /// Of the same messages, when the walsender took them to send them; on a standby, by when
    /// they had arrived there, in order.
    pub wal_ns: Vec<u64>,
    /// Of replies, the TCP sequence number of their first byte.
    pub reply_seq: Vec<u32>,
    /// Of the same replies, when they arrived; on a standby, when it began to send them.
    pub reply_ns: Vec<u64>,
}
