//! The report: the only JSON contract. Everything that is shown to people or
//! written for programs comes from here.
//!
//! Durations are in the unit that the name ends with, times are RFC 3339 UTC,
//! addresses are text, and a number that was not measured is `null`.

pub mod aggregate;
pub mod capabilities;
pub mod commits;
pub mod endpoint;
pub mod exchanges;
pub mod fault;
pub mod finding;
pub mod histogram;
pub mod hook;
pub mod latency_probe;
pub mod path;
pub mod percent;
pub mod phase;
pub(crate) mod position;
pub mod possible;
pub mod postgres;
pub mod process;
pub mod processors;
pub mod quantiles;
pub mod ranges;
pub mod read;
pub mod recovery;
pub mod request;
pub mod role;
pub mod sample;
pub mod stages;
pub mod standby;
pub mod statements;
pub mod steps;
pub mod walreceiver;
pub mod whereabouts;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use tracer_ebpf::Totals;

use crate::by_kind::{Kinds, sum};
use crate::report::aggregate::{PeerSums, RoleSums, UnlistedFlows};
use crate::report::capabilities::HookStatus;
use crate::report::commits::CommitsReport;
use crate::report::fault::FaultReport;
use crate::report::finding::Finding;
use crate::report::path::PathReport;
use crate::report::phase::PhaseReport;
use crate::report::postgres::PostgresReport;
use crate::report::process::Process;
use crate::report::processors::ProcessorsReport;
use crate::report::recovery::RecoveryReport;
use crate::report::role::FlowRole;
use crate::report::steps::StepReport;

pub use crate::report::endpoint::{Endpoint, endpoints};
pub use crate::report::read::{ReadError, is_akin, read, schema};
pub use crate::report::request::Request;

/// Segments by kind.
pub type ByKind = Kinds<u64>;

/// The version of the contract.
pub const SCHEMA: &str = "tracer.report/2";
/// Those that can be read. In the first, `flows` are all that there were, and each interval
/// of a flow is an object.
pub const READABLE: [&str; 2] = [SCHEMA, "tracer.report/1"];

/// One run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: Cow<'static, str>,
    /// Which program wrote this.
    pub tool: Tool,
    /// Where it ran.
    pub host: Host,
    /// How its clocks relate.
    pub clock: ClockReport,
    /// From when to when everything was counted.
    pub window: Window,
    /// What was asked for.
    pub request: Request,
    /// What could be watched.
    pub capabilities: Capabilities,
    /// What the waiting was for, the weightiest first.
    pub findings: Vec<Finding>,
    /// The parts of the run, and what each was like.
    pub phases: Vec<PhaseReport>,
    /// What was broken on purpose.
    pub faults: Vec<Fault>,
    /// Sums of everything, unfiltered, and what the kernel says of the same.
    pub totals: TotalsReport,
    /// Sums of what the filter kept: what `flows` and `unlisted` add up to.
    pub selected: Selected,
    /// The same by peer and port, most retransmitted segments first.
    #[serde(default)]
    pub by_peer: Vec<PeerSums>,
    /// The same by role and program, likewise.
    #[serde(default)]
    pub by_role: Vec<RoleSums>,
    /// Segments sent to each peer of `by_peer`, retransmits and acknowledgements among them, as
    /// far as that is known; `null` where it is of none.
    #[serde(default)]
    pub sent: Option<BTreeMap<IpAddr, u64>>,
    /// One entry a flow, most retransmitted segments first: at most [`MAX_LISTED`] and
    /// those of replication.
    pub flows: Vec<FlowReport>,
    /// All others, as one; `null` if there are none.
    #[serde(default)]
    pub unlisted: Option<UnlistedFlows>,
    /// The same sums by network namespace.
    pub namespaces: Vec<NamespaceReport>,
    /// The database; `null` unless asked for (`--pg`).
    pub postgres: Option<PostgresReport>,
    /// What commits waited for; `null` unless asked for (`--commits`).
    pub commits: Option<CommitsReport>,
    /// What the servers on this host had of its processors; `null` unless the database
    /// or commits were asked for, and where the kernel does not show it.
    pub processors: Option<Vec<ProcessorsReport>>,
    /// Segments that arrived with a bad checksum.
    pub checksum_errors: ChecksumErrors,
    /// Connections torn down.
    pub resets: Resets,
    /// Connections opened and closed.
    pub states: States,
    /// What had to be given up.
    pub gaps: GapsReport,
    /// What the reader must know before trusting the rest.
    pub warnings: Vec<String>,
    /// What the tool itself cost.
    pub overhead: Overhead,
}

