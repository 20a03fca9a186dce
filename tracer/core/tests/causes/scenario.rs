//! A run in a few lines: a healthy minute of a primary with one synchronous standby, in
//! which something is the matter from second 21 to second 40.

use std::fs;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tracer_core::kernel_counters::KernelCounts;
use tracer_core::recording::bad_checksums::BadChecksumStep;
use tracer_core::recording::database::{DatabaseRecord, Greeting};
use tracer_core::recording::flow_history::FlowHistory;
use tracer_core::recording::flow_interval::FlowInterval;
use tracer_core::recording::latency::{LatencyWindow, Total};
use tracer_core::recording::namespace::NamespaceCounts;
use tracer_core::recording::probe::{Allowance, Outcome, Plan};
use tracer_core::recording::settings::Settings;
use tracer_core::recording::tcp_info::TcpInfoSample;
use tracer_core::recording::{Recording, processors};
use tracer_core::report::finding::{Cause, Confidence};
use tracer_core::report::role::{FlowRole, Kind};
use tracer_core::report::sample::{Role, Sample, Standby, Wait};

const S: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
const RUN_S: u64 = 60;
const BAD_S: RangeInclusive<u64> = 21..=40;
const PRIMARY: &str = "10.0.10.2:5432";
const STANDBY: &str = "10.0.10.3:40396";
const SYSTEM: u64 = 7_000_000_000_000_000_001;

/// What is the matter while something is; what is not said is as in the healthy rest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// How sure it has to be found.
    pub(crate) confidence: Confidence,
    /// On whose host the run was: of the primary, unless said.
    #[serde(default = "walsender")]
    host: Kind,
    /// What backends wait for in each sample.
    #[serde(default)]
    waits: Vec<Wait>,
    /// What the commit probe's commits take, ms.
    #[serde(default = "healthy_ms")]
    commits_ms: u64,
    /// Fields of the standby in `pg_stat_replication`.
    #[serde(default)]
    standby: Map<String, Value>,
    /// Whether it is connected.
    #[serde(default = "yes")]
    standby_is_connected: bool,
    /// Whether it replies.
    #[serde(default = "yes")]
    standby_replies: bool,
    /// The primary's setting.
    #[serde(default = "standby_names")]
    synchronous_standby_names: String,
    /// Likewise.
    #[serde(default = "on")]
    synchronous_commit: String,
    /// Segments that a timeout retransmits each second, on this host's end.
    #[serde(default)]
    retransmitted: u64,
    /// Segments that arrive with a bad checksum each second.
    #[serde(default)]
    bad_checksums: u64,
    /// Whether any segments arrive.
    #[serde(default = "yes")]
    segments_arrive: bool,
    /// How long a round trip takes, ms.
    #[serde(default = "healthy_ms")]
    rtt_ms: u32,
    /// For how much of each second the server's processes are ready and have no processor,
    /// ms.
    #[serde(default)]
    no_processor_ms: u64,
    /// Another host, to which this one connects.
    peer: Option<Peer>,
}

/// A host without a standby.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Peer {
    /// Its service.
    address: SocketAddr,
    /// Connections to it.
    connections: u16,
    /// Segments that each retransmits, by kind.
    #[serde(default)]
    syn: u64,
    #[serde(default)]
    rto: u64,
    /// All that is sent to it.
    sent: u64,
}

impl Peer {
    fn flows(&self) -> impl Iterator<Item = FlowHistory> {
        let flow = |number| {
            let local = SocketAddr::new([10, 0, 10, 2].into(), 40_000 + number);
            let mut flow = FlowHistory::between(local, self.address);
            let counters = &mut flow.counters;
            counters.segments[tracer_ebpf::RetransmitKind::Syn as usize] = self.syn;
            counters.segments[tracer_ebpf::RetransmitKind::Rto as usize] = self.rto;
            (counters.first_ns, counters.last_ns) = (BAD_S.start() * S, BAD_S.end() * S);
            counters.srtt_us = if self.rto > 0 { 200 } else { 0 };
            flow
        };
        (0..self.connections).map(flow)
    }
}

fn walsender() -> Kind {
    Kind::Walsender
}

fn healthy_ms<T: From<u8>>() -> T {
    T::from(1)
}

fn yes() -> bool {
    true
}

fn standby_names() -> String {
    "db2".to_owned()
}

fn on() -> String {
    "on".to_owned()
}

impl Scenario {
    /// Out of its file.
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("it can be read");
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The cause that it is named after.
    pub(crate) fn cause(&self, name: &str) -> Cause {
        read(Value::String(name.to_owned()))
    }

    /// What a run would have left.
    pub(crate) fn recording(&self) -> Recording {
        let bad_checksums = BAD_S.map(|second| BadChecksumStep {
            at_ns: second * S,
            segments: self.bad_checksums,
            by_peer: None,
            by_connection: None,
        });
        let bad_checksums = bad_checksums.filter(|one| one.segments > 0).collect();
        let peer = self.flow().remote.ip();
        Recording {
            settings: Settings {
                peers: vec![peer.into()],
                ..Settings::default()
            },
            end_ns: RUN_S * S,
            flows: std::iter::once(self.flow())
                .chain(self.peer.iter().flat_map(Peer::flows))
                .collect(),
            answered: Some(std::collections::BTreeMap::new()),
            sent: self
                .peer
                .iter()
                .map(|peer| (peer.address.ip(), peer.sent))
                .collect(),
            bad_checksums: Some(bad_checksums),
            namespaces: vec![NamespaceCounts {
                kernel: KernelCounts {
                    in_csum_errors: Some(self.bad_checksums * BAD_S.count() as u64),
                    ..KernelCounts::default()
                },
                ..NamespaceCounts::default()
            }],
            processors: Some(Ok(vec![self.processors()])),
            postgres: Some(self.database()),
            ..Recording::default()
        }
    }

