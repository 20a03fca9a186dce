//! What one sample of a server shows.
//!
//! Lags in bytes are differences of positions in the WAL at the moment of the sample;
//! below zero, the standby says that it is ahead of its primary, which is never
//! true. Lags in milliseconds are those of the last reply that came, and stand still
//! while none comes. The age of a reply is by the standby's own clock.

use serde::{Deserialize, Serialize};

use crate::report::statements::{Statements, Sums};

/// What a server is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It is in recovery.
    Standby,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
        }
    }
}

/// What one sample shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When the answer came, ns of `CLOCK_MONOTONIC`.
    #[serde(skip)]
    pub at_ns: u64,
    /// How long the server took to answer.
    pub took_ms: f64,
    /// What it is.
    pub role: Role,
    /// Its timeline.
    pub timeline: Option<u32>,
    /// Where its log ends: what was written on a primary, received on a standby.
    pub wal_lsn: Option<String>,
    /// `synchronous_standby_names`; empty if no commit waits for anybody.
    pub synchronous_standby_names: Option<String>,
    /// `synchronous_commit` of our own session: what commits wait for to be done there,
    /// unless a session has a setting of its own.
    pub synchronous_commit: Option<String>,
    /// Transactions that ended with a commit in all databases, reads included, since
    /// the server's statistics began.
    pub xact_commit: Option<u64>,
    /// The same a second, since the sample before; one a sample is our own.
    pub commits_per_s: Option<f64>,
    /// Sums over all statements, since the statistics began.
    #[serde(skip)]
    pub statement_sums: Option<Sums>,
    /// What statements came since the sample before, by `pg_stat_statements`; `null`
    /// without it, and where its statistics were reset since.
    pub statements: Option<Statements>,
    /// Backends that run a statement or wait for one, ours excepted; `null` if we
    /// may not see them, or some of them are `untracked`.
    pub active: Option<u32>,
    /// Backends of which the server does not say whether they are active, and since
    /// when: `track_activities` is off for them. `null` if we may not see them.
    #[serde(default)]
    pub untracked: Option<u32>,
    /// Backends that wait for a synchronous standby; `null` if we may not see them, and
    /// before version 14 also where some of them are `untracked`.
    pub sync_rep_waiters: Option<u32>,
    /// For how long the oldest of their statements has been in flight, 0 if nobody
    /// waits: the wait for the standby is its end, and of a `COMMIT` nearly all of it.
    /// Of the `untracked` it is not known; `null` if it is known of none who waits.
    pub sync_rep_longest_ms: Option<f64>,
    /// Backends by what they wait for; `null` as `sync_rep_waiters` is.
    pub waits: Option<Vec<Wait>>,
    /// Who receives this server's log.
    pub standbys: Vec<Standby>,
    /// Replication slots.
    pub slots: Vec<Slot>,
    /// From whom this server receives its log.
    pub receiver: Option<Receiver>,
    /// How far a standby has replayed.
    pub replay: Option<Replay>,
}

/// Backends that wait for the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// Its type, such as `IPC`, `IO`, `LWLock` or `Lock`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The event, such as `SyncRep`, `WALSync` or `transactionid`.
    pub event: String,
    /// How many.
    pub backends: u32,
    /// How long ago the oldest of their statements began, ms: none of them has waited for
    /// longer. `null` if it is not known.
    #[serde(default)]
    pub longest_ms: Option<f64>,
}

/// One row of `pg_stat_replication`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Standby {
    /// Its walsender's process id on the server.
    pub pid: u32,
    /// What it calls itself.
    pub application_name: Option<String>,
    /// Its address; `null` for a socket file.
    pub client_addr: Option<String>,
    /// Its port.
    pub client_port: Option<u16>,
    /// `streaming`, `catchup`, `backup`, …
    pub state: Option<String>,
    /// `sync`, `quorum`, `potential` or `async`.
    pub sync_state: Option<String>,
    /// Written and not sent yet.
    pub sent_lag_bytes: Option<i64>,
    /// Not written by the standby yet, as far as it has said.
    pub write_lag_bytes: Option<i64>,
    /// Not flushed by it yet.
    pub flush_lag_bytes: Option<i64>,
    /// Not replayed by it yet.
    pub replay_lag_bytes: Option<i64>,
    /// How long recent log took to be written by the standby and confirmed.
    pub write_lag_ms: Option<f64>,
    /// Flushed.
    pub flush_lag_ms: Option<f64>,
    /// Replayed.
    pub replay_lag_ms: Option<f64>,
    /// Since the last reply was sent, by the standby's clock.
    pub reply_age_ms: Option<f64>,
    /// When that was, µs since 1970: two samples with the same show that none arrived in
    /// between.
    #[serde(default)]
    pub reply_sent_us: Option<i64>,
}

