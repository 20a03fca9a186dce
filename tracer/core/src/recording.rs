//! What a run leaves behind to be judged and reported.

pub mod bad_checksums;
pub mod commits;
mod connection_progress;
pub mod database;
mod evenness;
pub mod exchange_sample;
pub mod flow_entry;
pub mod flow_groups;
pub mod flow_history;
pub mod flow_interval;
pub mod flow_series;
pub mod flow_sum;
pub mod flow_table;
pub mod hook_tally;
pub mod latency;
pub mod loss_recovery;
pub mod namespace;
pub mod outage;
mod packed_flow;
pub mod peers;
pub mod probe;
pub mod processors;
pub mod programs;
pub mod receiver_tracker;
pub mod roles;
pub mod seen_hooks;
mod sender_history;
pub mod settings;
pub mod slow_commit;
pub mod stage;
pub mod stage_record;
pub mod stage_tracker;
pub mod standby;
mod standby_wal;
pub mod tcp_info;
mod thinning;
pub mod unanswered;
pub mod usual_commit;
mod varint;
mod wal_message;
pub mod wire_events;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tracer_ebpf::{Gap, Totals};

use crate::clock::{Clock, RunClock};
use crate::interval::Span;
use crate::report::capabilities::HookStatus;
use crate::report::fault::FaultReport;
use crate::report::role::Kind;
use crate::report::sample::Sample;
use crate::report::{Host, MissingField};
use bad_checksums::BadChecksumStep;
use flow_groups::FlowGroups;
use flow_history::FlowHistory;
use flow_interval::FlowInterval;
use flow_table::FlowTable;
use loss_recovery::LossRecoveries;
use namespace::{NamespaceCounts, known_sum};
use programs::{DropCounters, RunStats, Unwritten};
use roles::Known;
use settings::Settings;
use slow_commit::{KnownServer, SlowCommit};
use wire_events::WireEvents;

/// Everything that a run leaves behind: of a run, of a replay, or made up. Moments are ns
/// of `CLOCK_MONOTONIC`.
#[derive(Debug, Default)]
pub struct Recording {
    /// How it was to measure.
    pub settings: Settings,
    /// Where it ran.
    pub host: Host,
    /// How moments are converted.
    pub clock: Clock,
    /// Length of a jiffy, ns.
    pub jiffy_ns: u64,
    /// When counting began.
    pub start_ns: u64,
    /// When the last reading was taken.
    pub end_ns: u64,
    /// What became of the hooks.
    pub hooks: Vec<HookStatus>,
    /// Whether the kernel shows retransmits that failed to leave.
    pub retransmit_err: bool,
    /// Whether what is remembered of a socket is kept in the socket itself.
    pub socket_storage: bool,
    /// Fields that this kernel does not have.
    pub missing: Vec<MissingField>,
    /// The flows that the report lists, in its order.
    pub flows: Vec<FlowHistory>,
    /// The others, added up.
    pub groups: FlowGroups,
    /// What arrived with a bad checksum; `None` where that is not seen.
    pub bad_checksums: Option<Vec<BadChecksumStep>>,
    /// From which losses there was a recovery, if events were taken.
    pub holes: LossRecoveries,
    /// The same one by one.
    pub wire: WireEvents,
    /// Segments sent, by the peer that they went to, as far as that is known.
    pub sent: BTreeMap<IpAddr, u64>,
    /// When services answered a connection from here the last time; `None` if that is not
    /// known of each.
    pub answered: Option<BTreeMap<SocketAddr, u64>>,
    /// Every traced namespace.
    pub namespaces: Vec<NamespaceCounts>,
    /// Whether all readings were taken in quiet moments.
    pub quiet: bool,
    /// Hits that the filter would keep, by namespaces that were not traced.
    pub elsewhere: Vec<(u32, u64)>,
    /// What the programs had to give up.
    pub gaps: DropCounters,
    /// What the kernel says of their runs.
    pub effort: RunStats,
    /// Records that could not be understood.
    pub undecodable: u64,
    /// Of which processes nothing is known, if there are such.
    pub unseen_processes: Option<String>,
    /// What was injected.
    pub faults: Vec<FaultReport>,
    /// What was learnt of the database.
    pub postgres: Option<database::DatabaseRecord>,
    /// What was learnt of commits.
    pub commits: Option<commits::CommitsRecord>,
    /// Commits that were slow, if commits were split: filled in by
    /// [`assemble`](crate::assemble::assemble) from `commits`.
    pub slow_commits: Option<Vec<SlowCommit>>,
    /// Servers of which it is known how long commits usually take, likewise.
    pub known_servers: Vec<KnownServer>,
    /// What servers on this host had of its processors, or why that is not known.
    pub processors: Option<Result<Vec<processors::CpuHistory>, String>>,
    /// Events that `--events` did not get.
    pub unwritten_events: Unwritten,
    /// Lines of the live view that nobody took.
    pub unwritten_lines: Unwritten,
    /// What the tool itself cost.
    pub cpu: Duration,
    /// Its largest resident memory.
    pub peak_memory_kib: u64,
    /// From its start to the first attached program.
    pub attached: Duration,
    /// From its start to the moment from which everything is counted.
    pub ready: Duration,
}

