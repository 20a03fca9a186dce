//! A run that was made up.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use ipnet::IpNet;
use tracer_ebpf::RetransmitKind;

use crate::diagnosis::findings;
pub(super) use crate::interval::Span;
use crate::kernel_counters::KernelCounts;
pub(super) use crate::phases::*;
pub(super) use crate::recording::bad_checksums::BadChecksumStep;
use crate::recording::database::{DatabaseRecord, Greeting};
use crate::recording::flow_history::FlowHistory;
use crate::recording::flow_interval::FlowInterval;
use crate::recording::latency::{LatencyWindow, Total};
use crate::recording::namespace::NamespaceCounts;
use crate::recording::probe::{Allowance, Outcome, Plan};
use crate::recording::settings::Settings;
pub(super) use crate::recording::slow_commit::SlowCommit;
pub(super) use crate::recording::tcp_info::TcpInfoSample;
pub(super) use crate::recording::{Recording, processors};
pub(super) use crate::report::finding::{Cause, Confidence, Finding};
pub(super) use crate::report::phase::*;
use crate::report::role::FlowRole;
pub(super) use crate::report::role::Kind;
pub(super) use crate::report::sample::Sample;
use crate::report::sample::{Role, Standby, Wait};

pub(super) const S: u64 = 1_000_000_000;
pub(super) const MS: u64 = 1_000_000;
/// Length of a run, s; something is the matter from 20 to 40.
pub(super) const RUN: u64 = 60;
/// The server that is watched.
pub(super) const SYSTEM: u64 = 7_000_000_000_000_000_001;
pub(super) const STANDBY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 10, 3));

/// A run that owns what it recorded.
pub(super) struct Run {
    pub flows: Vec<(Kind, Vec<FlowInterval>)>,
    pub bad_checksums: Vec<BadChecksumStep>,
    pub in_csum_errors: Option<u64>,
    pub samples: Vec<Sample>,
    pub commits: Vec<crate::recording::latency::LatencyInterval>,
    pub reads: Vec<crate::recording::latency::LatencyInterval>,
    pub peers: Vec<IpAddr>,
    /// Of the second flow.
    pub path: Vec<TcpInfoSample>,
    pub processors: Vec<processors::CpuHistory>,
    pub slow_ms: f64,
    pub slow: Option<Vec<SlowCommit>>,
}

fn named(flow: FlowHistory, kind: Kind) -> FlowHistory {
    FlowHistory {
        name: "db2".into(),
        role: FlowRole {
            kind,
            ..FlowRole::default()
        },
        ..flow
    }
}

/// The standby's end of its connection, or the primary's.
fn end(is_standby: bool) -> SocketAddr {
    match is_standby {
        true => SocketAddr::new(STANDBY, 40_396),
        false => SocketAddr::new(Ipv4Addr::new(10, 0, 10, 2).into(), 5432),
    }
}

pub(super) fn bad(second: u64) -> bool {
    (21..=40).contains(&second)
}

pub(super) fn wait(kind: &str, event: &str, backends: u32) -> Wait {
    Wait {
        kind: kind.into(),
        event: event.into(),
        backends,
        longest_ms: None,
    }
}

pub(super) fn standby(reply_age_ms: f64) -> Standby {
    Standby {
        pid: 17,
        application_name: Some("db2".into()),
        client_addr: Some(STANDBY.to_string()),
        client_port: Some(40_396),
        state: Some("streaming".into()),
        sync_state: Some("sync".into()),
        sent_lag_bytes: Some(0),
        write_lag_bytes: Some(0),
        flush_lag_bytes: Some(0),
        replay_lag_bytes: Some(0),
        write_lag_ms: None,
        flush_lag_ms: None,
        replay_lag_ms: None,
        reply_age_ms: Some(reply_age_ms),
        reply_sent_us: None,
    }
}

