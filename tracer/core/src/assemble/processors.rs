//! What the report says of a server's processors, from the readings of its processes.

use crate::clock::RunClock;
use crate::recording::processors::{CpuHistory, CpuInterval};
use crate::report::processors::{ProcessorsReport, ProcessorsStepReport};

pub(super) fn processors(track: &CpuHistory, clock: RunClock) -> ProcessorsReport {
    let sum_s = |of: fn(&CpuInterval) -> u64| track.steps.iter().map(of).sum::<u64>() as f64 / 1e9;
    ProcessorsReport {
        pid: track.pid,
        port: track.port,
        netns: track.netns,
        system_identifier: track.system_identifier.map(|id| id.to_string()),
        ran_s: sum_s(|step| step.ran_ns),
        waited_s: sum_s(|step| step.waited_ns),
        series: track
            .steps
            .iter()
            .map(|step| ProcessorsStepReport {
                time: clock.utc(step.at_ns),
                offset_s: clock.end_s(step.at_ns),
                duration_s: step.at_ns.saturating_sub(step.from_ns) as f64 / 1e9,
                ran_ms: step.ran_ns as f64 / 1e6,
                waited_ms: step.waited_ns as f64 / 1e6,
            })
            .collect(),
    }
}
