//! What the report says of commits, from what was learnt of them.

use tracer_ebpf::{Part, ServerCommits, SlowCommit};

use crate::assemble::stages::{self, SlowWait};
use crate::assemble::walreceivers;
use crate::clock::RunClock;
use crate::interval::Span;
use crate::recording::commits::{Binary, CommitsRecord, Server};
use crate::recording::programs::RunStats;
use crate::recording::{Recording, Recoveries};
use crate::report::commits::{CommitsReport, ProgramReport, ServerReport, SlowReport};
use crate::report::histogram::Histogram;
use crate::text::lsn;

/// Of so many slow commits what happened meanwhile on the wire is told one by one.
const MOST_EXPLAINED: usize = 100;

/// `recoveries`: when the replication was recovering from a loss; `None` if no single events
/// were taken.
pub(super) fn commits(
    record: &CommitsRecord,
    recording: &Recording,
    recoveries: Option<&Recoveries>,
) -> CommitsReport {
    let clock = recording.run_clock();
    let attached = record.reason.is_none();
    let sums = record.servers.iter().filter_map(|server| server.sums);
    let slow = record.slowest.of(|pid| record.server(pid).is_some());
    let recovering = |server| record.recoveries_of(server, recoveries);
    // From the slowest of these on, what happened meanwhile is told one by one.
    let mut longest: Vec<u64> = slow.iter().map(|one| one.total_ns).collect();
    longest.sort_unstable_by(|a, b| b.cmp(a));
    let least_ns = longest.get(MOST_EXPLAINED - 1).copied().unwrap_or(0);
    let slow = slow.iter().map(|one| {
        let wire = (one.total_ns >= least_ns).then_some(&recording.wire);
        let wait = stages::of_slow(record, one, wire);
        slow_commit(one, wait, recovering(one.server), clock)
    });
    let slow: Vec<SlowReport> = slow.collect();
    let servers = record.servers.iter();
    let followed = record.stages.as_ref().ok();
    let overhead = overhead(recording.settings.bpf_stats, &record.effort);
    CommitsReport {
        start: attached.then(|| clock.utc(record.start_ns)),
        attached,
        reason: record.reason.clone(),
        slow_ms: record.slow.as_secs_f64() * 1e3,
        programs: record.binaries.iter().map(program).collect(),
        servers: servers
            .map(|one| server(record, one, &slow, recovering(one.pid).is_some()))
            .collect(),
        slow,
        walreceivers: followed.map_or_else(Vec::new, |one| {
            walreceivers::walreceivers(one, &recording.wire, clock)
        }),
        slow_dropped: record.slowest.dropped(),
        stages_lost: followed.map_or(0, |one| one.lost),
        walsenders_not_followed: followed.map_or(0, |one| one.senders_full),
        waits_unread: followed.map_or(0, |one| one.settings_unread),
        slow_lost: sums.map(|sums| sums.slow_lost).sum(),
        not_counted: record.given_up,
        out_of_sight: record.out_of_sight,
        traps_missed: record.effort.missed,
        program_runs: overhead.0,
        program_ns_per_run: overhead.1,
    }
}

/// How often programs ran, and how long each time, ns; `None` unless it was measured.
pub(super) fn overhead(measured: bool, effort: &RunStats) -> (Option<u64>, Option<f64>) {
    let mean = (measured && effort.runs > 0).then(|| effort.ns as f64 / effort.runs as f64);
    (measured.then_some(effort.runs), mean)
}

fn program(binary: &Binary) -> ProgramReport {
    ProgramReport {
        path: binary.path.clone(),
        attached: binary.reason.is_none(),
        reason: binary.reason.clone(),
    }
}

fn server(
    record: &CommitsRecord,
    server: &Server,
    slow: &[SlowReport],
    traced: bool,
) -> ServerReport {
    let own = || slow.iter().filter(|one| one.server_pid == server.pid);
    let part = |part| {
        let of = |sums: &ServerCommits| Histogram::of(sums, part);
        server.sums.as_ref().map_or(Histogram::empty(), of)
    };
    let (total, wait) = (part(Part::Total), part(Part::Wait));
    // What was never seen is not known to have taken no time.
    let flush = match server.calls().no_flush() {
        Some(_) => Histogram::empty(),
        None => part(Part::Flush),
    };
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
        dispersion: server.dispersion,
        usual_ms: server.usual_ns.map(|ns| ns as f64 / 1e6),
        slow_from_ms: server.slow_from_ns.map(|ns| ns as f64 / 1e6),
        slow_for_s: together(server.slow_times.iter().map(|span| span.seconds())),
        total: total.quantiles(),
        flush: flush.quantiles(),
        wait: wait.quantiles(),
        rest: part(Part::Rest).quantiles(),
        stages: stages::stages(record, server.pid),
        hooks: record.hooks(server),
        wait_share: wait.share_of(&total),
        slow_wait_ms: together(own().map(|one| one.wait_ms)),
        slow_wait_in_recovery_ms: traced
            .then(|| together(own().filter_map(|one| one.wait_in_recovery_ms))),
        waiting: server.waiting.len() as u64,
        waiting_longest_ms: longest.map(|since| record.end_ns.saturating_sub(*since) as f64 / 1e6),
    }
}

/// A sum. That of nothing would be -0.0.
fn together(parts: impl Iterator<Item = f64>) -> f64 {
    parts.fold(0.0, |sum, one| sum + one)
}

/// When it waited for the standby: that is the last of it.
pub(super) fn wait_of(slow: &SlowCommit) -> Span {
    let to_ns = slow.start_ns + slow.total_ns;
    Span {
        from_ns: to_ns.saturating_sub(slow.wait_ns),
        to_ns,
    }
}

fn slow_commit(
    slow: &SlowCommit,
    wait: SlowWait,
    recoveries: Option<&[Span]>,
    clock: RunClock,
) -> SlowReport {
    let ms = |ns: u64| ns as f64 / 1e6;
    SlowReport {
        start: clock.utc(slow.start_ns),
        offset_s: clock.offset_s(slow.start_ns),
        pid: slow.pid,
        server_pid: slow.server,
        total_ms: ms(slow.total_ns),
        flush_ms: ms(slow.flush_ns),
        wait_ms: ms(slow.wait_ns),
        rest_ms: ms(slow.rest_ns),
        stages_ms: wait.stages_ms,
        awaited: wait.awaited,
        walsender_pid: wait.walsender_pid,
        events: wait.events,
        wait_in_recovery_ms: recoveries.map(|spans| ms(wait_of(slow).covered_ns(spans))),
        lsn: lsn(slow.lsn),
    }
}

#[cfg(test)]
mod tests;
