//! Phases side by side.

use crate::render::account::View;
use crate::render::account::findings::word;
use crate::render::document::{Block, Column, Table};
use crate::render::table::{milliseconds, number};
use crate::render::verdict::phase_name;
use crate::report::phase::PhaseReport;
use crate::report::phase::{ChosenBy, PhaseRequests, Rates};
use crate::text::bytes;

pub(crate) fn blocks(view: View<'_>) -> Vec<Block> {
    let Some(first) = view.report.phases.first() else {
        return Vec::new();
    };
    let chosen = match first.chosen_by {
        ChosenBy::FaultWindow => "By the time in which something was broken on purpose.".to_owned(),
        ChosenBy::Request => "As asked for (--phases).".to_owned(),
        ChosenBy::ChangePoint => format!(
            "By a change in {}.",
            first
                .found_in
                .map_or("a series".to_owned(), |signal| word(&signal)
                    .replace('_', " "))
        ),
        ChosenBy::Nothing => "Nothing sets a part of the run apart.".to_owned(),
    };
    vec![Block::Text(chosen), Block::Table(table(view))]
}

/// A figure's name, and what it is in a phase; `None` if it was not measured.
type Figure = (&'static str, fn(&PhaseReport) -> Option<String>);

const FIGURES: [Figure; 25] = [
    ("length", |one| Some(format!("{:.1} s", one.duration_s))),
    ("retransmitted, segments", |one| {
        Some(one.figures.selected.segments.to_string())
    }),
    ("retransmitted, a second", |one| {
        rate(Some(&one.figures.selected))
    }),
    ("replication, a second", |one| {
        rate(one.figures.replication.as_ref())
    }),
    ("clients, a second", |one| {
        rate(one.figures.clients.as_ref())
    }),
    ("bad checksums, segments", |one| {
        one.figures.arrived_damaged.map(|n| n.to_string())
    }),
    ("commits answered, a second", |one| {
        answered(one.figures.commits)
    }),
    ("commits failed, not started", |one| {
        undone(one.figures.commits)
    }),
    ("commits, p50", |one| {
        ms(one.figures.commits, |some| some.p50_ms)
    }),
    ("commits, p95", |one| {
        ms(one.figures.commits, |some| some.p95_ms)
    }),
    ("commits, p99", |one| {
        ms(one.figures.commits, |some| some.p99_ms)
    }),
    ("commits, largest", |one| {
        ms(one.figures.commits, |some| some.max_ms)
    }),
    ("reads answered, a second", |one| {
        answered(one.figures.reads)
    }),
    ("reads failed, not started", |one| undone(one.figures.reads)),
    ("reads, p50", |one| {
        ms(one.figures.reads, |some| some.p50_ms)
    }),
    ("reads, p95", |one| {
        ms(one.figures.reads, |some| some.p95_ms)
    }),
    ("reads, p99", |one| {
        ms(one.figures.reads, |some| some.p99_ms)
    }),
    ("reads, largest", |one| {
        ms(one.figures.reads, |some| some.max_ms)
    }),
    ("most not flushed by a standby", |one| {
        one.figures.flush_lag_bytes_max.map(bytes)
    }),
    ("oldest reply of a standby", |one| {
        let age = one.figures.reply_age_ms_max?;
        Some(milliseconds(Some(age)))
    }),
    ("waiting for a standby, at most", |one| {
        one.figures.sync_rep_waiters_max.map(|n| n.to_string())
    }),
    ("waiting for WAL to reach the disk, at most", |one| {
        one.figures.wal_waiters_max.map(|n| n.to_string())
    }),
    ("waiting for locks, at most", |one| {
        one.figures.lock_waiters_max.map(|n| n.to_string())
    }),
    ("time with somebody waiting for a standby", |one| {
        one.figures.sync_rep_s.map(|s| format!("{s:.1} s"))
    }),
    ("of it, replication in loss recovery", |one| {
        let share = one.figures.sync_rep_in_recovery_percent?;
        Some(format!("{share:.0} %"))
    }),
];

fn rate(rates: Option<&Rates>) -> Option<String> {
    rates.and_then(|rates| Some(format!("{:.1}", rates.per_s?)))
}

fn answered(requests: Option<PhaseRequests>) -> Option<String> {
    requests.and_then(|some| Some(format!("{:.1}", some.answered_per_s?)))
}

fn undone(requests: Option<PhaseRequests>) -> Option<String> {
    let some = requests?;
    Some(format!("{}, {}", some.failed, some.not_started))
}

fn ms(requests: Option<PhaseRequests>, which: fn(PhaseRequests) -> Option<f64>) -> Option<String> {
    requests.map(|some| milliseconds(which(some)))
}

/// Figures that some phase has.
fn table(view: View<'_>) -> Table {
    let phases = &view.report.phases;
    let mut table = Table::new(&[""]);
    let columns = phases.iter().map(|phase| Column {
        name: phase_name(phase.name).to_owned(),
        numbers: true,
    });
    table.head.extend(columns);
    let begins = phases
        .iter()
        .map(|phase| format!("{:.1} s", view.at(phase.offset_s)));
    table
        .rows
        .push(["from".to_owned()].into_iter().chain(begins).collect());
    for (name, figure) in FIGURES {
        let cells: Vec<Option<String>> = phases.iter().map(figure).collect();
        if cells.iter().any(Option::is_some) {
            let mut row = vec![name.to_owned()];
            row.extend(cells.into_iter().map(number));
            table.rows.push(row);
        }
    }
    table
}
