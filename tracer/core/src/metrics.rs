//! What a run shows to Prometheus: plain numbers of one moment, and counters that never
//! go back.

pub mod tally;

pub use crate::metrics::tally::{RetransmitTally, Sent};
use crate::spread::Spread;

/// Standbys beyond these have no numbers of their own.
pub const MOST_STANDBYS: usize = 32;

/// What a standby has not done yet.
pub const STAGES: [&str; 4] = ["sent", "write", "flush", "replay"];

/// What may have to be given up; the last only where commits are split.
pub const GAPS: [&str; 6] = [
    "flows_full",
    "sockets_full",
    "namespaces_full",
    "reads_failed",
    "undecodable_events",
    "commits_not_counted",
];

/// All of it, at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics {
    /// Segments retransmitted to the peers that were asked for.
    pub sent: Vec<Sent>,
    /// To every peer, by kind.
    pub all: Vec<(&'static str, u64)>,
    /// What the kernel's `RetransSegs` has grown by; `None` if it is not known.
    pub kernel_segments: Option<u64>,
    /// That less ours.
    pub unexplained: Option<i64>,
    /// Segments that arrived with a bad checksum from the peers.
    pub bad_checksums: u64,
    /// By the kernel's count, from everybody.
    pub kernel_bad_checksums: Option<u64>,
    /// Resets sent to the peers.
    pub resets_sent: u64,
    /// Resets received from them.
    pub resets_received: u64,
    /// Whether something is being broken on purpose; `None` if nothing was to be.
    pub fault_active: Option<bool>,
    /// The database; `None` if nobody asked.
    pub database: Option<Database>,
    /// Commits by server, if they are split.
    pub commits: Vec<Commits>,
    /// WAL that standbys on this host received, by standby, if that is followed.
    pub received: Vec<Received>,
    /// The tool itself.
    pub health: Health,
}

/// The database.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Database {
    /// Whether it answered last time.
    pub up: bool,
    /// Backends that wait for a standby.
    pub sync_rep_waiters: Option<u32>,
    /// How long the oldest of their statements has been in flight, s.
    pub sync_rep_longest_s: Option<f64>,
    /// Whether it takes writes.
    pub primary: Option<bool>,
    /// Its standbys.
    pub standbys: Vec<StandbyMetrics>,
    /// The probe's commits.
    pub probe_commits: Option<Spread>,
    /// Its reads.
    pub probe_reads: Option<Spread>,
    /// Its commits that failed, and that could not be started.
    pub probe_undone: Option<(u64, u64)>,
    /// How long the oldest of its commits that are in flight was due, s.
    pub probe_oldest_s: Option<f64>,
}

/// One standby.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StandbyMetrics {
    /// Its name.
    pub name: String,
    /// Its address, with the port of its connection where another one of its name has
    /// the same; `None` for a socket file.
    pub address: Option<String>,
    /// `sync`, `async`, …
    pub sync_state: String,
    /// Lags in bytes, by what was not done yet.
    pub lags: Vec<(&'static str, i64)>,
    /// Since its last reply, s.
    pub reply_age_s: Option<f64>,
}

/// Commits of one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Commits {
    /// Its first process.
    pub pid: u32,
    /// By part.
    pub parts: Vec<(&'static str, Spread)>,
    /// What waits for standbys were made of: by the address of the one that ended them, and
    /// by stage.
    pub waits: Vec<(String, Vec<(&'static str, Spread)>)>,
}

/// WAL that a standby's walreceiver received.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// The standby's first process.
    pub pid: u32,
    /// What became of its messages, by stage.
    pub stages: Vec<(&'static str, Spread)>,
}

/// The tool itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// Since counting began, s.
    pub uptime_s: f64,
    /// Processor time, s.
    pub cpu_s: f64,
    /// Events that were lost.
    pub lost_events: u64,
    /// Events that `--events` did not get.
    pub unwritten_events: u64,
    /// How much had to be given up, in the order of [`GAPS`].
    pub gaps: Vec<u64>,
    /// Flows that are kept apart.
    pub flows: u64,
}
