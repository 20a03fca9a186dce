//! What the report says of commits.

use serde::{Deserialize, Serialize};

use crate::report::histogram::PartQuantiles;
use crate::report::hook::HookReport;
use crate::report::stages::{AwaitedPosition, ByStage, CommitEvent, StagesReport};
use crate::report::walreceiver::WalreceiverReport;

/// Commits over a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CommitsReport {
    /// When everything was attached: commits that began before are in nothing.
    pub start: Option<String>,
    /// Whether commits were watched.
    pub attached: bool,
    /// If not, why.
    pub reason: Option<String>,
    /// From when on a commit is slow (`--slow-commit`).
    pub slow_ms: f64,
    /// What servers run, and whether it was watched.
    pub programs: Vec<ProgramReport>,
    /// Each server, by its first process.
    pub servers: Vec<ServerReport>,
    /// Commits that were slow, in the order in which they began.
    pub slow: Vec<SlowReport>,
    /// What became of WAL that arrived at standbys on this host.
    #[serde(default)]
    pub walreceivers: Vec<WalreceiverReport>,
    /// Slow commits that are not among them, because there were too many: those
    /// that are were slower.
    pub slow_dropped: u64,
    /// Records of waits that came faster than they could be taken: those waits are not
    /// explained.
    #[serde(default)]
    pub stages_lost: u64,
    /// How often a walsender was not followed, because there were too many, likewise.
    #[serde(default)]
    pub walsenders_not_followed: u64,
    /// Waits of sessions whose settings could not be read: whether they were for a standby is not
    /// known.
    #[serde(default)]
    pub waits_unread: u64,
    /// Slow commits that came faster than they could be taken, likewise.
    pub slow_lost: u64,
    /// Commits that are in no count, because there was no room for their backend
    /// or their server, a field of the kernel's could not be read, or the kernel did not show the
    /// end of their wait.
    pub not_counted: u64,
    /// Commits of servers outside of the PID namespace that tracer runs in, which it
    /// cannot see: in no count either.
    #[serde(default)]
    pub out_of_sight: u64,
    /// Traps of PostgreSQL's functions at which the kernel did not run the program: as many
    /// commits at most are in no count either. Before 5.12 the kernel does not tell.
    #[serde(default)]
    pub traps_missed: u64,
    /// Runs of the kernel programs; `null` unless measured (`--bpf-stats`).
    pub program_runs: Option<u64>,
    /// Mean time of a run, likewise.
    pub program_ns_per_run: Option<f64>,
}

impl CommitsReport {
    /// From when on commits are slow, after "longer than".
    pub(crate) fn slow_words(&self) -> String {
        let mut servers = self.servers.iter().filter_map(|one| one.slow_from_ms);
        match servers.any(|from_ms| from_ms < self.slow_ms) {
            true => format!("{} ms, or far longer than is usual", self.slow_ms),
            false => format!("{} ms", self.slow_ms),
        }
    }

    /// Commits that were slow, the slowest first.
    pub(crate) fn slowest(&self) -> Vec<&SlowReport> {
        let mut slowest: Vec<_> = self.slow.iter().collect();
        slowest.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms));
        slowest
    }
}

/// A program file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProgramReport {
    /// Its path, as the server sees it.
    pub path: String,
    /// Whether commits in it were watched.
    pub attached: bool,
    /// If not, why.
    pub reason: Option<String>,
}

/// One server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerReport {
    /// Its first process, as this tool sees it.
    pub pid: u32,
    /// Where it listens; as all of this `null` if it could not be looked at.
    pub port: Option<u16>,
    /// Its network namespace, inode as in `net:[N]`.
    pub netns: Option<u32>,
    /// Its major version.
    pub version: Option<String>,
    /// Its program, as the server sees it.
    pub program: Option<String>,
    /// Its data, likewise.
    pub data: Option<String>,
    /// Commits that wrote something, and have ended.
    pub commits: u64,
    /// Those of them that were slow.
    pub slow: u64,
    /// How unevenly they came: the variance of their number in a second or so as a share of its
    /// mean, 1 if they came independently of each other; `null` if that is not known.
    #[serde(default)]
    pub dispersion: Option<f64>,
    /// How long one usually takes, from the times in which they were quick, or as an earlier
    /// report says; `null` if that is not known.
    #[serde(default)]
    pub usual_ms: Option<f64>,
    /// From when on one is slow: `slow_ms`, or eight times as long as usual and 10 ms at least,
    /// if that is less; `null` of a server that has ended.
    #[serde(default)]
    pub slow_from_ms: Option<f64>,
    /// For how long most commits were slow by that, s.
    #[serde(default)]
    pub slow_for_s: f64,
    /// All of a commit, from its start to the end of its wait for a standby; what
    /// is released after that is not in it.
    pub total: PartQuantiles,
    /// Within it in the flush of this server's own log.
    pub flush: PartQuantiles,
    /// Within it waiting for a standby.
    pub wait: PartQuantiles,
    /// What is left: the commit's record and its status.
    pub rest: PartQuantiles,
    /// What `wait` was made of.
    #[serde(default)]
    pub stages: StagesReport,
    /// The functions of its program that were watched, and whether they were seen to be called.
    #[serde(default)]
    pub hooks: Vec<HookReport>,
    /// The share of `wait` in `total`, over all commits; `null` without any.
    pub wait_share: Option<f64>,
    /// How long the commits in `slow[]` waited for a standby, all together.
    #[serde(default)]
    pub slow_wait_ms: f64,
    /// How much of that fell into a recovery from a loss on the replication; `null` if
    /// none of it was traced.
    pub slow_wait_in_recovery_ms: Option<f64>,
    /// Commits that waited for a standby at the end of the run: in no other figure.
    pub waiting: u64,
    /// How long the longest of them had waited by then.
    pub waiting_longest_ms: Option<f64>,
}

/// A slow commit; `flush`, `wait` and `rest` add up to `total`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SlowReport {
    /// When it began.
    pub start: String,
    /// The same from the start of the window.
    pub offset_s: f64,
    /// The backend's process.
    pub pid: u32,
    /// Its server, as in `servers[].pid`.
    pub server_pid: u32,
    /// All of it.
    pub total_ms: f64,
    /// In the flush of this server's own log.
    pub flush_ms: f64,
    /// Waiting for a standby.
    pub wait_ms: f64,
    /// What is left.
    pub rest_ms: f64,
    /// What `wait_ms` was made of; `null` if the wait was not followed.
    #[serde(default)]
    pub stages_ms: Option<ByStage<f64>>,
    /// What it waited for, likewise.
    #[serde(default)]
    pub awaited: Option<AwaitedPosition>,
    /// The walsender of the standby whose reply ended the wait, likewise, and if none was
    /// found.
    #[serde(default)]
    pub walsender_pid: Option<u32>,
    /// What happened meanwhile on the connection of that walsender, up to 64 of them; only of
    /// the hundred slowest commits.
    #[serde(default)]
    pub events: Vec<CommitEvent>,
    /// How much of `wait_ms` fell into a recovery from a loss on the replication:
    /// something had been retransmitted to a standby and was not answered, or had arrived
    /// corrupted from it. `null` if none of its replication was traced.
    pub wait_in_recovery_ms: Option<f64>,
    /// The position in the WAL that it waited for, as PostgreSQL writes it.
    pub lsn: String,
}
