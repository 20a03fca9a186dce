//! What commits waited for, by server.

use crate::render::account::{View, more, sum};
use crate::render::document::{Block, Table};
use crate::render::table::{milliseconds, number};
use crate::report::commits::{CommitsReport, ServerReport};
use crate::report::histogram::PartQuantiles;

/// How many servers are shown; the JSON has all.
const MOST_SERVERS: usize = 8;
const MOST_SLOW: usize = 10;

pub(crate) fn blocks(view: View<'_>) -> Vec<Block> {
    let Some(commits) = &view.report.commits else {
        return Vec::new();
    };
    let mut blocks = Vec::new();
    if let Some(reason) = &commits.reason {
        blocks.push(Block::Text(format!("Commits were not split: {reason}.")));
    }
    for server in commits.servers.iter().take(MOST_SERVERS) {
        blocks.extend(one(server));
    }
    blocks.extend(more(commits.servers.len(), MOST_SERVERS, "server"));
    blocks.extend(slowest(view, commits));
    blocks
}

fn one(server: &ServerReport) -> Vec<Block> {
    let version = server.version.as_deref().unwrap_or("?");
    let heading = format!(
        "PostgreSQL {version}, pid {}, port {}: {} commits, {} of them slow",
        server.pid,
        number(server.port),
        server.commits,
        server.slow
    );
    if server.commits == 0 && server.waiting == 0 {
        return vec![Block::Heading(heading)];
    }
    let mut table = Table::new("Part | >Share | >p50 | >p95 | >p99 | >Largest | >Together");
    let mut row = |name: &str, part: &PartQuantiles| {
        let share = 100.0 * part.sum_ms / server.total.sum_ms;
        let share = number(share.is_finite().then(|| format!("{share:.0} %")));
        let [p50, p95, p99, max] = part.part.each().map(milliseconds);
        table.row([
            name.to_owned(),
            share,
            p50,
            p95,
            p99,
            max,
            milliseconds(Some(part.sum_ms)),
        ]);
    };
    row("total", &server.total);
    row("flush of its WAL", &server.flush);
    row("wait for a standby", &server.wait);
    row("rest", &server.rest);
    let mut blocks = vec![Block::Heading(heading), Block::Table(table)];
    let waited = server.slow_wait_in_recovery_ms;
    if let Some(ms) = waited.filter(|_| server.slow_wait_ms > 0.0) {
        blocks.push(Block::Text(format!(
            "Of {} that its slow commits listed below waited for a standby, {} fell into a recovery from a loss on the replication.",
            milliseconds(Some(server.slow_wait_ms)),
            milliseconds(Some(ms))
        )));
    }
    if server.waiting > 0 {
        blocks.push(Block::Text(format!(
            "{} commits waited for a standby still at the end, the longest for {}; they are in no other figure.",
            server.waiting,
            milliseconds(server.waiting_longest_ms)
        )));
    }
    blocks
}

fn slowest(view: View<'_>, commits: &CommitsReport) -> Vec<Block> {
    let mut table = Table::new(
        ">Began at | >Total | >Flush | >Wait | >In recovery | >Rest | >Process | Log position",
    );
    for slow in commits.slowest().into_iter().take(MOST_SLOW) {
        table.row([
            format!("{:.3} s", view.at(slow.offset_s)),
            milliseconds(Some(slow.total_ms)),
            milliseconds(Some(slow.flush_ms)),
            milliseconds(Some(slow.wait_ms)),
            milliseconds(slow.wait_in_recovery_ms),
            milliseconds(Some(slow.rest_ms)),
            slow.pid.to_string(),
            slow.lsn.clone(),
        ]);
    }
    if table.rows.is_empty() {
        return Vec::new();
    }
    vec![
        Block::Heading(format!(
            "The slowest of {} that took longer than {} ms",
            sum([
                commits.slow.len() as u64,
                commits.slow_dropped,
                commits.slow_lost,
            ]),
            commits.slow_ms
        )),
        Block::Table(table),
    ]
}