/// Which program wrote the report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tool {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its version.
    pub version: Cow<'static, str>,
}

impl Tool {
    /// This program.
    #[must_use]
    pub const fn this() -> Self {
        Self {
            name: Cow::Borrowed("tracer"),
            version: Cow::Borrowed(env!("CARGO_PKG_VERSION")),
        }
    }
}

/// Where it ran.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Host {
    /// Host name.
    pub name: String,
    /// Kernel release.
    pub kernel: String,
    /// Random id of this boot.
    pub boot_id: Option<String>,
    /// The namespace that was traced, if it was one: inode as in `net:[N]`.
    pub netns: Option<u32>,
    /// The tick of its clock in Hz: the resolution of retransmission timeouts; `null`
    /// where that is not known.
    pub tick_hz: Option<f64>,
}

/// One moment on both clocks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClockReport {
    /// `CLOCK_MONOTONIC`, ns.
    pub monotonic_ns: u64,
    /// The same moment in UTC.
    pub realtime: String,
    /// When counting began, which is the start of the window, ns of `CLOCK_MONOTONIC`; `null` in a
    /// file of an earlier version.
    #[serde(default)]
    pub start_ns: Option<u64>,
}

/// From when to when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// When counting began.
    pub start: String,
    /// When the last reading was taken.
    pub end: String,
    /// Length.
    pub duration_s: f64,
}

/// What could be watched on this kernel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Capabilities {
    /// The tracepoints.
    pub hooks: Vec<HookStatus>,
    /// Whether the kernel shows retransmits that failed to leave.
    pub retransmit_err: bool,
    /// Whether what is remembered of a socket is kept in the socket itself, for any number
    /// of them (Linux 5.11 and later), and not in a table; false of a replay, and of
    /// reports of before it was told.
    #[serde(default)]
    pub socket_storage: bool,
    /// Kernel fields that are not there, and what is missing for it.
    pub missing_fields: Vec<MissingField>,
}

/// A kernel field that is not there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MissingField {
    /// The field as C names it.
    pub field: Cow<'static, str>,
    /// What is lost.
    pub consequence: Cow<'static, str>,
}

/// One fault, with its times as people read them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fault {
    /// When the first packet could be hit.
    pub started: String,
    /// When the last packet could be hit.
    pub ended: String,
    /// What was asked, done and undone.
    #[serde(flatten)]
    pub fault: FaultReport,
}

impl Fault {
    /// With the times of this clock.
    #[must_use]
    pub fn new(fault: FaultReport, clock: &crate::clock::Clock) -> Self {
        Self {
            started: clock.utc(fault.started_ns),
            ended: clock.utc(fault.ended_ns),
            fault,
        }
    }
}