    fn flow(&self) -> FlowHistory {
        let end = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let (primary, standby) = (end(PRIMARY), end(STANDBY));
        let flow = match self.host {
            Kind::Walreceiver => FlowHistory::between(standby, primary),
            _ => FlowHistory::between(primary, standby),
        };
        let series = BAD_S.map(|second| {
            let mut step = FlowInterval {
                at_ns: second * S,
                ..FlowInterval::default()
            };
            step.segments[tracer_ebpf::RetransmitKind::Rto as usize] = self.retransmitted;
            step
        });
        let mut segs_in = 0;
        let path = (1..=RUN_S).map(|second| {
            let is_bad = BAD_S.contains(&second);
            segs_in += u32::from(self.segments_arrive || !is_bad);
            TcpInfoSample {
                at_ns: second * S,
                srtt_us: Some(1_000 * if is_bad { self.rtt_ms } else { healthy_ms() }),
                segs_in: Some(segs_in),
                ..TcpInfoSample::default()
            }
        });
        FlowHistory {
            role: FlowRole {
                kind: self.host,
                ..FlowRole::default()
            },
            series: series.filter(|_| self.retransmitted > 0).collect(),
            path: path.collect(),
            ..flow
        }
    }

    fn processors(&self) -> processors::CpuHistory {
        let steps = (1..=RUN_S).map(|second| {
            let is_bad = BAD_S.contains(&second);
            processors::CpuInterval {
                from_ns: (second - 1) * S,
                at_ns: second * S,
                ran_ns: 50 * MS,
                waited_ns: if is_bad { self.no_processor_ms * MS } else { 0 },
            }
        });
        processors::CpuHistory {
            pid: 100,
            port: Some(5432),
            netns: None,
            system_identifier: Some(SYSTEM),
            steps: steps.collect(),
        }
    }

    fn database(&self) -> DatabaseRecord {
        let mut record = DatabaseRecord::new("db1".to_owned(), Vec::new(), 0);
        record.greeting = Some(Greeting {
            major: 15,
            version: "15.8".to_owned(),
            user: "tracer".to_owned(),
            sees_all: true,
            port: Some(5432),
            role: Role::Primary,
            system_identifier: Some(SYSTEM),
        });
        record.samples = (1..=RUN_S).map(|second| self.sample(second)).collect();
        record.probe = Some(Outcome {
            plan: Plan {
                rate: "10".parse().expect("a rate"),
            },
            begun_ns: Some(0),
            most: Allowance::default(),
            commits: latencies(|second| match BAD_S.contains(&second) {
                true => self.commits_ms,
                false => healthy_ms(),
            }),
            reads: latencies(|_| healthy_ms()),
            warnings: Vec::new(),
        });
        record
    }

    fn sample(&self, second: u64) -> Sample {
        let is_bad = BAD_S.contains(&second);
        let waits = if is_bad { &self.waits[..] } else { &[] };
        let waiters = waits.iter().filter(|one| one.event == "SyncRep");
        let names = if is_bad {
            &self.synchronous_standby_names
        } else {
            &standby_names()
        };
        let is_connected = self.standby_is_connected || !is_bad;
        Sample {
            at_ns: second * S,
            took_ms: 1.0,
            role: Role::Primary,
            timeline: Some(1),
            wal_lsn: None,
            synchronous_standby_names: Some(names.clone()),
            synchronous_commit: Some(self.synchronous_commit.clone()),
            xact_commit: None,
            commits_per_s: None,
            statement_sums: None,
            statements: None,
            active: None,
            untracked: None,
            sync_rep_waiters: Some(waiters.map(|one| one.backends).sum()),
            sync_rep_longest_ms: None,
            waits: Some(waits.to_vec()),
            standbys: Vec::from_iter(is_connected.then(|| self.standby(second))),
            slots: Vec::new(),
            receiver: None,
            replay: None,
        }
    }

    /// As it is in health, but for what is said of it.
    fn standby(&self, second: u64) -> Standby {
        let is_bad = BAD_S.contains(&second);
        let since_s = match is_bad && !self.standby_replies {
            true => second - BAD_S.start() + 1,
            false => 0,
        };
        let healthy = Standby {
            pid: 17,
            application_name: Some("db2".to_owned()),
            client_addr: Some("10.0.10.3".to_owned()),
            client_port: Some(40_396),
            state: Some("streaming".to_owned()),
            sync_state: Some("sync".to_owned()),
            sent_lag_bytes: Some(0),
            write_lag_bytes: Some(0),
            flush_lag_bytes: Some(0),
            replay_lag_bytes: Some(0),
            reply_age_ms: Some(40.0 + since_s as f64 * 1e3),
            ..Standby::default()
        };
        if !is_bad {
            return healthy;
        }
        let mut fields = serde_json::to_value(healthy).expect("a standby is an object");
        let changed = fields.as_object_mut().expect("a standby is an object");
        for (name, value) in &self.standby {
            let field = changed.get_mut(name);
            *field.unwrap_or_else(|| panic!("a standby has no {name}")) = value.clone();
        }
        read(fields)
    }
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    let said = value.to_string();
    serde_json::from_value(value).unwrap_or_else(|error| panic!("{said}: {error}"))
}

/// Ten requests a second that take so long, ms.
fn latencies(ms: impl Fn(u64) -> u64) -> Total {
    let mut tally = LatencyWindow::new().expect("room for latencies");
    for second in 1..=RUN_S {
        for number in 0..10 {
            tally.answer(number, 0, ms(second) * MS);
        }
        tally.tick(second * S);
    }
    tally.total(RUN_S * S)
}
