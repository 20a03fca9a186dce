//! What the report says of commits.

use serde::{Deserialize, Serialize};
use tracer_ebpf::{Part, ServerCommits, SlowCommit};

use crate::clock::Clock;
use crate::interval::Span;
use crate::recording::Recoveries;
use crate::recording::commits::{Binary, Record, Server};
use crate::report::histogram::{Histogram, Quantiles};

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
    /// Slow commits that are not among them, because there were too many: those
    /// that are were slower.
    pub slow_dropped: u64,
    /// Slow commits that came faster than they could be taken, likewise.
    pub slow_lost: u64,
    /// Commits that are in no count, because there was no room for their backend
    /// or their server, or a field of the kernel's could not be read.
    pub not_counted: u64,
    /// Commits of servers outside of the PID namespace that tracer runs in, which it
    /// cannot see: in no count either.
    #[serde(default)]
    pub out_of_sight: u64,
    /// Runs of the kernel programs; `null` unless measured (`--bpf-stats`).
    pub program_runs: Option<u64>,
    /// Mean time of a run, likewise.
    pub program_ns_per_run: Option<f64>,
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
    /// All of a commit, from its start to the end of its wait for a standby; what
    /// is released after that is not in it.
    pub total: Quantiles,
    /// Within it in the flush of this server's own log.
    pub flush: Quantiles,
    /// Within it waiting for a standby.
    pub wait: Quantiles,
    /// What is left: the commit's record and its status.
    pub rest: Quantiles,
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
    /// How much of `wait_ms` fell into a recovery from a loss on the replication:
    /// something had been sent again to a standby and was not answered, or had arrived
    /// damaged from it. `null` if none of its replication was traced.
    pub wait_in_recovery_ms: Option<f64>,
    /// The position in the log that it waited for, as PostgreSQL writes it.
    pub lsn: String,
}

/// What is known of the run beside its commits.
#[derive(Debug)]
pub struct Run<'a> {
    /// Its clock.
    pub clock: &'a Clock,
    /// When its window began, ns of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// When the replication was recovering from a loss; `None` if nobody looked.
    pub recoveries: Option<&'a Recoveries>,
    /// Whether run times were measured.
    pub stats: bool,
}

/// Makes it.
#[must_use]
pub fn assemble(record: &Record, run: &Run<'_>) -> CommitsReport {
    let attached = record.reason.is_none();
    let of_one = |pid| record.server(pid).is_some();
    let sums = record.servers.iter().filter_map(|server| server.sums);
    let slow: Vec<SlowReport> = record
        .slowest
        .of(of_one)
        .iter()
        .map(|one| slow(one, record, run))
        .collect();
    CommitsReport {
        start: attached.then(|| run.clock.utc(record.start_ns)),
        attached,
        reason: record.reason.clone(),
        slow_ms: record.slow.as_secs_f64() * 1e3,
        programs: record.binaries.iter().map(program).collect(),
        servers: record
            .servers
            .iter()
            .map(|one| {
                let traced = record.recoveries_of(one.pid, run.recoveries).is_some();
                server(one, record.end_ns, &slow, traced)
            })
            .collect(),
        slow,
        slow_dropped: record.slowest.dropped(),
        slow_lost: sums.map(|sums| sums.slow_lost).sum(),
        not_counted: record.given_up,
        out_of_sight: record.out_of_sight,
        program_runs: run.stats.then_some(record.effort.runs),
        program_ns_per_run: (run.stats && record.effort.runs > 0)
            .then(|| record.effort.ns as f64 / record.effort.runs as f64),
    }
}

fn program(binary: &Binary) -> ProgramReport {
    ProgramReport {
        path: binary.path.clone(),
        attached: binary.reason.is_none(),
        reason: binary.reason.clone(),
    }
}

fn server(server: &Server, end_ns: u64, slow: &[SlowReport], traced: bool) -> ServerReport {
    let own = || slow.iter().filter(|one| one.server_pid == server.pid);
    let part = |part| {
        let of = |sums: &ServerCommits| Histogram::of(sums, part);
        server.sums.as_ref().map_or(Histogram::empty(), of)
    };
    let (total, wait) = (part(Part::Total), part(Part::Wait));
    let longest = server.waiting.iter().min();
    ServerReport {
        pid: server.pid,
        port: server.place.port,
        netns: server.place.netns,
        version: server.place.version.clone(),
        program: server.place.program.clone(),
        data: server.place.data.clone(),
        commits: server.sums.map_or(0, |sums| sums.commits),
        slow: server.sums.map_or(0, |sums| sums.slow),
        total: total.quantiles(),
        flush: part(Part::Flush).quantiles(),
        wait: wait.quantiles(),
        rest: part(Part::Rest).quantiles(),
        wait_share: share(&wait, &total),
        slow_wait_ms: together(own().map(|one| one.wait_ms)),
        slow_wait_in_recovery_ms: traced
            .then(|| together(own().filter_map(|one| one.wait_in_recovery_ms))),
        waiting: server.waiting.len() as u64,
        waiting_longest_ms: longest.map(|since| end_ns.saturating_sub(*since) as f64 / 1e6),
    }
}

/// A sum. That of nothing would be -0.0.
fn together(parts: impl Iterator<Item = f64>) -> f64 {
    parts.fold(0.0, |sum, one| sum + one)
}

/// The share of a part in all of it; `None` of nothing.
#[must_use]
pub(crate) fn share(part: &Histogram, total: &Histogram) -> Option<f64> {
    (total.sum_ns() > 0).then(|| part.sum_ns() as f64 / total.sum_ns() as f64)
}

/// When it waited for the standby: that is the last of it.
#[must_use]
pub fn wait_of(slow: &SlowCommit) -> Span {
    let to_ns = slow.start_ns + slow.total_ns;
    Span {
        from_ns: to_ns.saturating_sub(slow.wait_ns),
        to_ns,
    }
}

fn slow(slow: &SlowCommit, record: &Record, run: &Run<'_>) -> SlowReport {
    let ms = |ns: u64| ns as f64 / 1e6;
    let spans = record.recoveries_of(slow.server, run.recoveries);
    SlowReport {
        start: run.clock.utc(slow.start_ns),
        offset_s: (slow.start_ns as f64 - run.start_ns as f64) / 1e9,
        pid: slow.pid,
        server_pid: slow.server,
        total_ms: ms(slow.total_ns),
        flush_ms: ms(slow.flush_ns),
        wait_ms: ms(slow.wait_ns),
        rest_ms: ms(slow.rest_ns),
        wait_in_recovery_ms: spans.map(|spans| ms(wait_of(slow).covered_ns(spans))),
        lsn: format!("{:X}/{:X}", slow.lsn >> 32, slow.lsn & 0xffff_ffff),
    }
}

#[cfg(test)]
mod tests;
