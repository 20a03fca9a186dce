//! What the report says of the processors.

use serde::{Deserialize, Serialize};

/// One server on this host, and what all its processes together had.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessorsReport {
    /// Its first process, as this tool sees it.
    pub pid: u32,
    /// Where it listens.
    pub port: Option<u16>,
    /// Its network namespace, inode as in `net:[N]`.
    pub netns: Option<u32>,
    /// What it has in common with its standbys and with no other server; as text,
    /// because it has more digits than some readers' numbers.
    pub system_identifier: Option<String>,
    /// Ran for.
    pub ran_s: f64,
    /// Was ready to run for, and had no processor.
    pub waited_s: f64,
    /// The same by interval.
    pub series: Vec<ProcessorsStepReport>,
}

/// One interval.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessorsStepReport {
    /// Its end.
    pub time: String,
    /// Its end, from the start of the window.
    pub offset_s: f64,
    /// Its length.
    pub duration_s: f64,
    /// Ran for.
    pub ran_ms: f64,
    /// Was ready to run for, and had no processor.
    pub waited_ms: f64,
}
