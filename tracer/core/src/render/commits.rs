//! Commits in words: the summary, and the live view.

use std::borrow::Borrow;

use tracer_ebpf::{Part, ServerCommits};

use crate::recording::commits::WaitingBackend;
use crate::render::table::{known, milliseconds as ms};
use crate::render::{stages, walreceivers};
use crate::report::commits::{CommitsReport, ServerReport};
use crate::report::histogram::Histogram;

/// How many servers and slow commits a summary shows; the JSON has all.
const MAX_LISTED: usize = 8;

/// The commits in a few lines, for the summary.
pub(crate) fn summary(report: &CommitsReport) -> Vec<String> {
    let mut lines = Vec::new();
    for server in report.servers.iter().take(MAX_LISTED) {
        let port = known(server.port);
        let name = format!("Commits of PostgreSQL, pid {}, port {port}", server.pid);
        let mut line = match server.wait_share {
            None => format!("{name}: none"),
            Some(share) => format!(
                "{name}: {}, p50 {}, p99 {}, max {}; of their time {:.0} % waiting for a standby, {:.0} % flushing",
                server.commits,
                ms(server.total.part.p50_ms),
                ms(server.total.part.p99_ms),
                ms(server.total.part.max_ms),
                share * 100.0,
                server.flush.sum_ms / server.total.sum_ms * 100.0,
            ),
        };
        if server.waiting > 0 {
            line += &format!(
                "; {} wait for a standby still, the longest for {}",
                server.waiting,
                ms(server.waiting_longest_ms)
            );
        }
        lines.push(line + ".");
        lines.extend(stages::summary(&server.stages));
        lines.extend(charged(server));
    }
    for slow in report.slowest().into_iter().take(MAX_LISTED / 2) {
        let wait = slow.stages_ms.as_ref().map(stages::one);
        let wait = wait.filter(|wait| !wait.is_empty());
        lines.push(format!(
            "  slow: {:.1} ms at {:.1} s, of these {:.1} waiting for a standby{}, {:.1} flushing, {:.1} for the rest; pid {}",
            slow.total_ms,
            slow.offset_s,
            slow.wait_ms,
            wait.map_or_else(String::new, |wait| format!(" ({wait})")),
            slow.flush_ms,
            slow.rest_ms,
            slow.pid
        ));
    }
    lines.extend(walreceivers::summary(&report.walreceivers));
    lines
}

/// How much of the waiting was the network's.
fn charged(server: &ServerReport) -> Option<String> {
    let in_recovery_ms = server.slow_wait_in_recovery_ms?;
    (server.slow_wait_ms > 0.0).then(|| {
        format!(
            "  of the {} that its slow commits waited, {:.0} % while the replication recovered from a loss",
            ms(Some(server.slow_wait_ms)),
            in_recovery_ms / server.slow_wait_ms * 100.0
        )
    })
}

/// All servers at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitSums {
    at_ns: u64,
    total: Histogram,
    wait: Histogram,
    waiting: usize,
    waiting_longest_ns: u64,
}

impl Default for CommitSums {
    fn default() -> Self {
        Self::new(0, std::iter::empty::<ServerCommits>(), &[])
    }
}

impl CommitSums {
    /// Adds them up.
    pub fn new(
        at_ns: u64,
        servers: impl Iterator<Item: Borrow<ServerCommits>>,
        waiting: &[WaitingBackend],
    ) -> Self {
        let none = (Histogram::empty(), Histogram::empty());
        let (total, wait) = servers.fold(none, |(total, wait), sums| {
            let sums = sums.borrow();
            (
                total.plus(&Histogram::of(sums, Part::Total)),
                wait.plus(&Histogram::of(sums, Part::Wait)),
            )
        });
        let since = waiting.iter().map(|one| one.since_ns).min();
        Self {
            at_ns,
            total,
            wait,
            waiting: waiting.len(),
            waiting_longest_ns: since.map_or(0, |since| at_ns.saturating_sub(since)),
        }
    }
}

/// What came since `earlier`, in a line.
#[must_use]
pub fn line(now: &CommitSums, earlier: &CommitSums) -> String {
    let (total, wait) = (
        now.total.since(&earlier.total),
        now.wait.since(&earlier.wait),
    );
    let seconds = now.at_ns.saturating_sub(earlier.at_ns) as f64 / 1e9;
    let mut line = format!("commits: {:.0}/s", total.count() as f64 / seconds.max(1e-3));
    if let (Some(p99), Some(share)) = (total.quantile(0.99), wait.share_of(&total)) {
        line += &format!(
            ", p99 {:.1} ms, {:.0} % of their time waiting for a standby",
            p99 / 1e6,
            share * 100.0
        );
    }
    if now.waiting > 0 {
        line += &format!(
            "; {} waiting now, the longest for {:.1} s",
            now.waiting,
            now.waiting_longest_ns as f64 / 1e9
        );
    }
    line
}
