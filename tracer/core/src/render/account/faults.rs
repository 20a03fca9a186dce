//! What was asked for, what was done, and whether it is undone.

use crate::render::account::View;
use crate::render::document::{Block, Table};
use crate::render::table::milliseconds;
use crate::report::request::whom;
use crate::report::whereabouts::Whereabouts;
use crate::report::{Fault, Report};

pub(crate) fn blocks(view: View<'_>) -> Vec<Block> {
    let faults = &view.report.faults;
    if faults.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new("Fault | Asked for | When | Hit | Expected | Removed");
    for fault in faults {
        table.row([
            what(fault),
            asked(fault),
            when(view, fault),
            hit(fault),
            expected(fault),
            removed(fault),
        ]);
    }
    vec![Block::Table(table)]
}

/// What was done to whose packets.
pub(crate) fn what(fault: &Fault) -> String {
    let fault = &fault.fault;
    let toward = if fault.direction == "in" {
        "from"
    } else {
        "to"
    };
    format!(
        "{} {toward} {} on {} ({}, {})",
        fault.kind.name(),
        whom(&fault.peers, &fault.ports),
        fault.interface,
        fault.engine,
        fault.hook
    )
}

fn asked(fault: &Fault) -> String {
    let fault = &fault.fault;
    let words = [
        fault.percent.map(|percent| percent.to_string()),
        fault
            .correlation
            .map(|share| format!("correlation {share:.0}%")),
        fault.delay_ms.map(|ms| milliseconds(Some(ms))),
        fault
            .jitter_ms
            .filter(|ms| *ms > 0.0)
            .map(|ms| format!("jitter {}", milliseconds(Some(ms)))),
        fault.distribution.as_ref().map(ToString::to_string),
        fault.rate_bits.map(|bits| format!("{bits} bit/s")),
        fault.damaged.as_ref().map(|what| format!("the {what}")),
        fault.seed.map(|seed| format!("seed {seed}")),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// From the start of the window to its two ends, s.
pub(crate) fn span(report: &Report, fault: &Fault) -> (f64, f64) {
    let window = start_ns(report);
    let offset = |at_ns: u64| (at_ns as f64 - window) / 1e9;
    (offset(fault.fault.started_ns), offset(fault.fault.ended_ns))
}

/// When counting began, ns of the monotonic clock: by the clock's pair of moments.
fn start_ns(report: &Report) -> f64 {
    let moment = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let since = moment(&report.window.start)
        .zip(moment(&report.clock.realtime))
        .map_or(0.0, |(start, known)| {
            start.duration_since(known).as_secs_f64() * 1e9
        });
    report.clock.monotonic_ns as f64 + since
}

fn when(view: View<'_>, fault: &Fault) -> String {
    let (from_s, to_s) = span(view.report, fault);
    let (from_s, to_s) = (view.at(from_s), view.at(to_s));
    format!("{from_s:.1} s to {to_s:.1} s")
}

fn hit(fault: &Fault) -> String {
    let fault = &fault.fault;
    match (fault.hit, fault.seen, fault.delivered_percent) {
        (Some(hit), Some(seen), Some(share)) => format!("{hit} of {seen} ({share:.1} %)"),
        (None, Some(seen), _) => format!("{seen} passed by, hits are not counted"),
        (Some(hit), Some(seen), None) => format!("{hit} of {seen}"),
        _ => "not known".to_owned(),
    }
}

fn expected(fault: &Fault) -> String {
    match fault.fault.expected_hits {
        Some([least, most]) if fault.fault.is_off() => {
            format!("{least} to {most}: chance does not explain it")
        }
        Some([least, most]) => format!("{least} to {most}"),
        None => "-".to_owned(),
    }
}

fn removed(fault: &Fault) -> String {
    let fault = &fault.fault;
    let now = fault.interface_now.as_ref();
    match (&fault.left_behind, fault.removed) {
        (Some(left), _) => left.clone(),
        (None, true) if now.is_some_and(Whereabouts::is_gone) => {
            "gone with its interface".to_owned()
        }
        (None, true) => match now.and_then(|now| now.told_of(&fault.interface)) {
            Some(change) => format!("yes; {change}"),
            None => "yes, all as it was".to_owned(),
        },
        (None, false) => "not confirmed".to_owned(),
    }
}
