//! A part of the run, and what it was like.

use serde::{Deserialize, Serialize};

use crate::by_kind::Kinds;
use crate::report::quantiles::Quantiles;

/// A part of the run, and what it was like.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PhaseReport {
    /// `baseline`, `fault` and `recovery`, or `whole` if nothing sets a part apart.
    pub name: Name,
    /// Its start.
    pub start: String,
    /// Its end.
    pub end: String,
    /// Its start, from the start of the window.
    pub offset_s: f64,
    /// Its length.
    pub duration_s: f64,
    /// How it was chosen.
    pub chosen_by: ChosenBy,
    /// In which series the change was found; `null` if it was chosen otherwise.
    pub found_in: Option<Signal>,
    /// What it was like.
    #[serde(flatten)]
    pub figures: Figures,
}

/// How a phase was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChosenBy {
    /// By the time in which something was broken on purpose.
    FaultWindow,
    /// By `--phases`.
    Request,
    /// By a change in a series.
    ChangePoint,
    /// There was nothing to choose by.
    Nothing,
}

/// The series in which a change was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// The slowest commit of each of the probe's intervals.
    CommitLatency,
    /// Backends that wait for a standby.
    SyncRepWaiters,
    /// Segments retransmitted, of all flows.
    Retransmits,
}

/// Which part of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Name {
    /// Before.
    Baseline,
    /// While it lasted.
    Fault,
    /// After.
    Recovery,
    /// All of it: nothing sets a part apart.
    Whole,
}

/// What a phase was like; `null` is what was not measured in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// What replication flows retransmitted; `null` if none was seen.
    pub replication: Option<Rates>,
    /// What was retransmitted to clients, or by them; `null` likewise.
    pub clients: Option<Rates>,
    /// What all flows retransmitted.
    pub selected: Rates,
    /// Segments that arrived with a bad checksum from the peers that the filter keeps.
    pub arrived_damaged: Option<u64>,
    /// The probe's commits.
    pub commits: Option<PhaseRequests>,
    /// The probe's reads.
    pub reads: Option<PhaseRequests>,
    /// The most log, in bytes, that a standby had not flushed yet.
    pub flush_lag_bytes_max: Option<i64>,
    /// The oldest that a standby's last reply was.
    pub reply_age_ms_max: Option<f64>,
    /// The most backends that waited for a standby at once.
    pub sync_rep_waiters_max: Option<u32>,
    /// For WAL to reach the disk (`WALSync`, `WALWrite`).
    pub wal_waiters_max: Option<u32>,
    /// For another transaction (`Lock`).
    pub lock_waiters_max: Option<u32>,
    /// Time in which samples showed somebody waiting for a standby.
    pub sync_rep_s: Option<f64>,
    /// How much of that time a replication flow was in loss recovery, by interval, as
    /// seen from this host, per cent; `null` also if nobody waited.
    pub sync_rep_in_recovery_percent: Option<f64>,
}

/// What some flows retransmitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Segments.
    pub segments: u64,
    /// The same a second; `null` in a part of the run that is shorter than an
    /// interval: it holds whatever interval happens to end in it.
    pub per_s: Option<f64>,
    /// A second, by kind; `null` likewise.
    pub by_kind_per_s: Option<KindRates>,
}

/// Segments a second, by kind.
pub type KindRates = Kinds<f64>;

/// What became of the probe's requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseRequests {
    /// Answered in the phase.
    pub answered: u64,
    /// The same a second; `null` in a part of the run that is shorter than an
    /// interval.
    pub answered_per_s: Option<f64>,
    /// Failed.
    pub failed: u64,
    /// Due and not started.
    pub not_started: u64,
    /// Latency of those that were answered, to a hundredth.
    #[serde(flatten)]
    pub latency: Quantiles,
}
