//! What commits waited for, by server.

use crate::render::account::{View, more, sum};
use crate::render::document::{Block, Table};
use crate::render::table::{milliseconds, number};
use crate::render::{stages, walreceivers};
use crate::report::commits::{CommitsReport, ServerReport};
use crate::report::histogram::PartQuantiles;
use crate::report::stages::{Stage, StagesReport, StandbyStages};
use crate::report::walreceiver::{ReceiverStage, WalreceiverReport};

/// How many servers are shown; the JSON has all.
const MOST_SERVERS: usize = 8;
const MOST_SLOW: usize = 10;
const MOST_STANDBYS: usize = 4;

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
    for standby in commits.walreceivers.iter().take(MOST_STANDBYS) {
        blocks.extend(received(view, standby));
    }
    blocks.extend(more(commits.walreceivers.len(), MOST_STANDBYS, "standby"));
    blocks
}

/// What became of the WAL that a standby received: each stage, and the messages that took longest.
fn received(view: View<'_>, standby: &WalreceiverReport) -> Vec<Block> {
    let mut blocks = vec![Block::Heading(match (standby.measured, &standby.remote) {
        (true, Some(remote)) => format!(
            "WAL that PostgreSQL, pid {}, received from {remote}: {} messages",
            standby.server_pid, standby.messages
        ),
        (true, None) => format!(
            "WAL that PostgreSQL, pid {}, received: {} messages",
            standby.server_pid, standby.messages
        ),
        (false, _) => format!(
            "What PostgreSQL, pid {}, received was not followed",
            standby.server_pid
        ),
    })];
    if let Some(reason) = &standby.reason {
        blocks.push(Block::Text(format!("Not all of it is known: {reason}.")));
    }
    let mut stages = Table::new("Stage | >p50 | >p95 | >p99 | >Largest | >Together");
    for stage in ReceiverStage::ALL {
        let took = standby.stages.of(stage);
        if took.part.max_ms.is_some() {
            let [p50, p95, p99, max] = took.part.each().map(milliseconds);
            let together = milliseconds(Some(took.sum_ms));
            let name = walreceivers::what(stage).to_owned();
            stages.row([name, p50, p95, p99, max, together]);
        }
    }
    let mut slowest = Table::new(
        ">Arrived at | >Total | >Read | >Written | >Flushed | >Reply sent | >Acknowledged | >Replayed | LSN",
    );
    for message in standby.slowest.iter().take(MOST_SLOW) {
        let [read, write, flush, reply, acknowledged, apply] =
            ReceiverStage::ALL.map(|stage| milliseconds(*message.stages_ms.of(stage)));
        slowest.row([
            format!("{:.3} s", view.at(message.offset_s)),
            milliseconds(Some(message.total_ms)),
            read,
            write,
            flush,
            reply,
            acknowledged,
            apply,
            message.lsn.clone(),
        ]);
    }
    let tables = [stages, slowest].into_iter();
    blocks.extend(tables.filter(|one| !one.rows.is_empty()).map(Block::Table));
    blocks
}

fn one(server: &ServerReport) -> Vec<Block> {
    let version = server.version.as_deref().unwrap_or("?");
    let slow = match (server.usual_ms, server.slow_from_ms) {
        (Some(usual_ms), Some(from_ms)) => format!(
            " (from {} on; {} is usual)",
            milliseconds(Some(from_ms)),
            milliseconds(Some(usual_ms))
        ),
        _ => String::new(),
    };
    let heading = format!(
        "PostgreSQL {version}, pid {}, port {}: {} commits, {} of them slow{slow}",
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
    blocks.extend(waits(&server.stages));
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

/// What waits for standbys were made of: a table for each.
fn waits(report: &StagesReport) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(reason) = &report.reason {
        blocks.push(Block::Text(format!(
            "What waits for a standby were made of is not known: {reason}."
        )));
    }
    for standby in report.standbys.iter().take(MOST_STANDBYS) {
        let name = &standby.remote;
        let waits = format!("{} waits that the standby at {name} ended", standby.waits);
        blocks.extend([Block::Heading(waits), Block::Table(of_standby(standby))]);
    }
    blocks.extend(more(report.standbys.len(), MOST_STANDBYS, "standby"));
    if report.unreleased > 0 {
        blocks.push(Block::Text(format!(
            "{} waits took {} together, and no reply of a standby was seen to end them.",
            report.unreleased,
            milliseconds(Some(report.unreleased_ms))
        )));
    }
    blocks
}

fn of_standby(standby: &StandbyStages) -> Table {
    let mut table =
        Table::new("Stage | >Share | >Of slow commits | >p50 | >p95 | >p99 | >Largest | >Together");
    let percent = |share: Option<f64>| number(share.map(|share| format!("{:.0} %", 100.0 * share)));
    for stage in Stage::ALL {
        let one = standby.stages.of(stage);
        let [p50, p95, p99, max] = one.took.part.each().map(milliseconds);
        table.row([
            stages::what(stage).to_owned(),
            percent(one.share),
            percent(one.slow_share),
            p50,
            p95,
            p99,
            max,
            milliseconds(Some(one.took.sum_ms)),
        ]);
    }
    table
}

fn slowest(view: View<'_>, commits: &CommitsReport) -> Vec<Block> {
    let mut table =
        Table::new(">Began at | >Total | >Flush | >Wait | >In recovery | >Rest | >Process | LSN");
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
            "The slowest of {} that took longer than {}",
            sum([
                commits.slow.len() as u64,
                commits.slow_dropped,
                commits.slow_lost,
            ]),
            commits.slow_words()
        )),
        Block::Table(table),
    ]
}
