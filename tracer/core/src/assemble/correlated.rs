//! Phases and findings: what the pure core is given, and how its answer is shown.

use crate::assemble::commits::wait_of;
use crate::clock::RunClock;
use crate::diagnosis;
use crate::interval::Span;
use crate::phases::{Choice, Phase};
use crate::recording::slow_commit::{KnownServer, SlowCommit};
use crate::recording::{Recording, Recoveries};
use crate::report::finding::Finding;
use crate::report::phase::PhaseReport;

/// Phases and findings of a run, whose flows have their roles by now.
pub(super) fn correlated(recording: &Recording) -> (Vec<PhaseReport>, Vec<Finding>) {
    let phases = crate::phases::phases(recording, choice(recording))
        .into_iter()
        .map(|one| phase(one, recording.run_clock()))
        .collect();
    (phases, diagnosis::findings(recording))
}

fn phase(phase: Phase, clock: RunClock) -> PhaseReport {
    PhaseReport {
        name: phase.name,
        start: clock.utc(phase.span.from_ns),
        end: clock.utc(phase.span.to_ns),
        offset_s: clock.end_s(phase.span.from_ns),
        duration_s: phase.span.seconds(),
        chosen_by: phase.chosen_by,
        found_in: phase.found_in,
        figures: phase.figures,
    }
}

fn choice(recording: &Recording) -> Choice {
    let asked = recording.settings.phases;
    let from_ns = recording.faults.iter().map(|fault| fault.started_ns).min();
    let to_ns = recording.faults.iter().map(|fault| fault.ended_ns).max();
    match (asked, from_ns, to_ns) {
        (Some((before, lasts)), ..) => Choice::Asked(ns(before), ns(lasts)),
        (None, Some(from_ns), Some(to_ns)) => Choice::Fault(Span { from_ns, to_ns }),
        _ => Choice::Series,
    }
}

