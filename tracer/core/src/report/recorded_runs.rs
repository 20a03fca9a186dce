//! Runs that were recorded on real servers, diagnosed again from what their reports hold.

use crate::recording::processors;

use crate::by_kind::Kinds;
use crate::diagnosis::findings;
use crate::interval::Span;
use crate::recording::bad_checksums::Damaged;
use crate::recording::flow_table::Step;
use crate::recording::roles::Kind;
use crate::recording::tcp_info::Reading;
use crate::recording::{Database, Recorded, SlowCommit, Track};
use crate::report::Report;
use crate::report::finding::{Cause, Confidence};
use crate::report::sample::Sample;

fn ns(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

/// What a report holds of what its findings rest on; moments are ns from its start.
struct Again {
    report: Report,
    series: Vec<Vec<Step>>,
    paths: Vec<Vec<Reading>>,
    samples: Vec<Sample>,
    damaged: Vec<Damaged>,
    processors: Vec<processors::Track>,
}

impl Again {
    fn read(bytes: &[u8]) -> Self {
        let report = Report::read(bytes).expect("a report");
        let segments = |kinds: &Kinds<u64>| kinds.each().map(|(_, segments)| segments);
        let series = report.flows.iter().map(|flow| {
            let steps = flow.series.iter().map(|step| Step {
                at_ns: ns(step.offset_s),
                segments: segments(&step.by_kind),
                events: step.events,
                bytes: step.bytes,
            });
            steps.collect()
        });
        let paths = report.flows.iter().map(|flow| {
            let told = flow.path.iter().flat_map(|path| &path.series);
            let readings = told.map(|one| Reading {
                at_ns: ns(one.offset_s),
                srtt_us: one.srtt_us,
                min_rtt_us: one.min_rtt_us,
                unacked: one.unacked,
                recovering: one.recovering,
                segs_in: one.segs_in,
                dsack_dups: one.dsack_dups,
                rcv_ooopack: one.rcv_ooopack,
            });
            readings.collect()
        });
        let postgres = report.postgres.iter().flat_map(|one| &one.series);
        let samples = postgres.map(|one| Sample {
            at_ns: ns(one.offset_s),
            ..one.sample.clone()
        });
        let damaged = report.checksum_errors.series.iter().map(|one| Damaged {
            at_ns: ns(one.offset_s),
            segments: one.selected,
            by_peer: one.by_peer.clone(),
        });
        let processors = report
            .processors
            .iter()
            .flatten()
            .map(|one| processors::Track {
                pid: one.pid,
                port: one.port,
                netns: one.netns,
                system_identifier: one
                    .system_identifier
                    .as_ref()
                    .and_then(|id| id.parse().ok()),
                steps: one
                    .series
                    .iter()
                    .map(|step| processors::Step {
                        from_ns: ns(step.offset_s).saturating_sub(ns(step.duration_s)),
                        at_ns: ns(step.offset_s),
                        ran_ns: ns(step.ran_ms / 1e3),
                        waited_ns: ns(step.waited_ms / 1e3),
                    })
                    .collect(),
            });
        Self {
            series: series.collect(),
            paths: paths.collect(),
            samples: samples.collect(),
            damaged: damaged.collect(),
            processors: processors.collect(),
            report,
        }
    }

    fn recorded(&self) -> Recorded<'_> {
        let flows = self.report.flows.iter().enumerate();
        let flows = flows.map(|(index, flow)| Track {
            role: flow.role.kind,
            local: flow.local.socket(),
            remote: flow.remote.socket(),
            name: flow
                .role
                .standby
                .clone()
                .filter(|_| flow.role.kind == Kind::Walsender)
                .unwrap_or_else(|| flow.remote.address.to_string()),
            series: &self.series[index],
            path: &self.paths[index],
            rto_max_ms: flow.rto_max_ms,
            backoff_max: flow.backoff_max,
        });
        let commits = self.report.commits.as_ref();
        let slow = commits.map(|commits| {
            let slow = commits.slow.iter().map(|one| {
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
                }
            });
            slow.collect()
        });
        Recorded {
            start_ns: 0,
            end_ns: ns(self.report.window.duration_s),
            interval_ns: ns(self.report.request.interval_s),
            flows: flows.collect(),
            damaged: Some(&self.damaged),
            refused: self.report.checksum_errors.kernel_in_csum_errors,
            peers: Vec::new(),
            processors: &self.processors,
            slow_ms: commits.map_or(100.0, |commits| commits.slow_ms),
            slow,
            postgres: self.report.postgres.as_ref().map(|one| Database {
                system_identifier: one
                    .system_identifier
                    .as_ref()
                    .and_then(|id| id.parse().ok()),
                samples: &self.samples,
                every_ns: ns(self.report.request.interval_s),
                probe: None,
            }),
        }
    }
}

/// Each was recorded on the primary of a real cluster, in which something was the matter
/// for twenty seconds.
#[test]
fn what_was_the_matter_is_found() {
    for (bytes, name, expected) in [
        (
            include_bytes!("../../tests/data/runs/standby-flush-beside-lossy-async.json")
                .as_slice(),
            "db2's disk is slow, and what goes to the asynchronous db3 gets lost",
            (Cause::StandbyFlush, Confidence::High),
        ),
        (
            include_bytes!("../../tests/data/runs/quorum-of-all-one-slow-disk.json"),
            "ANY 2 (db2, db3): db3's disk is slow",
            (Cause::StandbyFlush, Confidence::High),
        ),
        (
            include_bytes!("../../tests/data/runs/misspelt-standby.json"),
            "synchronous_standby_names names nobody",
            (Cause::StandbyGone, Confidence::High),
        ),
        (
            include_bytes!("../../tests/data/runs/standby-apply-beside-low-loss.json"),
            "remote_apply: the standby applies slowly, and 0.5 % gets lost on the way to it",
            (Cause::StandbyApply, Confidence::High),
        ),
        (
            include_bytes!("../../tests/data/runs/jitter-that-reorders.json"),
            "packets overtake each other on a way that is 36 to 170 ms long, and none gets lost",
            (Cause::NetworkDelay, Confidence::Medium),
        ),
        (
            include_bytes!("../../tests/data/runs/loss-of-replies.json"),
            "every fifth segment from the standby gets lost",
            (Cause::LossOfReplies, Confidence::Medium),
        ),
        (
            include_bytes!("../../tests/data/runs/partition-of-both-ways.json"),
            "nothing passes for 7.3 s, either way: too little is sent again to tell it from a loss",
            (Cause::LossTowardStandby, Confidence::Medium),
        ),
    ] {
        let again = Again::read(bytes);
        let found = findings(&again.recorded());
        let first = found.first().map(|one| (one.cause, one.confidence));
        assert_eq!(first, Some(expected), "{name}: {found:#?}");
    }
}
