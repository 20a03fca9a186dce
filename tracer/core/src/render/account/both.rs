//! One run as a person reads it that was seen from both hosts.

use crate::merge::clock::ClockMethod;
use crate::merge::connection::Connection;
use crate::merge::journey::Journey;
use crate::merge::model::Merged;
use crate::render::account::{
    View, charts, commits, database, explained, faults, findings, list, method, phases, shades,
    timeline,
};
use crate::render::chart::Axis;
use crate::render::document::{Block, Document, Section, Table};
use crate::render::table::{kinds, milliseconds, number, rtt_ms};
use crate::render::verdict::confidence;
use crate::report::phase::ChosenBy;
use crate::text::counted;

/// How many connections are shown; the JSON has all.
const MAX_CONNECTIONS: usize = 20;

/// The account of both sides.
#[must_use]
pub fn of_both(merged: &Merged) -> Document {
    let labels = [0, 1].map(|at| format!("{}: ", merged.hosts[at].label));
    let axis = axis(merged);
    let views = [0, 1].map(|at| View {
        report: &merged.reports[at],
        axis: &axis,
        shift_s: merged.hosts[at].starts_s,
        label: &labels[at],
    });
    let mut clock = timeline::blocks(&views, &axis);
    clock.extend(views.into_iter().flat_map(charts::blocks));
    let mut sections = vec![
        (
            "The slowest commit".to_owned(),
            explained::slowest_of_both(merged),
        ),
        ("What was found".to_owned(), found(merged)),
        (
            "Seen, and no commit waited for it".to_owned(),
            list(&unwaited(merged)),
        ),
        (
            "What slow commits waited for, through both hosts".to_owned(),
            journeys(merged),
        ),
        (
            "Connections, seen from both ends".to_owned(),
            connections(merged),
        ),
        ("On one clock".to_owned(), clock),
    ];
    for view in views {
        for (title, blocks) in [
            ("Phases", phases::blocks(view)),
            ("What was broken on purpose", faults::blocks(view)),
            ("PostgreSQL", database::blocks(view)),
            ("What commits waited for", commits::blocks(view)),
        ] {
            sections.push((format!("{}{title}", view.label), blocks));
        }
    }
    sections.push(("Warnings".to_owned(), list(&merged.warnings)));
    sections.push(("The two clocks".to_owned(), list(&clocks(merged))));
    for view in views {
        let title = format!("{}How it was measured", view.label);
        sections.push((title, method::blocks(view.report)));
    }
    Document {
        title: format!(
            "tracer: {} and {}",
            merged.hosts[0].label, merged.hosts[1].label
        ),
        verdict: verdict(merged),
        lead: lead(merged),
        sections: sections
            .into_iter()
            .filter_map(|(title, blocks)| Section::of(&title, blocks))
            .collect(),
    }
}

/// The first finding; or else who retransmitted what to whom.
fn verdict(merged: &Merged) -> String {
    match (merged.findings.first(), merged.connections.first()) {
        (Some(first), _) => format!(
            "{}: {} (confidence: {})",
            first.host,
            first.finding.text,
            confidence(first.finding.confidence)
        ),
        (None, _) if !merged.unwaited.is_empty() => {
            let seen = unwaited(merged).join(" ");
            format!("No commit was found to wait. {seen}")
        }
        (None, Some(most)) if most.segments > 0 => directions(merged, most),
        _ => "Nothing was retransmitted on any connection that both hosts saw.".to_owned(),
    }
}

/// What each end of a connection retransmitted.
fn directions(merged: &Merged, connection: &Connection) -> String {
    let purpose = connection.purpose.as_deref().unwrap_or("a connection");
    let one = |from: usize, to: usize| {
        let (sender, receiver) = (&merged.hosts[from], &merged.hosts[to]);
        let corrupted = match receiver.arrived_damaged {
            Some(count) if count > 0 => {
                format!(
                    " ({} received {count} segments with a bad checksum in all)",
                    receiver.label
                )
            }
            _ => String::new(),
        };
        let segments = connection.sides[from].segments;
        format!(
            "{} retransmitted {segments} segments to {}{corrupted}",
            sender.label, receiver.label
        )
    };
    format!("Of {purpose}: {}, and {}.", one(0, 1), one(1, 0))
}

fn lead(merged: &Merged) -> Vec<String> {
    let mut lines = Vec::new();
    let mut connections = merged.connections.iter();
    // What both sides of the replication show comes before everything else.
    let replication = connections.clone().find(|one| {
        let purpose = one.purpose.as_deref().unwrap_or_default();
        purpose.starts_with("replication")
    });
    if let Some(connection) = replication.or_else(|| connections.next()) {
        lines.push(directions(merged, connection));
    }
    let window = &merged.window;
    lines.push(format!(
        "{:.1} s from {} to {}, {} of it seen by both.",
        window.united.duration_s,
        window.united.start,
        window.united.end,
        window
            .common
            .as_ref()
            .map_or("none".to_owned(), |common| format!(
                "{:.1} s",
                common.duration_s
            ))
    ));
    lines.push(format!(
        "Below: {}, {}.",
        counted(merged.findings.len() as u64, "finding"),
        counted(merged.warnings.len() as u64, "warning")
    ));
    lines
}

fn found(merged: &Merged) -> Vec<Block> {
    if merged.findings.is_empty() {
        return Vec::new();
    }
    let json = serde_json::to_value(merged).unwrap_or_default();
    let findings = merged.findings.iter().enumerate();
    findings
        .flat_map(|(index, one)| {
            let mut finding = one.finding.clone();
            finding.text = format!("{}: {}", one.host, finding.text);
            findings::one(index + 1, &finding, &json)
        })
        .collect()
}

