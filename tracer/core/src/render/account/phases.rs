//! Phases side by side.

use crate::render::account::View;
use crate::render::account::findings::word;
use crate::render::document::{Block, Column, Table};
use crate::render::table::{milliseconds, number};
use crate::render::verdict::phase_name;
use crate::report::phase::{ChosenBy, PhaseReport, Rates};
use crate::text::bytes;

pub(crate) fn blocks(view: View<'_>) -> Vec<Block> {
    let Some(first) = view.report.phases.first() else {
        return Vec::new();
    };
    let chosen = match first.chosen_by {
        ChosenBy::FaultWindow => "By the time in which something was broken on purpose.".to_owned(),
        ChosenBy::Request => "As asked for (--phases).".to_owned(),
        ChosenBy::ChangePoint => format!(
            "Where {} changed; tracer made no fault.",
            first
                .found_in
                .map_or("a series".to_owned(), |signal| word(&signal)
                    .replace('_', " "))
        ),
        ChosenBy::Nothing => "No series changed: the run is one phase.".to_owned(),
    };
    vec![Block::Text(chosen), Block::Table(table(view))]
}

/// What a phase was like: each figure by its name; `None` if it was not measured. Every phase
/// has the same ones.
fn figures(phase: &PhaseReport) -> Vec<(String, Option<String>)> {
    let of = &phase.figures;
    let count = |n: Option<u32>| n.map(|n| n.to_string());
    let tenths = |n: Option<f64>| n.map(|n| format!("{n:.1}"));
    let mut figures = Vec::new();
    let mut add = |name: &str, figure| figures.push((name.to_owned(), figure));
    add("length", Some(format!("{:.1} s", phase.duration_s)));
    let segments = of.selected.segments.to_string();
    add("retransmitted, segments", Some(segments));
    add("retransmitted, a second", tenths(of.selected.per_s));
    let rate = |rates: Option<Rates>| tenths(rates.and_then(|one| one.per_s));
    add("replication, a second", rate(of.replication));
    add("clients, a second", rate(of.clients));
    let corrupted = of.arrived_damaged.map(|n| n.to_string());
    add("bad checksums, segments", corrupted);
    for (what, some) in [("commits", of.commits), ("reads", of.reads)] {
        let answered = tenths(some.and_then(|some| some.answered_per_s));
        add(&format!("{what} answered, a second"), answered);
        let undone = some.map(|some| format!("{}, {}", some.failed, some.not_started));
        add(&format!("{what} failed, not started"), undone);
        let quantiles = some.unwrap_or_default().latency.each();
        for (name, ms) in ["p50", "p95", "p99", "largest"].into_iter().zip(quantiles) {
            add(&format!("{what}, {name}"), some.map(|_| milliseconds(ms)));
        }
    }
    let not_flushed = of.flush_lag_bytes_max.map(bytes);
    add("most not flushed by a standby", not_flushed);
    let age = of.reply_age_ms_max.map(|ms| milliseconds(Some(ms)));
    add("oldest reply of a standby", age);
    let (standby, wal) = (of.sync_rep_waiters_max, of.wal_waiters_max);
    add("waiting for a standby, at most", count(standby));
    add("waiting for WAL to reach the disk, at most", count(wal));
    add("waiting for locks, at most", count(of.lock_waiters_max));
    let waited = of.sync_rep_s.map(|s| format!("{s:.1} s"));
    add("time with somebody waiting for a standby", waited);
    let share = of.sync_rep_in_recovery_percent;
    let share = share.map(|share| format!("{share:.0} %"));
    add("of it, replication in loss recovery", share);
    figures
}

/// Figures that some phase has.
fn table(view: View<'_>) -> Table {
    let phases = &view.report.phases;
    let mut table = Table::new("");
    let columns = phases.iter().map(|phase| Column {
        name: phase_name(phase).to_owned(),
        numbers: true,
    });
    table.head.extend(columns);
    let mut row = |name: String, cells: Vec<Option<String>>| {
        let cells = cells.into_iter().map(number);
        table
            .rows
            .push(std::iter::once(name).chain(cells).collect());
    };
    let from = |phase: &PhaseReport| Some(format!("{:.1} s", view.at(phase.offset_s)));
    row("from".to_owned(), phases.iter().map(from).collect());
    let columns: Vec<_> = phases.iter().map(figures).collect();
    for (at, (name, _)) in columns.iter().take(1).flatten().enumerate() {
        let cells: Vec<_> = columns.iter().map(|one| one[at].1.clone()).collect();
        if cells.iter().any(Option::is_some) {
            row(name.clone(), cells);
        }
    }
    table
}
