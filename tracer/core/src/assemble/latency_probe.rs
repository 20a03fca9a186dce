//! What the report says of the commit probe, from what came of it.

use crate::clock::RunClock;
use crate::recording::latency::Total;
use crate::recording::probe::Outcome;
use crate::report::latency_probe::{ProbeReport, ProbeStepReport, Requests};

pub(super) fn latency_probe(outcome: Outcome, clock: RunClock) -> ProbeReport {
    ProbeReport {
        rate: outcome.plan.rate.get(),
        table: None,
        removed: None,
        begun: outcome.begun_ns.map(|at_ns| clock.utc(at_ns)),
        commits: requests(outcome.commits, outcome.most.commits, clock),
        reads: requests(outcome.reads, outcome.most.reads, clock),
    }
}

fn requests(total: Total, most: usize, clock: RunClock) -> Requests {
    Requests {
        most_outstanding: most,
        answered: total.answered,
        failed: total.failed,
        not_started: total.not_started,
        outstanding: total.outstanding,
        oldest_outstanding_ms: total.oldest_ms,
        started_late_ms_max: total.started_late_ms_max,
        latency: total.latency,
        failures: total.reasons,
        series: total
            .steps
            .into_iter()
            .map(|step| ProbeStepReport {
                time: clock.utc(step.at_ns),
                offset_s: clock.offset_s(step.at_ns),
                answered: step.answered,
                failed: step.failed,
                not_started: step.not_started,
                outstanding: step.outstanding,
                oldest_outstanding_ms: step.oldest_ms,
                latency: step.latency,
            })
            .collect(),
    }
}