fn unwaited(merged: &Merged) -> Vec<String> {
    let unwaited = merged.unwaited.iter();
    unwaited
        .map(|one| format!("{}: {}", one.host, one.finding.text))
        .collect()
}

/// Each with its stages.
fn journeys(merged: &Merged) -> Vec<Block> {
    let mut blocks = Vec::new();
    for journey in &merged.journeys {
        blocks.extend(list(&[format!(
            "{} to standby {}: {}",
            journey.host,
            journey.standby,
            journey.told()
        )]));
        let mut table = Table::new("Stage | Whose | >Together | >Share");
        for (stage, whose, ms) in journey.stages() {
            table.row([
                stage.to_owned(),
                whose.to_owned(),
                milliseconds(Some(ms)),
                percent(ms, journey.waited_ms),
            ]);
        }
        blocks.push(Block::Table(table));
        blocks.extend(list(&ways(journey)));
    }
    blocks
}

/// How well the way there and the way back are known apart.
fn ways(journey: &Journey) -> Vec<String> {
    let known = journey.apart_off_by_ms.map(|off_by_ms| {
        format!(
            "For {}, the way to the standby and the way back are known apart, each to {off_by_ms:.3} ms or better.",
            counted(journey.apart, "commit")
        )
    });
    let unknown = journey.not_apart.as_ref().map(|reason| {
        format!("Where they are not, they are together in \"between the hosts\": {reason}.")
    });
    known.into_iter().chain(unknown).collect()
}

fn percent(part: f64, whole: f64) -> String {
    match whole > 0.0 {
        true => format!("{:.1} %", 100.0 * part / whole),
        false => "-".to_owned(),
    }
}

fn connections(merged: &Merged) -> Vec<Block> {
    let mut blocks = Vec::new();
    for connection in merged.connections.iter().take(MAX_CONNECTIONS) {
        let mut table = Table::new("From | >Retransmitted | By kind | >RTO max | >Back-off | >RTT");
        for (host, side) in merged.hosts.iter().zip(&connection.sides) {
            table.row([
                host.label.clone(),
                side.segments.to_string(),
                kinds(&side.by_kind),
                milliseconds(side.rto_max_ms),
                number(side.backoff_max),
                milliseconds(rtt_ms(side.srtt_us)),
            ]);
        }
        blocks.push(Block::Text(ends(merged, connection)));
        blocks.push(Block::Table(table));
    }
    let mut lines = Vec::new();
    let more = merged.connections.len().saturating_sub(MAX_CONNECTIONS);
    if more > 0 {
        lines.push(format!("And {more} more, all of them in the JSON."));
    }
    for (host, alone) in merged.hosts.iter().zip(&merged.one_sided) {
        if alone.flows > 0 {
            lines.push(format!(
                "{} saw {} flows that the other did not, with {} segments retransmitted.",
                host.label, alone.flows, alone.segments
            ));
        }
    }
    blocks.extend(list(&lines));
    blocks
}

/// What a connection is for, and its ends.
fn ends(merged: &Merged, connection: &Connection) -> String {
    let purpose = connection.purpose.as_deref().unwrap_or("A connection");
    let end = |at: usize| {
        let (host, side) = (&merged.hosts[at], &connection.sides[at]);
        format!("{} ({})", host.label, side.endpoint)
    };
    format!("{purpose}: {}, {}", end(0), end(1))
}

fn clocks(merged: &Merged) -> Vec<String> {
    let clock = &merged.clock;
    let [one, two] = [&merged.hosts[0].label, &merged.hosts[1].label];
    let ms = |value: Option<f64>| value.map_or("?".to_owned(), |value| format!("{value:.2} ms"));
    let fine = |value: Option<f64>| value.map_or("?".to_owned(), |value| format!("{value:.3} ms"));
    let mut lines = vec![match clock.method {
        ClockMethod::SameBoot => "Both ran on one kernel: there is one clock.".to_owned(),
        ClockMethod::Exchanges => format!(
            "The clock of {two} is ahead of that of {one} by {}, give or take {}: by {} messages and replies of the replication, none of which arrived before it was sent. Charts are drawn so.",
            fine(clock.offset_ms),
            fine(clock.uncertainty_ms),
            clock.exchanges
        ),
        ClockMethod::ClosedConnections => format!(
            "The clock of {two} is ahead of that of {one} by {}, give or take {}: by when both ends of {} connections closed. Charts are drawn so.",
            ms(clock.offset_ms),
            ms(clock.uncertainty_ms),
            clock.connections
        ),
        ClockMethod::NotKnown => format!(
            "By how much the clocks of {one} and {two} differ is not known; charts are drawn as if they did not."
        ),
    }];
    for (bound, which) in [(clock.at_least_ms, "least"), (clock.at_most_ms, "most")] {
        lines.extend(
            bound.map(|ms| {
                format!("By the ages of replies, {two} is ahead by {ms:.2} ms at {which}.")
            }),
        );
    }
    lines
}

/// The united window, with the phases of the host that broke something, or else of
/// one that has any.
fn axis(merged: &Merged) -> Axis {
    let by_fault = |at: &usize| {
        let mut phases = merged.reports[*at].phases.iter();
        phases.any(|phase| phase.chosen_by == ChosenBy::FaultWindow)
    };
    let several = |at: &usize| merged.reports[*at].phases.len() > 1;
    let which = [0, 1].into_iter().find(by_fault);
    let which = which.or_else(|| [0, 1].into_iter().find(several));
    Axis {
        length_s: merged.window.united.duration_s,
        phases: which.map_or(Vec::new(), |at| {
            shades(&merged.reports[at], merged.hosts[at].starts_s)
        }),
    }
}
