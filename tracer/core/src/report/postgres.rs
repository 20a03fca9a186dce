//! What the report says of the database.

use serde::{Deserialize, Serialize};

use crate::report::latency_probe::ProbeReport;
use crate::report::sample::{Role, Sample};
use crate::report::standby::StandbyReport;
use crate::report::statements::Account;

/// The database over a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostgresReport {
    /// Whom we asked, without the password.
    pub target: String,
    /// The version, as the server writes it; `null` if it never answered.
    pub server_version: Option<String>,
    /// What it has in common with its standbys and with no other server, as text.
    pub system_identifier: Option<String>,
    /// The role that asked.
    pub user: Option<String>,
    /// Whether that role may see other roles' statistics; if not, much is `null`.
    pub sees_all: Option<bool>,
    /// What the server was, from when on.
    pub roles: Vec<RoleReport>,
    /// Each standby over the whole run.
    pub standbys: Vec<StandbyReport>,
    /// The most backends that were seen to wait for a standby at once.
    pub sync_rep_waiters_max: Option<u32>,
    /// Statements by `pg_stat_statements`; `null` if the server never answered.
    pub statements: Option<Account>,
    /// Samples that were taken; every `series_stride`th is in `series`.
    pub samples: u64,
    /// Larger than 1 only in a very long run.
    pub series_stride: u64,
    /// The samples.
    pub series: Vec<SampleReport>,
    /// Times without samples.
    pub gaps: Vec<GapReport>,
    /// Gaps beyond those.
    pub more_gaps: u64,
    /// The commit probe; `null` unless asked for (`--commit-probe`).
    pub probe: Option<ProbeReport>,
}

/// What the server was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RoleReport {
    /// The first sample that showed it.
    pub time: String,
    /// From the start of the window; below zero if it was known before.
    pub offset_s: f64,
    /// What it was.
    pub role: Role,
    /// On which timeline.
    pub timeline: Option<u32>,
}

/// One sample.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SampleReport {
    /// When the answer came.
    pub time: String,
    /// From the start of the window.
    pub offset_s: f64,
    /// What it showed.
    #[serde(flatten)]
    pub sample: Sample,
}

/// A time without samples.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GapReport {
    /// The last sample before it.
    pub start: String,
    /// The first sample after it; `null` if there was none any more.
    pub end: Option<String>,
    /// Its start, from the start of the window.
    pub offset_s: f64,
    /// Its length, up to the end of the run at most.
    pub duration_s: f64,
    /// Why.
    pub reason: String,
    /// Attempts that failed.
    pub failures: u64,
}
