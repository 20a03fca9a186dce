//! What the report says of the processors.

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::recording::processors::{Step, Track};

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
    pub series: Vec<StepReport>,
}

/// One interval.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepReport {
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

impl ProcessorsReport {
    /// By the clock and from the start of the run.
    #[must_use]
    pub fn new(track: &Track, clock: &Clock, start_ns: u64) -> Self {
        let sum_s = |of: fn(&Step) -> u64| track.steps.iter().map(of).sum::<u64>() as f64 / 1e9;
        Self {
            pid: track.pid,
            port: track.port,
            netns: track.netns,
            system_identifier: track.system_identifier.map(|id| id.to_string()),
            ran_s: sum_s(|step| step.ran_ns),
            waited_s: sum_s(|step| step.waited_ns),
            series: track
                .steps
                .iter()
                .map(|step| StepReport {
                    time: clock.utc(step.at_ns),
                    offset_s: step.at_ns.saturating_sub(start_ns) as f64 / 1e9,
                    duration_s: step.at_ns.saturating_sub(step.from_ns) as f64 / 1e9,
                    ran_ms: step.ran_ns as f64 / 1e6,
                    waited_ms: step.waited_ns as f64 / 1e6,
                })
                .collect(),
        }
    }
}