/// It has confirmed nothing of what those wait for who wait for it.
pub(super) fn behind(standby: Standby) -> Standby {
    let lag = Some(4096);
    Standby {
        sent_lag_bytes: lag,
        write_lag_bytes: lag,
        flush_lag_bytes: lag,
        replay_lag_bytes: lag,
        ..standby
    }
}

pub(super) fn sample(second: u64, waits: Vec<Wait>) -> Sample {
    let sync_rep = waits.iter().filter(|wait| wait.event == "SyncRep");
    Sample {
        at_ns: second * S,
        took_ms: 1.0,
        role: Role::Primary,
        timeline: Some(1),
        wal_lsn: None,
        synchronous_standby_names: Some("db2".into()),
        synchronous_commit: None,
        xact_commit: None,
        commits_per_s: None,
        statement_sums: None,
        statements: None,
        active: None,
        sync_rep_waiters: Some(sync_rep.map(|wait| wait.backends).sum()),
        untracked: None,
        sync_rep_longest_ms: None,
        waits: Some(waits),
        standbys: vec![standby(40.0)],
        slots: Vec::new(),
        receiver: None,
        replay: None,
    }
}

/// Ten requests a second that take so long.
pub(super) fn steps(
    latency_ms: impl Fn(u64) -> u64,
) -> Vec<crate::recording::latency::LatencyInterval> {
    let mut tally = LatencyWindow::new().unwrap();
    for second in 1..=RUN {
        for number in 0..10 {
            tally.answer(number, 0, latency_ms(second) * MS);
        }
        tally.tick(second * S);
    }
    tally.total(RUN * S).steps
}

pub(super) fn retransmitted(second: u64, kind: RetransmitKind, segments: u64) -> FlowInterval {
    let mut step = FlowInterval {
        at_ns: second * S,
        ..FlowInterval::default()
    };
    step.segments[kind as usize] = segments;
    step
}

/// What is found in this run; its snapshot is what was found before.
pub(super) fn found_in(recorded: &Recording) -> Vec<Finding> {
    thread_local! {
        static ASKED: Cell<u32> = const { Cell::new(0) };
    }
    let found = findings(recorded);
    let thread = thread::current();
    let test = thread.name().and_then(|name| name.rsplit("::").next());
    let number = ASKED.replace(ASKED.get() + 1);
    let lines = found.iter().map(|one| {
        let [cause, confidence, size, evidence] = [
            serde_json::to_string(&one.cause),
            serde_json::to_string(&one.confidence),
            serde_json::to_string(&one.size),
            serde_json::to_string(&one.evidence),
        ]
        .map(|json| json.expect("it can be written"));
        let shown = size
            .replace("null", "")
            .replace(|letter| "{}\"".contains(letter), "");
        let shown = shown.split(',').filter(|one| !one.ends_with(':'));
        let shown = shown.collect::<Vec<_>>().join(" ");
        format!(
            "{cause} {confidence}\n  {}\n  {shown}\n  {evidence}\n",
            one.text
        )
    });
    let lines = lines.collect::<String>();
    frozen(&format!("{}-{number}", test.unwrap_or("run")), &lines);
    found
}

/// The case of a table at which a test is: if it fails there, its name is written.
pub(super) struct Case(String);

impl Case {
    pub(super) fn of(case: &impl std::fmt::Debug) -> Self {
        Self(format!("{case:?}"))
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("in the case {}", self.0);
        }
    }
}

/// A snapshot in a file that is named after it.
pub(super) fn frozen(name: &str, shown: &str) {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, shown);
    });
}

impl Run {
    /// Nothing is the matter; now and then somebody is seen to wait.
    pub(super) fn healthy() -> Self {
        let waits = |second: u64| match second % 20 {
            7 => vec![wait("IPC", "SyncRep", 1)],
            13 => vec![wait("IO", "WALSync", 1)],
            _ => Vec::new(),
        };
        Self {
            flows: vec![(Kind::Client, Vec::new()), (Kind::Walsender, Vec::new())],
            bad_checksums: Vec::new(),
            in_csum_errors: Some(100),
            samples: (1..=RUN)
                .map(|second| sample(second, waits(second)))
                .collect(),
            commits: steps(|_| 3),
            reads: steps(|_| 1),
            peers: Vec::new(),
            path: Vec::new(),
            processors: Vec::new(),
            slow_ms: 100.0,
            slow: None,
        }
    }

