//! What the report says of the commit probe.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::report::quantiles::Quantiles;

/// The commit probe.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Commits a second that were due, and as many reads.
    pub rate: u32,
    /// `null`: there is no table. Earlier versions wrote to one.
    pub table: Option<String>,
    /// `null`: see `table`.
    pub removed: Option<bool>,
    /// When the first commit was due; `null` if none could be.
    pub begun: Option<String>,
    /// Commits.
    pub commits: Requests,
    /// Reads of one row, at the same rate.
    pub reads: Requests,
}

/// Requests of one sort.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Requests {
    /// How many may be in flight at once.
    pub most_outstanding: usize,
    /// Were answered.
    pub answered: u64,
    /// Failed.
    pub failed: u64,
    /// Were due and could not be started, because as many as may be were in flight
    /// or connections were lost. They are in no quantile.
    pub not_started: u64,
    /// Were in flight at the end. They are in no quantile either.
    pub outstanding: u64,
    /// How long the oldest of these was due by then.
    pub oldest_outstanding_ms: Option<f64>,
    /// How late one was started, at most: the probe's own part in the latencies.
    pub started_late_ms_max: f64,
    /// Latencies of those that were answered, from when they were due.
    #[serde(flatten)]
    pub latency: Quantiles,
    /// Why some failed, and how many.
    pub failures: BTreeMap<String, u64>,
    /// By interval.
    pub series: Vec<ProbeStepReport>,
}

/// One interval.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProbeStepReport {
    /// Its end.
    pub time: String,
    /// Its end, from the start of the window.
    pub offset_s: f64,
    /// Were answered in it.
    pub answered: u64,
    /// Failed in it.
    pub failed: u64,
    /// Were due in it and not started.
    pub not_started: u64,
    /// Were in flight at its end.
    pub outstanding: u64,
    /// How long the oldest of these was due by then.
    pub oldest_outstanding_ms: Option<f64>,
    /// Latencies of those that were answered in it.
    #[serde(flatten)]
    pub latency: Quantiles,
}
