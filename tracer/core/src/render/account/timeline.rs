//! Faults, roles and what could not be seen, on the axis of the charts.

use crate::render::account::{View, faults};
use crate::render::chart::{Axis, Timeline, TimelineRow, TimelineSpan};
use crate::render::document::Block;
use crate::report::Report;
use crate::report::sample::Role;

const MAX_ROWS: usize = 12;
const FAULT: usize = 0;
const PRIMARY: usize = 1;
const STANDBY: usize = 4;
const GAP: usize = 7;

/// Stretches of all hosts, on one axis.
pub(crate) fn blocks(views: &[View<'_>], axis: &Axis) -> Vec<Block> {
    let mut rows: Vec<TimelineRow> = views.iter().flat_map(rows).collect();
    rows.truncate(MAX_ROWS);
    if rows.is_empty() {
        return Vec::new();
    }
    vec![Block::Timeline(Timeline {
        title: "Faults, roles, gaps in the samples".to_owned(),
        axis: axis.clone(),
        rows,
    })]
}

fn rows(view: &View<'_>) -> Vec<TimelineRow> {
    let report = view.report;
    let mut rows: Vec<TimelineRow> = report
        .faults
        .iter()
        .map(|fault| {
            let (from_s, to_s) = faults::span(report, fault);
            TimelineRow {
                name: "fault".to_owned(),
                spans: vec![TimelineSpan {
                    from_s,
                    to_s,
                    text: faults::what(fault),
                    tint: FAULT,
                }],
            }
        })
        .collect();
    rows.extend(roles(report));
    rows.extend(gaps(report));
    for row in &mut rows {
        row.name = format!("{}{}", view.label, row.name);
        for span in &mut row.spans {
            (span.from_s, span.to_s) = (view.at(span.from_s), view.at(span.to_s));
        }
    }
    rows
}

/// What the server was, from when to when.
fn roles(report: &Report) -> Option<TimelineRow> {
    let turns = &report.postgres.as_ref()?.roles;
    let spans = turns.iter().enumerate().map(|(at, turn)| {
        let tint = match turn.role {
            Role::Primary => PRIMARY,
            Role::Standby => STANDBY,
        };
        let timeline = turn
            .timeline
            .map_or(String::new(), |number| format!(" on timeline {number}"));
        let next = turns.get(at + 1);
        let until_s = next.map_or(report.window.duration_s, |next| next.offset_s);
        TimelineSpan {
            from_s: turn.offset_s.max(0.0),
            to_s: seen_until(report, turn.offset_s, until_s),
            text: format!("{}{timeline}", turn.role.name()),
            tint,
        }
    });
    (!turns.is_empty()).then(|| TimelineRow {
        name: "server".to_owned(),
        spans: spans.collect(),
    })
}

/// A role is known up to the last sample that showed it: what the server was in a gap
/// after which it is another, nobody saw.
fn seen_until(report: &Report, from_s: f64, to_s: f64) -> f64 {
    const SAME_S: f64 = 0.001;
    let gaps = report.postgres.iter().flat_map(|postgres| &postgres.gaps);
    let mut last = gaps.filter(|gap| {
        let end_s = gap.offset_s + gap.duration_s;
        gap.offset_s >= from_s && gap.offset_s < to_s && end_s >= to_s - SAME_S
    });
    last.next().map_or(to_s, |gap| gap.offset_s)
}

fn gaps(report: &Report) -> Option<TimelineRow> {
    let gaps = &report.postgres.as_ref()?.gaps;
    let spans = gaps.iter().map(|gap| TimelineSpan {
        from_s: gap.offset_s.max(0.0),
        to_s: gap.offset_s + gap.duration_s,
        text: gap.reason.clone(),
        tint: GAP,
    });
    (!gaps.is_empty()).then(|| TimelineRow {
        name: "no samples".to_owned(),
        spans: spans.collect(),
    })
}
