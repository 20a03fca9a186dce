//! What the report says of the database, from what was learnt of it.

use crate::assemble::latency_probe::latency_probe;
use crate::clock::RunClock;
use crate::recording::database::DatabaseRecord;
use crate::report::postgres::{GapReport, PostgresReport, RoleReport, SampleReport};

pub(super) fn postgres(record: DatabaseRecord, clock: RunClock, end_ns: u64) -> PostgresReport {
    let greeting = record.greeting.as_ref();
    PostgresReport {
        server_version: greeting.map(|greeting| greeting.version.clone()),
        system_identifier: greeting
            .and_then(|greeting| greeting.system_identifier)
            .map(|id| id.to_string()),
        user: greeting.map(|greeting| greeting.user.clone()),
        sees_all: greeting.map(|greeting| greeting.sees_all),
        target: record.target,
        roles: record
            .turns
            .iter()
            .map(|turn| RoleReport {
                time: clock.utc(turn.at_ns),
                offset_s: clock.offset_s(turn.at_ns),
                role: turn.role,
                timeline: turn.timeline,
            })
            .collect(),
        standbys: record.standbys.into_summaries(),
        sync_rep_waiters_max: record.most_waiting,
        statements: record.statements,
        samples: record.taken,
        series_stride: record.stride,
        series: record
            .samples
            .into_iter()
            .map(|sample| SampleReport {
                time: clock.utc(sample.at_ns),
                offset_s: clock.offset_s(sample.at_ns),
                sample,
            })
            .collect(),
        gaps: record
            .gaps
            .into_iter()
            .map(|gap| GapReport {
                start: clock.utc(gap.start_ns),
                end: gap.end_ns.map(|end| clock.utc(end)),
                offset_s: clock.offset_s(gap.start_ns),
                duration_s: gap.end_ns.unwrap_or(end_ns).saturating_sub(gap.start_ns) as f64 / 1e9,
                reason: gap.reason,
                failures: gap.failures,
            })
            .collect(),
        more_gaps: record.more_gaps,
        probe: record.probe.map(|outcome| latency_probe(outcome, clock)),
    }
}
