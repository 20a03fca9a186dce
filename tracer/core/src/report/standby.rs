//! What became of a standby over a run.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// One standby over a run: connections of one name from one address, of which no two
/// were there in the same sample.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StandbyReport {
    /// `application_name`, or the address; `null` if we may not see either.
    pub name: Option<String>,
    /// The address that it came from; empty for a socket file, or if we may not see it.
    pub addresses: BTreeSet<String>,
    /// The port of its latest connection.
    #[serde(default)]
    pub port: Option<u16>,
    /// Walsenders that served it, one a connection.
    pub pids: BTreeSet<u32>,
    /// States that were seen, such as `streaming`.
    pub states: BTreeSet<String>,
    /// Likewise, such as `sync`.
    pub sync_states: BTreeSet<String>,
    /// Samples that showed it.
    pub samples: u64,
    /// The largest lag in bytes, of what was sent.
    pub sent_lag_bytes_max: Option<i64>,
    /// Of what it has flushed.
    pub flush_lag_bytes_max: Option<i64>,
    /// Of what it has replayed.
    pub replay_lag_bytes_max: Option<i64>,
    /// Below zero, the standby has claimed WAL that its primary never wrote: from
    /// then on commits may not wait for it.
    pub flush_lag_bytes_min: Option<i64>,
    /// The largest delay of a flush that was confirmed.
    pub flush_lag_ms_max: Option<f64>,
    /// The largest age of a reply.
    pub reply_age_ms_max: Option<f64>,
}
