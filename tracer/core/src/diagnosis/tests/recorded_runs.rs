//! Runs that were recorded on real servers, diagnosed again from what their reports hold.

use std::time::Duration;

use crate::by_kind::Kinds;
use crate::diagnosis::findings;
use crate::interval::Span;
use crate::kernel_counters::KernelCounts;
use crate::recording::bad_checksums::BadChecksumStep;
use crate::recording::database::{DatabaseRecord, Greeting};
use crate::recording::flow_history::FlowHistory;
use crate::recording::flow_interval::FlowInterval;
use crate::recording::namespace::NamespaceCounts;
use crate::recording::settings::Settings;
use crate::recording::slow_commit::SlowCommit;
use crate::recording::stage::WaitStages;
use crate::recording::tcp_info::TcpInfoSample;
use crate::recording::{Recording, processors};
use crate::report::commits::SlowReport;
use crate::report::finding::{Cause, Confidence};
use crate::report::postgres::PostgresReport;
use crate::report::processors::ProcessorsReport;
use crate::report::role::Kind;
use crate::report::sample::{Role, Sample};
use crate::report::stages::Stage;
use crate::report::{FlowReport, Report};

fn ns(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

/// What a report holds of what its findings rest on; moments are ns from its start.
fn recording(report: &Report) -> Recording {
    let commits = report.commits.as_ref();
    let slow_ms = commits.map_or(100.0, |commits| commits.slow_ms);
    Recording {
        settings: Settings {
            interval: Duration::from_secs_f64(report.request.interval_s),
            slow_commit: Duration::from_secs_f64(slow_ms / 1e3),
            ..Settings::default()
        },
        end_ns: ns(report.window.duration_s),
        flows: report.flows.iter().map(flow).collect(),
        bad_checksums: Some(bad_checksums(report)),
        namespaces: vec![NamespaceCounts {
            kernel: KernelCounts {
                in_csum_errors: report.checksum_errors.kernel_in_csum_errors,
                ..KernelCounts::default()
            },
            ..NamespaceCounts::default()
        }],
        processors: report.processors.as_deref().map(|all| Ok(processors(all))),
        slow_commits: commits.map(|commits| commits.slow.iter().map(slow_commit).collect()),
        postgres: report.postgres.as_ref().map(database),
        ..Recording::default()
    }
}

fn flow(report: &FlowReport) -> FlowHistory {
    let segments = |kinds: &Kinds<u64>| kinds.each().map(|(_, segments)| segments);
    let series = report.series.iter().map(|step| FlowInterval {
        at_ns: ns(step.offset_s),
        segments: segments(&step.by_kind),
        events: step.events,
        bytes: step.bytes,
    });
    let readings = report.path.iter().flat_map(|path| &path.series);
    let path = readings.map(|one| TcpInfoSample {
        at_ns: ns(one.offset_s),
        srtt_us: one.srtt_us,
        min_rtt_us: one.min_rtt_us,
        unacked: one.unacked,
        recovering: one.recovering,
        segs_in: one.segs_in,
        heard_ns: one
            .last_ack_recv_ms
            .map(|ms| ns(one.offset_s).saturating_sub(ns(ms / 1e3))),
        dsack_dups: one.dsack_dups,
        rcv_ooopack: one.rcv_ooopack,
    });
    let standby = report.role.standby.clone();
    let name = standby.filter(|_| report.role.kind == Kind::Walsender);
    FlowHistory {
        role: report.role.clone(),
        name: name.unwrap_or_else(|| report.remote.address.to_string()),
        series: series.collect(),
        path: path.collect(),
        rto_max_ms: report.rto_max_ms,
        backoff_max: report.backoff_max,
        ..FlowHistory::between(report.local.socket(), report.remote.socket())
    }
}

fn bad_checksums(report: &Report) -> Vec<BadChecksumStep> {
    let series = report.checksum_errors.series.iter();
    let steps = series.map(|one| BadChecksumStep {
        at_ns: ns(one.offset_s),
        segments: one.selected,
        by_peer: one.by_peer.clone(),
        by_connection: None,
    });
    steps.collect()
}

fn identifier(text: Option<&String>) -> Option<u64> {
    text.and_then(|id| id.parse().ok())
}

fn processors(reports: &[ProcessorsReport]) -> Vec<processors::CpuHistory> {
    let tracks = reports.iter().map(|one| processors::CpuHistory {
        pid: one.pid,
        port: one.port,
        netns: one.netns,
        system_identifier: identifier(one.system_identifier.as_ref()),
        steps: one
            .series
            .iter()
            .map(|step| processors::CpuInterval {
                from_ns: ns(step.offset_s).saturating_sub(ns(step.duration_s)),
                at_ns: ns(step.offset_s),
                ran_ns: ns(step.ran_ms / 1e3),
                waited_ns: ns(step.waited_ms / 1e3),
            })
            .collect(),
    });
    tracks.collect()
}

fn slow_commit(one: &SlowReport) -> SlowCommit {
    let from_ns = ns(one.offset_s);
    let to_ns = from_ns + ns(one.total_ms / 1e3);
    SlowCommit {
        server: one.server_pid,
        whole: Span { from_ns, to_ns },
        flush_ns: ns(one.flush_ms / 1e3),
        wait: Span {
            from_ns: to_ns - ns(one.wait_ms / 1e3),
            to_ns,
        },
        in_recovery_ns: one.wait_in_recovery_ms.map(|ms| ns(ms / 1e3)),
        stages: one.stages_ms.map(|stages| WaitStages {
            ns: Stage::ALL.map(|stage| ns(stages.of(stage) / 1e3)),
        }),
    }
}

fn database(report: &PostgresReport) -> DatabaseRecord {
    let mut record = DatabaseRecord::new(report.target.clone(), Vec::new(), 0);
    record.greeting = Some(Greeting {
        major: 0,
        version: String::new(),
        user: String::new(),
        sees_all: true,
        port: None,
        role: Role::Primary,
        system_identifier: identifier(report.system_identifier.as_ref()),
    });
    let samples = report.series.iter().map(|one| Sample {
        at_ns: ns(one.offset_s),
        ..one.sample.clone()
    });
    record.samples = samples.collect();
    record
}

/// Each was recorded on the primary of a real cluster, in which something was the matter
/// for twenty seconds.
#[test]
fn what_was_the_matter_is_found() {
    for (bytes, name, expected) in [
        (
            include_bytes!("../../../tests/data/runs/standby-flush-beside-lossy-async.json")
                .as_slice(),
            "db2's disk is slow, and what goes to the asynchronous db3 gets lost",
            (Cause::StandbyFlush, Confidence::High),
        ),
        (
            include_bytes!("../../../tests/data/runs/standby-flush-beside-corrupted-clients.json"),
            "db2's disk is slow, and of the clients' segments 15 % have a bad checksum",
            (Cause::StandbyFlush, Confidence::High),
        ),
        (
            include_bytes!("../../../tests/data/runs/quorum-of-all-one-slow-disk.json"),
            "ANY 2 (db2, db3): db3's disk is slow",
            (Cause::StandbyFlush, Confidence::High),
        ),
        (
            include_bytes!("../../../tests/data/runs/misspelt-standby.json"),
            "synchronous_standby_names names nobody",
            (Cause::StandbyGone, Confidence::High),
        ),
        (
            include_bytes!("../../../tests/data/runs/standby-apply-beside-low-loss.json"),
            "remote_apply: the standby applies slowly, and 0.5 % gets lost on the way to it",
            (Cause::StandbyApply, Confidence::High),
        ),
        (
            include_bytes!("../../../tests/data/runs/jitter-that-reorders.json"),
            "packets overtake each other on a way that is 36 to 170 ms long, and none gets lost",
            (Cause::NetworkDelay, Confidence::Medium),
        ),
        (
            include_bytes!("../../../tests/data/runs/loss-of-replies.json"),
            "every fifth segment from the standby gets lost",
            (Cause::LossOfReplies, Confidence::Medium),
        ),
        (
            include_bytes!("../../../tests/data/runs/partition-of-both-ways.json"),
            "nothing passes for 7.3 s, either way",
            (Cause::Partition, Confidence::Medium),
        ),
    ] {
        let report = Report::read(bytes).expect("a report");
        let found = findings(&recording(&report));
        let first = found.first().map(|one| (one.cause, one.confidence));
        assert_eq!(first, Some(expected), "{name}: {found:#?}");
    }
}