/// One row of `pg_replication_slots`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// `physical` or `logical`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether somebody streams from it.
    pub active: bool,
    /// How much log it keeps the server from removing.
    pub retained_bytes: Option<i64>,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub wal_status: Option<String>,
}

/// The row of `pg_stat_wal_receiver`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receiver {
    /// Its process id on the server.
    pub pid: u32,
    /// `streaming`, …
    pub status: Option<String>,
    /// Whom it receives from.
    pub sender_host: Option<String>,
    /// And its port.
    pub sender_port: Option<u16>,
    /// Its slot there.
    pub slot: Option<String>,
    /// Received and not flushed yet.
    pub flush_lag_bytes: Option<i64>,
    /// Since the last message was received.
    pub message_age_ms: Option<f64>,
}

/// How far a standby has replayed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Where it is.
    pub lsn: Option<String>,
    /// Received and not replayed yet.
    pub lag_bytes: Option<i64>,
    /// Age of the last transaction that was replayed; grows while nobody writes.
    pub last_commit_age_ms: Option<f64>,
    /// Whether somebody has paused it.
    pub paused: bool,
    /// What the startup process, which replays, waits for: the type, such as `IPC`, `IO`, `Lock`
    /// or `Activity`. `null` if it waits for nothing, or we may not see it.
    #[serde(default)]
    pub wait_event_type: Option<String>,
    /// And the event, such as `RecoveryPause`, `RecoveryConflictSnapshot`, `DataFileRead`, or
    /// `RecoveryWalStream` where it has replayed all that there is.
    #[serde(default)]
    pub wait_event: Option<String>,
}

impl Standby {
    /// What to call it: the name that it gives itself, or its address.
    pub fn name(&self) -> Option<&str> {
        let named = self.application_name.as_deref();
        named
            .filter(|name| !name.is_empty())
            .or(self.client_addr.as_deref())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample(role: Role) -> Sample {
        Sample {
            at_ns: 0,
            took_ms: 1.0,
            role,
            timeline: Some(1),
            wal_lsn: Some("0/3000148".into()),
            synchronous_standby_names: Some("db2".into()),
            synchronous_commit: Some("on".into()),
            xact_commit: Some(100),
            commits_per_s: None,
            statement_sums: None,
            statements: None,
            active: Some(0),
            untracked: Some(0),
            sync_rep_waiters: Some(0),
            sync_rep_longest_ms: Some(0.0),
            waits: Some(Vec::new()),
            standbys: Vec::new(),
            slots: Vec::new(),
            receiver: None,
            replay: None,
        }
    }

    pub(crate) fn standby(name: &str, pid: u32) -> Standby {
        Standby {
            pid,
            application_name: Some(name.into()),
            client_addr: Some("10.0.10.3".into()),
            client_port: Some(40_396),
            state: Some("streaming".into()),
            sync_state: Some("sync".into()),
            sent_lag_bytes: Some(0),
            write_lag_bytes: Some(0),
            flush_lag_bytes: Some(200),
            replay_lag_bytes: Some(300),
            write_lag_ms: None,
            flush_lag_ms: None,
            replay_lag_ms: None,
            reply_age_ms: Some(50.0),
            reply_sent_us: None,
        }
    }

    #[test]
    fn a_standby_without_a_name_is_called_by_its_address() {
        assert_eq!(standby("db2", 1).name(), Some("db2"));
        assert_eq!(standby("", 1).name(), Some("10.0.10.3"));
    }
}