/// By network namespace, when the replication of a primary there was recovering from a
/// loss: in order, and apart from each other.
pub(crate) type Recoveries = BTreeMap<u32, Vec<Span>>;

/// What the commit probe measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probed<'a> {
    pub(crate) commits: &'a [latency::LatencyInterval],
    pub(crate) reads: &'a [latency::LatencyInterval],
}

impl Recording {
    /// The flows of a table that a report lists, most retransmitted segments first, and the
    /// others added up, by what the database has said of connections.
    #[must_use]
    pub fn flows_of(
        table: FlowTable,
        known: &Known,
        jiffy_ns: u64,
    ) -> (Vec<FlowHistory>, FlowGroups) {
        let (entries, groups) = table.into_listed(known);
        let flows = entries.into_iter();
        let flows = flows.map(|entry| FlowHistory::new(entry, jiffy_ns));
        (flows.collect(), groups)
    }

    /// What the database has said of connections.
    pub(crate) fn known(&self) -> Known {
        let database = self.postgres.as_ref();
        database.map_or_else(Known::default, database::DatabaseRecord::known)
    }

    /// Finds out what each flow is for, by all that was learnt, and what to call its other
    /// end: by the standby's name, unless one elsewhere has the same.
    pub(crate) fn assign_roles(&mut self) {
        let known = self.known();
        for flow in &mut self.flows {
            flow.role = known.role(flow.local, flow.remote, flow.process.as_ref());
        }
        let named = |one: &FlowHistory| {
            let name = one.role.standby.clone()?;
            (one.kind() == Kind::Walsender).then(|| (name, one.remote.ip()))
        };
        let standbys: Vec<_> = self.flows.iter().filter_map(named).collect();
        for flow in &mut self.flows {
            if let Some((name, address)) = named(flow)
                && !standbys
                    .iter()
                    .any(|(other, at)| *other == name && *at != address)
            {
                flow.name = name;
            }
        }
    }

    /// Whether WAL goes to or comes from this host.
    pub(crate) fn is_replication_peer(&self, peer: IpAddr) -> bool {
        let mut flows = self.flows.iter();
        flows.any(|flow| flow.is_replication() && flow.remote.ip() == peer)
    }

    /// Whether the kernel's flow table had room for every flow.
    pub(crate) fn saw_every_flow(&self) -> bool {
        self.gaps.count(Gap::FlowsFull) == 0
    }

