//! Phases and findings: what the pure core is given, and how its answer is shown.

use crate::assemble::{Measured, known_sum};
use crate::diagnosis;
use crate::interval::Span;
use crate::phases::Choice;
use crate::recording::probe::Outcome;
use crate::recording::{Database, Probed, Recorded, Recoveries, SlowCommit, Track};
use crate::report::FlowReport;
use crate::report::PhaseReport;
use crate::report::commits::wait_of;
use crate::report::finding::Finding;

/// Phases and findings of a run, whose flows have their roles by now.
pub(crate) fn correlated(
    measured: &Measured<'_>,
    flows: &[FlowReport],
    recoveries: Option<&Recoveries>,
    sees_damage: bool,
) -> (Vec<PhaseReport>, Vec<Finding>) {
    let mut recorded = recorded(measured, flows, sees_damage);
    recorded.slow = slow(measured, recoveries);
    let phases = crate::phases::phases(&recorded, choice(measured))
        .into_iter()
        .map(|phase| PhaseReport::new(phase, &measured.clock, measured.start_ns))
        .collect();
    (phases, diagnosis::findings(&recorded))
}

/// Of each flow, whether commits can have waited for what it carries.
pub(crate) fn hold_commits(measured: &Measured<'_>, flows: &[FlowReport]) -> Vec<bool> {
    crate::evidence::hold_commits(&recorded(measured, flows, false))
}

fn choice(measured: &Measured<'_>) -> Choice {
    let asked = measured.asked.phases;
    let from_ns = measured.faults.iter().map(|fault| fault.started_ns).min();
    let to_ns = measured.faults.iter().map(|fault| fault.ended_ns).max();
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
fn slow(measured: &Measured<'_>, recoveries: Option<&Recoveries>) -> Option<Vec<SlowCommit>> {
    let record = measured.commits.as_ref()?;
    let slow = record.slowest.of(|pid| record.server(pid).is_some());
    let told = slow.iter().map(|one| {
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
        }
    });
    Some(told.collect())
}

/// The standby's name, unless there is one elsewhere that has the same.
fn own_name(flow: &FlowReport, flows: &[FlowReport]) -> Option<String> {
    let sends = |one: &FlowReport| one.role.kind == crate::recording::roles::Kind::Walsender;
    let name = flow.role.standby.as_ref().filter(|_| sends(flow))?;
    let elsewhere = |other: &FlowReport| {
        let same = other.role.standby.as_ref() == Some(name);
        same && sends(other) && other.remote.address != flow.remote.address
    };
    (!flows.iter().any(elsewhere)).then(|| name.clone())
}

