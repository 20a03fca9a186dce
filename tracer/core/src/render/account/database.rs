//! The server, its standbys, and what the probe measured.

use crate::recording::standby;
use crate::render::account::{View, list, more};
use crate::render::database;
use crate::render::document::{Block, Table};
use crate::render::table::{milliseconds, number};
use crate::report::latency_probe::Requests;
use crate::report::postgres::PostgresReport;
use crate::text::bytes;

/// How many rows a table has; the JSON has all.
const MAX_ROWS: usize = 16;

pub(crate) fn blocks(view: View<'_>) -> Vec<Block> {
    let Some(postgres) = &view.report.postgres else {
        return Vec::new();
    };
    let mut blocks = vec![Block::Text(format!(
        "{} Asked: {}{}.",
        database::server(postgres),
        postgres.target,
        match postgres.sees_all {
            Some(false) => ", by a role that may not see all",
            _ => "",
        }
    ))];
    blocks.extend(standbys(postgres));
    blocks.extend(more(postgres.standbys.len(), MAX_ROWS, "standby"));
    blocks.extend(probe(postgres));
    blocks.extend(gaps(view, postgres));
    blocks
}

fn standbys(postgres: &PostgresReport) -> Option<Block> {
    let mut table = Table::new(
        "Standby | State | >Not sent, at most | >Not flushed | >Not replayed | >Oldest reply | >Slowest flush",
    );
    let joined = |words: &std::collections::BTreeSet<String>| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        words.join("/")
    };
    let labels = standby::labels(&postgres.standbys);
    for (standby, label) in postgres.standbys.iter().zip(labels).take(MAX_ROWS) {
        table.row([
            label,
            format!(
                "{} {}",
                joined(&standby.states),
                joined(&standby.sync_states)
            ),
            number(standby.sent_lag_bytes_max.map(bytes)),
            number(standby.flush_lag_bytes_max.map(bytes)),
            number(standby.replay_lag_bytes_max.map(bytes)),
            milliseconds(standby.reply_age_ms_max),
            milliseconds(standby.flush_lag_ms_max),
        ]);
    }
    (!table.rows.is_empty()).then_some(Block::Table(table))
}

fn probe(postgres: &PostgresReport) -> Vec<Block> {
    let Some(probe) = &postgres.probe else {
        return Vec::new();
    };
    let mut table = Table::new(
        "Probe | >Answered | >Failed | >Not started | >In flight at the end | >p50 | >p95 | >p99 | >Largest",
    );
    let mut row = |what: &str, some: &Requests| {
        let [p50, p95, p99, max] = some.latency.each().map(milliseconds);
        table.row([
            what.to_owned(),
            some.answered.to_string(),
            some.failed.to_string(),
            some.not_started.to_string(),
            match some.oldest_outstanding_ms {
                Some(ms) => format!("{}, since {}", some.outstanding, milliseconds(Some(ms))),
                None => some.outstanding.to_string(),
            },
            p50,
            p95,
            p99,
            max,
        ]);
    };
    row("commits", &probe.commits);
    row("reads", &probe.reads);
    let failures = [("commits", &probe.commits), ("reads", &probe.reads)];
    let failures: Vec<String> = failures
        .iter()
        .flat_map(|(what, some)| {
            let reasons = some.failures.iter().take(MAX_ROWS);
            reasons.map(move |(reason, count)| format!("{count} {what} failed: {reason}"))
        })
        .collect();
    let mut blocks = vec![
        Block::Heading(format!("The probe, {} a second of each", probe.rate)),
        Block::Table(table),
    ];
    blocks.extend(list(&failures));
    blocks
}

fn gaps(view: View<'_>, postgres: &PostgresReport) -> Vec<Block> {
    let lines = postgres.gaps.iter().take(MAX_ROWS).map(|gap| {
        format!(
            "no samples for {:.1} s from {:.1} s on: {}",
            gap.duration_s,
            view.at(gap.offset_s.max(0.0)),
            gap.reason
        )
    });
    let mut lines: Vec<String> = lines.collect();
    let more = postgres.gaps.len().saturating_sub(MAX_ROWS) as u64;
    let more = more.saturating_add(postgres.more_gaps);
    if more > 0 {
        lines.push(format!("and {more} more gaps"));
    }
    list(&lines)
}
