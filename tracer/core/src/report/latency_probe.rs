//! What is said of the probe, to people and to programs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::recording::latency::{Quantiles, Step, Total};
use crate::recording::probe::Outcome;
use crate::render::table::milliseconds;

/// What is under way for so long is told.
const LONG_MS: f64 = 100.0;

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
    /// Reads of one row, beside them.
    pub reads: Requests,
}

/// Requests of one sort.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Requests {
    /// How many may be under way at once.
    pub most_outstanding: usize,
    /// Were answered.
    pub answered: u64,
    /// Failed.
    pub failed: u64,
    /// Were due and could not be started, because as many as may be were under way
    /// or connections were lost. They are in no quantile.
    pub not_started: u64,
    /// Were under way at the end. They are in no quantile either.
    pub outstanding: u64,
    /// How long the oldest of these was due by then.
    pub oldest_outstanding_ms: Option<f64>,
    /// How late one was started, at most: the probe's own part in the latencies.
    pub started_late_ms_max: f64,
    /// Latencies of those that were answered, from when they were due.
    #[serde(flatten)]
    pub latency: Latency,
    /// Why some failed, and how many.
    pub failures: BTreeMap<String, u64>,
    /// By interval.
    pub series: Vec<StepReport>,
}

/// Quantiles of latencies; `null` where nothing was answered.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Latency {
    /// Median.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// Largest.
    pub max_ms: Option<f64>,
}

/// One interval.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepReport {
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
    /// Were under way at its end.
    pub outstanding: u64,
    /// How long the oldest of these was due by then.
    pub oldest_outstanding_ms: Option<f64>,
    /// Latencies of those that were answered in it.
    #[serde(flatten)]
    pub latency: Latency,
}

impl From<Quantiles> for Latency {
    fn from(from: Quantiles) -> Self {
        Self {
            p50_ms: from.p50_ms,
            p95_ms: from.p95_ms,
            p99_ms: from.p99_ms,
            max_ms: from.max_ms,
        }
    }
}

/// Makes it.
#[must_use]
pub fn assemble(outcome: Outcome, clock: &Clock, start_ns: u64) -> ProbeReport {
    ProbeReport {
        rate: outcome.plan.rate.get(),
        table: None,
        removed: None,
        begun: outcome.begun_ns.map(|at_ns| clock.utc(at_ns)),
        commits: requests(outcome.commits, outcome.most.commits, clock, start_ns),
        reads: requests(outcome.reads, outcome.most.reads, clock, start_ns),
    }
}

fn requests(total: Total, most: usize, clock: &Clock, start_ns: u64) -> Requests {
    Requests {
        most_outstanding: most,
        answered: total.answered,
        failed: total.failed,
        not_started: total.not_started,
        outstanding: total.outstanding,
        oldest_outstanding_ms: total.oldest_ms,
        started_late_ms_max: total.started_late_ms_max,
        latency: total.latency.into(),
        failures: total.reasons,
        series: total
            .steps
            .into_iter()
            .map(|step| StepReport {
                time: clock.utc(step.at_ns),
                offset_s: (step.at_ns as f64 - start_ns as f64) / 1e9,
                answered: step.answered,
                failed: step.failed,
                not_started: step.not_started,
                outstanding: step.outstanding,
                oldest_outstanding_ms: step.oldest_ms,
                latency: step.latency.into(),
            })
            .collect(),
    }
}

/// The last interval in one line.
#[must_use]
pub fn line(commits: &Step, reads: &Step) -> String {
    let mut line = format!(
        "  probe: {} commits, p50 {}, max {}; {} reads, p50 {}, max {}",
        commits.answered,
        milliseconds(commits.latency.p50_ms),
        milliseconds(commits.latency.max_ms),
        reads.answered,
        milliseconds(reads.latency.p50_ms),
        milliseconds(reads.latency.max_ms),
    );
    if let (outstanding @ 1.., Some(oldest)) = (commits.outstanding, commits.oldest_ms)
        && oldest >= LONG_MS
    {
        line += &format!(
            "; {outstanding} commits in flight, since {}",
            milliseconds(Some(oldest))
        );
    }
    for (count, what) in [
        (commits.failed, "commits failed"),
        (commits.not_started, "commits not started"),
        (reads.failed, "reads failed"),
        (reads.not_started, "reads not started"),
    ] {
        if count > 0 {
            line += &format!("; {count} {what}");
        }
    }
    line
}

/// The whole run in two lines.
#[must_use]
pub fn summary(probe: &ProbeReport) -> [String; 2] {
    let words = |what: &str, requests: &Requests| {
        let Latency {
            p50_ms,
            p95_ms,
            p99_ms,
            max_ms,
        } = requests.latency;
        format!(
            "  {what}: {} answered, {} failed, {} not started, {} in flight at the end; p50 {}, p95 {}, p99 {}, max {}",
            requests.answered,
            requests.failed,
            requests.not_started,
            requests.outstanding,
            milliseconds(p50_ms),
            milliseconds(p95_ms),
            milliseconds(p99_ms),
            milliseconds(max_ms),
        )
    };
    [
        words("probe's commits", &probe.commits),
        words("probe's reads  ", &probe.reads),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::latency::Latencies;

    fn step() -> Step {
        Step {
            at_ns: 0,
            answered: 10,
            failed: 0,
            not_started: 0,
            outstanding: 0,
            oldest_ms: None,
            latency: Quantiles {
                p50_ms: Some(2.0),
                p95_ms: Some(3.0),
                p99_ms: Some(4.0),
                max_ms: Some(9.0),
            },
            latencies: Latencies::default(),
        }
    }

    #[test]
    fn a_line_has_what_is_the_matter_and_nothing_else() {
        assert_eq!(
            line(&step(), &step()),
            "  probe: 10 commits, p50 2.00 ms, max 9.00 ms; 10 reads, p50 2.00 ms, max 9.00 ms"
        );
        let stalled = Step {
            answered: 0,
            outstanding: 3,
            oldest_ms: Some(1_500.0),
            not_started: 7,
            latency: Quantiles::default(),
            ..step()
        };
        assert_eq!(
            line(&stalled, &step()),
            "  probe: 0 commits, p50 -, max -; 10 reads, p50 2.00 ms, max 9.00 ms; \
             3 commits in flight, since 1500 ms; 7 commits not started"
        );
    }
}