fn recorded<'a>(
    measured: &'a Measured<'_>,
    flows: &[FlowReport],
    sees_damage: bool,
) -> Recorded<'a> {
    // What had no room in the table comes last, and has no series.
    let tracks = measured
        .table
        .sorted()
        .into_iter()
        .zip(flows)
        .map(|(entry, flow)| Track {
            role: flow.role.kind,
            local: flow.local.socket(),
            remote: flow.remote.socket(),
            name: own_name(flow, flows).unwrap_or_else(|| flow.remote.address.to_string()),
            series: &entry.series,
            path: entry.path.readings(),
            rto_max_ms: flow.rto_max_ms,
            backoff_max: flow.backoff_max,
        })
        .collect();
    let peers = measured.asked.peers.iter();
    let hosts: Option<Vec<_>> = peers
        .map(|net| (net.prefix_len() == net.max_prefix_len()).then(|| net.addr()))
        .collect();
    let begun = |outcome: &&'a Outcome| outcome.begun_ns.is_some();
    Recorded {
        start_ns: measured.start_ns,
        end_ns: measured.end_ns,
        interval_ns: ns(measured.asked.interval),
        flows: tracks,
        damaged: sees_damage.then_some(&measured.damaged),
        refused: known_sum(
            measured
                .namespaces
                .iter()
                .map(|namespace| namespace.kernel.in_csum_errors),
        ),
        peers: hosts.unwrap_or_default(),
        slow_ms: measured.asked.slow_commit.as_secs_f64() * 1e3,
        slow: None,
        processors: match &measured.processors {
            Some(Ok(tracks)) => tracks,
            Some(Err(_)) | None => &[],
        },
        postgres: measured.postgres.as_ref().map(|record| Database {
            system_identifier: record
                .greeting
                .as_ref()
                .and_then(|greeting| greeting.system_identifier),
            samples: &record.samples,
            every_ns: ns(measured.asked.interval).saturating_mul(record.stride),
            probe: record.probe.as_ref().filter(begun).map(|outcome| Probed {
                commits: &outcome.commits.steps,
                reads: &outcome.reads.steps,
            }),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use crate::recording::processors;
    use serde_json::Value;
    use tracer_ebpf::{Flow, Kind, Tuple};

    use crate::assemble::{Asked, Measured, assemble};
    use crate::clock::Clock;
    use crate::recording::database::Record;
    use crate::recording::flow_table::Table;
    use crate::recording::loss_recovery::Holes;
    use crate::recording::programs::{Effort, Gaps, Unwritten};
    use crate::report::fault::{FaultKind, FaultReport};
    use crate::report::sample::tests::{sample, standby};
    use crate::report::sample::{Role, Sample, Standby, Wait};
    use crate::report::{Host, Request};

    const S: u64 = 1_000_000_000;
    const RUN: u64 = 60;

    fn asked() -> Asked {
        Asked {
            request: Request {
                peers: Vec::new(),
                ports: Vec::new(),
                netns: "current".to_owned(),
                interval_s: 1.0,
                pg: Some("db1".to_owned()),
                commit_probe: None,
                commits: false,
                duration_s: None,
            },
            peers: Vec::new(),
            interval: Duration::from_secs(1),
            slow_commit: Duration::from_millis(100),
            phases: None,
            events: false,
            bpf_stats: false,
        }
    }

    fn bad(second: u64) -> bool {
        (21..=40).contains(&second)
    }

    /// The replication to the standby, of which something is lost for a while.
    fn table() -> Table {
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
        let mut table = Table::default();
        for second in (1..=RUN).filter(|second| bad(*second)) {
            flow.segments[Kind::Rto as usize] += 3;
            flow.events += 3;
            table.update(second * S, &[flow]);
        }
        table
    }

    fn record() -> Record {
        let mut record = Record::new("db1".into(), Vec::new(), 0);
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
        processors: Option<Result<Vec<processors::Track>, String>>,
    ) -> Value {
        let table = table();
        let report = assemble(Measured {
            commits: None,
            processors,
            asked: asked(),
            host: Host {
                name: String::new(),
                kernel: String::new(),
                boot_id: None,
                netns: None,
                tick_hz: Some(250.0),
            },
            clock: Clock {
                monotonic_ns: 0,
                realtime: jiff::Timestamp::UNIX_EPOCH,
            },
            jiffy_ns: 4_000_000,
            start_ns: 0,
            end_ns: RUN * S,
            hooks: Vec::new(),
            retransmit_err: false,
            missing: Vec::new(),
            table: &table,
            damaged: Vec::new(),
            holes: Holes::default(),
            namespaces: Vec::new(),
            quiet: true,
            elsewhere: Vec::new(),
            gaps: Gaps::default(),
            effort: Effort::default(),
            undecodable: 0,
            unwritten_events: Unwritten::default(),
            unwritten_lines: Unwritten::default(),
            unseen_processes: None,
            faults,
            postgres: Some(record()),
            cpu: Duration::ZERO,
            peak_memory_kib: 0,
            attached: Duration::ZERO,
            ready: Duration::ZERO,
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
        let report = report_with(Vec::new(), Some(Err("it is not told".to_owned())));
        assert!(report["processors"].is_null());
        let warnings = report["warnings"].as_array().unwrap();
        assert!(warnings.contains(&"it is not told".into()), "{warnings:?}");
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