/// Sums over all traced namespaces.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct TotalsReport {
    /// Retransmitted segments.
    pub segments: u64,
    /// Calls that sent something.
    pub events: u64,
    /// Retransmitted bytes.
    pub bytes: u64,
    /// Calls that failed; `null` where the kernel does not show them.
    pub failed_events: Option<u64>,
    /// Segments that the kernel counted though they failed to leave.
    pub failed_segments: u64,
    /// Segments by kind.
    pub by_kind: ByKind,
    /// Those of `failed_segments`, by kind.
    pub failed_by_kind: ByKind,
    /// Calls by kind, failed ones included: what the kernel's counters of
    /// timeouts and probes count.
    pub attempts_by_kind: ByKind,
    /// Segments that the kernel counted and no hit of the tracepoint showed; they
    /// are in `by_kind.other`.
    pub unseen_segments: u64,
    /// What the kernel's `RetransSegs` grew by in the same namespaces.
    pub kernel_retrans_segs: Option<u64>,
    /// `kernel_retrans_segs` − `segments`.
    pub difference: Option<i64>,
    /// Whether both were read in a moment in which nothing was retransmitted.
    pub quiet: bool,
    /// Events that were not written for lack of room; `null` of a recording.
    pub lost_events: Option<u64>,
    /// What the kernel's counters of single kinds grew by.
    pub kernel: KernelKinds,
}

/// Kernel counters that belong to single kinds.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct KernelKinds {
    /// `TCPLossProbes`: includes probes that sent new data.
    pub loss_probes: Option<u64>,
    /// `TCPTimeouts`: of data and of SYNs.
    pub timeouts: Option<u64>,
    /// `TCPFastRetrans`: fast and RACK's, without failed ones.
    pub fast_retrans: Option<u64>,
    /// `TCPSlowStartRetrans`, without failed ones.
    pub slow_start_retrans: Option<u64>,
    /// `TCPSynRetrans`: SYNs and SYN-ACKs.
    pub syn_retrans: Option<u64>,
    /// `TCPRetransFail`.
    pub retrans_fail: Option<u64>,
}

/// What the filter kept.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Selected {
    /// Retransmitted segments.
    pub segments: u64,
    /// Calls that sent something.
    pub events: u64,
    /// Retransmitted bytes.
    pub bytes: u64,
}

/// One flow.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FlowReport {
    /// This host's end.
    pub local: Endpoint,
    /// The peer's end.
    pub remote: Endpoint,
    /// Network namespace, inode as in `net:[N]`; `null` for the entry that holds
    /// what the flow table had no room for.
    pub netns: Option<u32>,
    /// Whose socket it is.
    pub process: Option<Process>,
    /// What it is for.
    #[serde(flatten)]
    pub role: FlowRole,
    /// Retransmitted segments: the sum of `by_kind`.
    pub segments: u64,
    /// Calls that sent something.
    pub events: u64,
    /// Retransmitted bytes.
    pub bytes: u64,
    /// Calls that failed; `null` where the kernel does not show them.
    pub failed_events: Option<u64>,
    /// Segments that the kernel counted though they failed to leave.
    pub failed_segments: u64,
    /// Segments by kind.
    pub by_kind: ByKind,
    /// Hits whose segment carried a FIN.
    pub fin: u64,
    /// Resets sent.
    pub resets_sent: u64,
    /// Resets received.
    pub resets_received: u64,
    /// Smoothed round-trip time at the last retransmit.
    pub srtt_us: Option<u32>,
    /// Retransmission timeout at the last retransmit.
    pub rto_ms: Option<f64>,
    /// The largest one seen at a retransmit.
    pub rto_max_ms: Option<f64>,
    /// The largest exponential back-off seen at a retransmit.
    pub backoff_max: Option<u32>,
    /// Congestion window in segments at the last retransmit.
    pub cwnd: Option<u32>,
    /// The first retransmit.
    pub first: Option<String>,
    /// The last retransmit.
    pub last: Option<String>,
    /// When the connection closed.
    pub closed: Option<String>,
    /// The intervals in which something was retransmitted.
    #[serde(with = "steps")]
    pub series: Vec<StepReport>,
    /// Of replication: how long round trips took, and whether anything arrived.
    pub path: Option<PathReport>,
    /// Of replication: recoveries from losses; `null` unless single events were taken
    /// (`--commits`, `--events`).
    pub recoveries: Option<Vec<RecoveryReport>>,
}