    /// These wait, and commits are slow.
    pub(super) fn waiting(kind: &str, event: &str) -> Self {
        let mut run = Self::healthy();
        for sample in run.bad_samples() {
            sample.waits = Some(vec![wait(kind, event, 5)]);
            sample.sync_rep_waiters = Some(if event == "SyncRep" { 5 } else { 0 });
            if event == "SyncRep" {
                sample.standbys = vec![behind(standby(40.0))];
            }
        }
        run.commits = steps(|second| if bad(second) { 900 } else { 3 });
        run
    }

    pub(super) fn bad_samples(&mut self) -> impl Iterator<Item = &mut Sample> {
        self.samples
            .iter_mut()
            .filter(|sample| bad(sample.at_ns / S))
    }

    /// From the primary's side, or from the standby's.
    pub(super) fn role(&mut self, role: Kind) -> &mut Vec<FlowInterval> {
        self.flows[1].0 = role;
        &mut self.flows[1].1
    }

    pub(super) fn silent(mut self) -> Self {
        for sample in self.bad_samples() {
            let since = sample.at_ns / S - 20;
            sample.standbys = vec![behind(standby(40.0 + since as f64 * 1e3))];
        }
        self
    }

    pub(super) fn recorded(&self) -> Recording {
        let flows = self.flows.iter().enumerate();
        let flows = flows.map(|(index, (role, series))| {
            let is_receiver = *role == Kind::Walreceiver;
            let flow = FlowHistory {
                series: series.iter().copied().collect(),
                path: if index == 1 {
                    self.path.clone()
                } else {
                    Vec::new()
                },
                rto_max_ms: (!series.is_empty()).then_some(3_300.0),
                backoff_max: (!series.is_empty()).then_some(4),
                ..FlowHistory::between(end(is_receiver), end(!is_receiver))
            };
            named(flow, *role)
        });
        Recording {
            settings: Settings {
                peers: self.peers.iter().map(|one| IpNet::from(*one)).collect(),
                slow_commit: Duration::from_secs_f64(self.slow_ms / 1e3),
                ..Settings::default()
            },
            end_ns: RUN * S,
            flows: flows.collect(),
            bad_checksums: Some(self.bad_checksums.clone()),
            namespaces: vec![NamespaceCounts {
                kernel: KernelCounts {
                    in_csum_errors: self.in_csum_errors,
                    ..KernelCounts::default()
                },
                ..NamespaceCounts::default()
            }],
            processors: Some(Ok(self.processors.clone())),
            slow_commits: self.slow.clone(),
            postgres: Some(self.postgres()),
            ..Recording::default()
        }
    }

    fn postgres(&self) -> DatabaseRecord {
        let mut record = DatabaseRecord::new(String::new(), Vec::new(), 0);
        record.greeting = Some(Greeting {
            major: 15,
            version: "15".into(),
            user: "tracer".into(),
            sees_all: true,
            port: None,
            role: Role::Primary,
            system_identifier: Some(SYSTEM),
        });
        record.samples = self.samples.clone();
        let total = |steps: &[_]| Total {
            steps: steps.to_vec(),
            ..Total::default()
        };
        record.probe = Some(Outcome {
            begun_ns: Some(0),
            commits: total(&self.commits),
            reads: total(&self.reads),
            plan: Plan {
                rate: "10".parse().unwrap(),
            },
            most: Allowance::default(),
            warnings: Vec::new(),
        });
        record
    }

    pub(super) fn first(&self) -> Finding {
        let found = found_in(&self.recorded());
        found.into_iter().next().expect("something is found")
    }

    pub(super) fn causes(&self) -> Vec<Cause> {
        let found = found_in(&self.recorded());
        found.into_iter().map(|finding| finding.cause).collect()
    }
}