fn ns(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Commits that were slow, and what of their waits is charged to losses.
pub(super) fn slow_commits(
    recording: &Recording,
    recoveries: Option<&Recoveries>,
) -> Option<Vec<SlowCommit>> {
    let record = recording.commits.as_ref()?;
    let slow = record.slowest.of(|pid| record.server(pid).is_some());
    let slow = slow.iter().map(|one| {
        let wait = wait_of(one);
        SlowCommit {
            server: one.server,
            whole: Span {
                from_ns: one.start_ns,
                to_ns: wait.to_ns,
            },
            flush_ns: one.flush_ns,
            wait,
            in_recovery_ns: record
                .recoveries_of(one.server, recoveries)
                .map(|spans| wait.covered_ns(spans)),
            stages: record.followed(one).map(|found| found.stages),
        }
    });
    Some(slow.collect())
}

/// Servers of which it is known how long commits usually take.
pub(super) fn known_servers(recording: &Recording) -> Vec<KnownServer> {
    let servers = recording.commits.iter().flat_map(|one| &one.servers);
    let known = servers.filter_map(|server| {
        Some(KnownServer {
            server: server.pid,
            usual_ns: server.usual_ns?,
            slow_times: server.slow_times.clone(),
        })
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use crate::recording::processors;
    use serde_json::Value;
    use std::net::Ipv4Addr;
    use tracer_ebpf::{Flow, RetransmitKind, Tuple};

    use crate::assemble::assemble;
    use crate::recording::Recording;
    use crate::recording::database::DatabaseRecord;
    use crate::recording::flow_table::FlowTable;
    use crate::recording::roles::Known;
    use crate::recording::settings::Settings;
    use crate::report::Request;
    use crate::report::fault::{FaultKind, FaultReport};
    use crate::report::sample::tests::{sample, standby};
    use crate::report::sample::{Role, Sample, Standby, Wait};

    const S: u64 = 1_000_000_000;
    const JIFFY_NS: u64 = 4_000_000;
    const RUN: u64 = 60;

    fn settings() -> Settings {
        Settings {
            request: Request {
                netns: "current".to_owned(),
                interval_s: 1.0,
                pg: Some("db1".to_owned()),
                ..Request::default()
            },
            ..Settings::default()
        }
    }

    fn bad(second: u64) -> bool {
        (21..=40).contains(&second)
    }

    /// The replication to the standby, of which something is lost for a while.
    fn table() -> FlowTable {
        let address = |last| Ipv4Addr::new(10, 0, 10, last).to_ipv6_mapped().octets();
        let mut flow = Flow {
            tuple: Tuple {
                local: address(2),
                remote: address(3),
                local_port: 5432,
                remote_port: 40_396,
                netns: 1,
            },
            rto: 50,
            rto_max: 800,
            backoff_max: 4,
            ..Flow::default()
        };
        let mut table = FlowTable::default();
        for second in (1..=RUN).filter(|second| bad(*second)) {
            flow.segments[RetransmitKind::Rto as usize] += 3;
            flow.events += 3;
            table.update(second * S, &[flow], &[]);
        }
        table
    }

    fn record() -> DatabaseRecord {
        let mut record = DatabaseRecord::new("db1".into(), Vec::new(), 0);
        for second in 1..=RUN {
            let waiters = if bad(second) { 5 } else { 0 };
            let wait = Wait {
                kind: "IPC".into(),
                event: "SyncRep".into(),
                backends: waiters,
                longest_ms: None,
            };
            record.sampled(
                &Sample {
                    at_ns: second * S,
                    sync_rep_waiters: Some(waiters),
                    waits: Some(vec![wait]),
                    standbys: vec![Standby {
                        write_lag_bytes: Some(200),
                        ..standby("db2", 17)
                    }],
                    ..sample(Role::Primary)
                },
                u64::MAX,
            );
        }
        record
    }

    fn fault() -> FaultReport {
        FaultReport {
            started_ns: 10 * S,
            ended_ns: 30 * S,
            ..FaultReport::unmeasured(FaultKind::Partition)
        }
    }

    fn report(faults: Vec<FaultReport>) -> Value {
        report_with(faults, None)
    }

    fn report_with(
        faults: Vec<FaultReport>,
        processors: Option<Result<Vec<processors::CpuHistory>, String>>,
    ) -> Value {
        let report = assemble(Recording {
            settings: settings(),
            jiffy_ns: JIFFY_NS,
            end_ns: RUN * S,
            flows: Recording::flows_of(table(), &Known::default(), JIFFY_NS).0,
            quiet: true,
            faults,
            postgres: Some(record()),
            processors,
            ..Recording::default()
        });
        serde_json::to_value(report).unwrap()
    }

    #[test]
    fn evidence_is_where_it_is_said_to_be() {
        let report = report(Vec::new());
        let findings = report["findings"].as_array().unwrap();
        assert_eq!(findings[0]["cause"], "loss_toward_standby", "{findings:?}");
        for pointer in findings[0]["evidence"].as_array().unwrap() {
            let pointer = pointer.as_str().unwrap();
            let found = report.pointer(pointer);
            assert!(found.is_some_and(|found| !found.is_null()), "{pointer}");
        }
        assert_eq!(report["flows"][0]["standby"], "db2");
        assert_eq!(report["phases"][1]["chosen_by"], "change_point");
        assert_eq!(report["phases"][1]["found_in"], "sync_rep_waiters");
        assert_eq!(report["phases"][1]["offset_s"], 20.0);
        // Not measured: there was neither a probe nor the tracepoint.
        assert!(report["phases"][1]["commits"].is_null());
        assert!(report["phases"][1]["arrived_damaged"].is_null());
    }

    #[test]
    fn why_nothing_is_known_of_processors_is_a_warning() {
        let report = report_with(Vec::new(), Some(Err("it is not known".to_owned())));
        assert!(report["processors"].is_null());
        let warnings = report["warnings"].as_array().unwrap();
        assert!(warnings.contains(&"it is not known".into()), "{warnings:?}");
        let followed = report_with(Vec::new(), Some(Ok(Vec::new())));
        assert!(followed["processors"].is_array());
    }

    #[test]
    fn findings_do_not_know_what_was_broken() {
        let (with, without) = (report(vec![fault()]), report(Vec::new()));
        assert_eq!(with["findings"], without["findings"]);
        assert_eq!(with["phases"][1]["chosen_by"], "fault_window");
        assert_eq!(with["phases"][1]["offset_s"], 10.0);
        assert_eq!(with["phases"][1]["duration_s"], 20.0);
    }
}