impl Report {
    /// How many flows are not listed.
    #[must_use]
    pub fn unlisted_count(&self) -> u64 {
        let unlisted = self.unlisted.as_ref().and_then(|all| all.sums.flows);
        unlisted.unwrap_or(0)
    }
}

impl FlowReport {
    /// Whether it is one flow, and not all for which the flow table had no room.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.netns.is_some()
    }
}

/// Sums of one namespace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NamespaceReport {
    /// Inode as in `net:[N]`.
    pub netns: u32,
    /// Its name under `/run/netns`.
    pub name: Option<String>,
    /// Retransmitted segments, unfiltered.
    pub segments: u64,
    /// What the kernel's `RetransSegs` grew by.
    pub kernel_retrans_segs: Option<u64>,
    /// `kernel_retrans_segs` − `segments`.
    pub difference: Option<i64>,
}

/// Segments that arrived with a bad checksum.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ChecksumErrors {
    /// From the peers that the filter keeps; `null` if the tracepoint is missing.
    pub selected: Option<u64>,
    /// From every peer: what the kernel's `InCsumErrors` grew by.
    pub kernel_in_csum_errors: Option<u64>,
    /// The intervals in which some arrived from the peers that the filter keeps.
    pub series: Vec<DamagedReport>,
}

/// What arrived with a bad checksum in one interval.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DamagedReport {
    /// Its end.
    pub time: String,
    /// Its end, from the start of the window.
    pub offset_s: f64,
    /// From the peers that the filter keeps.
    pub selected: u64,
    /// The same by the peer that sent them; `null` where it is not known of each.
    pub by_peer: Option<BTreeMap<IpAddr, u64>>,
}

/// Connections torn down.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Resets {
    /// Sent to every peer; `null` if the tracepoint is missing.
    pub sent: Option<u64>,
    /// Received from every peer.
    pub received: Option<u64>,
    /// Sent to the peers that the filter keeps.
    pub selected_sent: Option<u64>,
    /// Received from them.
    pub selected_received: Option<u64>,
}

/// Connections opened and closed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct States {
    /// Reached ESTABLISHED.
    pub opened: u64,
    /// Were closed.
    pub closed: u64,
    /// Opened, of those that the filter keeps.
    pub selected_opened: u64,
    /// Closed, likewise.
    pub selected_closed: u64,
}

/// What had to be given up.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct GapsReport {
    /// Hits of flows that the flow table had no room for.
    pub flows_full: u64,
    /// Hits of sockets that the table of sockets had no room for: their segments were
    /// counted when the socket closed or at the end, as of kind `other`.
    pub sockets_full: u64,
    /// Hits in namespaces that the table of namespaces had no room for.
    pub namespaces_full: u64,
    /// Kernel fields that could not be read.
    pub reads_failed: u64,
    /// Hits that the kernel did not hand to a program that was already running.
    pub hits_missed: u64,
    /// Records of the ring buffer that could not be understood.
    pub undecodable_events: u64,
    /// Events that were counted and are not in the file of `--events`: a full disk, or a
    /// reader who did not take them.
    #[serde(default)]
    pub unwritten_events: u64,
}

/// What the tool itself cost.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Overhead {
    /// Runs of the kernel programs; `null` unless measured (`--bpf-stats`).
    pub program_runs: Option<u64>,
    /// Mean time of a run, likewise.
    pub program_ns_per_run: Option<f64>,
    /// Processor time of this process.
    pub cpu_ms: f64,
    /// Its largest resident memory.
    pub peak_memory_kib: u64,
    /// From its start to the first attached program; `null` of a recording.
    pub attached_ms: Option<f64>,
    /// From its start to the moment from which everything is counted, likewise.
    pub ready_ms: Option<f64>,
}

/// The kernel's count minus ours, where both are known.
#[must_use]
pub fn difference(kernel: Option<u64>, totals: &Totals) -> Option<i64> {
    // Both are far below 2⁶³.
    Some(kernel?.wrapping_sub(sum(&totals.segments)) as i64)
}