    /// What each flow retransmitted in each interval; of those that are not kept apart, what
    /// several did.
    pub(crate) fn steps(&self) -> impl Iterator<Item = FlowInterval> {
        let flows = self.flows.iter().flat_map(|flow| &flow.series);
        flows.chain(self.groups.steps())
    }

    /// From its start to its end.
    #[must_use]
    pub fn window(&self) -> Span {
        Span {
            from_ns: self.start_ns,
            to_ns: self.end_ns,
        }
    }

    pub(crate) fn run_clock(&self) -> RunClock {
        RunClock {
            clock: self.clock,
            start_ns: self.start_ns,
        }
    }

    /// Between two samples, ns.
    #[must_use]
    pub fn interval_ns(&self) -> u64 {
        u64::try_from(self.settings.interval.as_nanos()).unwrap_or(u64::MAX)
    }

    /// What a commit takes that is slow, ms.
    pub(crate) fn slow_ms(&self) -> f64 {
        self.settings.slow_commit.as_secs_f64() * 1e3
    }

    pub(crate) fn is_attached(&self, hook: &str) -> bool {
        let mut hooks = self.hooks.iter();
        hooks.any(|one| one.name == hook && one.attached)
    }

    /// Our counts of all namespaces together.
    pub(crate) fn totals(&self) -> Totals {
        let namespaces = self.namespaces.iter();
        namespaces.fold(Totals::default(), |sum, one| sum.plus(&one.totals))
    }

    /// How many segments the kernel says arrived with a bad checksum, from every peer;
    /// `None` if it does not say so of each namespace.
    pub(crate) fn kernel_bad_checksums(&self) -> Option<u64> {
        known_sum(self.namespaces.iter().map(|one| one.kernel.in_csum_errors))
    }

    /// The samples of the database that were kept, in order.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        self.postgres.as_ref().map_or(&[], |one| &one.samples)
    }

    /// Time between two of them, ns: in a very long run, not every sample is kept.
    pub(crate) fn sampled_every_ns(&self) -> u64 {
        let stride = self.postgres.as_ref().map_or(0, |one| one.stride);
        self.interval_ns().saturating_mul(stride)
    }

    /// What the database has in common with its standbys and with no other server.
    #[must_use]
    pub fn system_identifier(&self) -> Option<u64> {
        let greeting = self.postgres.as_ref()?.greeting.as_ref()?;
        greeting.system_identifier
    }

    /// What the commit probe measured, if there was one.
    pub(crate) fn probe(&self) -> Option<Probed<'_>> {
        let outcome = self.postgres.as_ref()?.probe.as_ref()?;
        outcome.begun_ns.is_some().then_some(Probed {
            commits: &outcome.commits.steps,
            reads: &outcome.reads.steps,
        })
    }

    /// The servers on this host, and what they had of its processors.
    pub(crate) fn processors(&self) -> &[processors::CpuHistory] {
        match &self.processors {
            Some(Ok(tracks)) => tracks,
            Some(Err(_)) | None => &[],
        }
    }

    /// Whether a server, by its first process, may be the one that was sampled: another one on
    /// this host waits for what it waits for.
    pub(crate) fn is_sampled_server(&self, pid: u32) -> bool {
        let sampled = self.system_identifier();
        let is_it = |track: &&processors::CpuHistory| {
            sampled.is_some() && track.system_identifier == sampled
        };
        let mut known = self.processors().iter().filter(is_it).peekable();
        known.peek().is_none() || known.any(|track| track.pid == pid)
    }

    /// Slow commits of that server.
    pub(crate) fn sampled_slow_commits(&self) -> impl Iterator<Item = &SlowCommit> {
        let slow = self.slow_commits.iter().flatten();
        slow.filter(|one| self.is_sampled_server(one.server))
    }

    /// Whether an interval of the probe had a slow request.
    pub(crate) fn is_slow(&self, step: &latency::LatencyInterval) -> bool {
        step.slowest_ms().is_some_and(|ms| ms >= self.slow_ms())
    }
}
