//! The report as a summary for a terminal.

use std::fmt::Write;

use crate::harmless;
use crate::render::table::{self, Row};
use crate::render::verdict;
use crate::report::{FlowReport, Report};

/// How many flows a summary shows; the JSON has all.
const MOST_FLOWS: usize = 20;

/// The summary, lines no longer than `width`.
#[must_use]
pub fn render(report: &Report, width: usize) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for line in verdict::findings(&report.findings) {
        let _ = writeln!(text, "{}", harmless::line(&line));
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {}", harmless::line(warning));
    }
    let _ = writeln!(text, "{}", headline(report));
    if !report.flows.is_empty() {
        let rows: Vec<Row> = report.flows.iter().take(MOST_FLOWS).map(row).collect();
        text.push('\n');
        for line in table::render(&rows, width) {
            let _ = writeln!(text, "{line}");
        }
        if report.flows.len() > MOST_FLOWS {
            let _ = writeln!(
                text,
                "     and {} more flows, all of them in the JSON",
                report.flows.len() - MOST_FLOWS
            );
        }
    }
    text.push('\n');
    let _ = writeln!(text, "{}", agreement(report));
    for line in report.postgres.iter().flat_map(super::database::lines) {
        let _ = writeln!(text, "{}", table::clip(&line, width));
    }
    let commits = report.commits.iter();
    for line in commits.flat_map(super::commits::summary) {
        let _ = writeln!(text, "{}", table::clip(&line, width));
    }
    for line in verdict::phases(&report.phases) {
        let _ = writeln!(text, "{}", table::clip(&line, width));
    }
    for fault in &report.faults {
        let _ = writeln!(text, "Fault: {}.", fault.fault.summary());
    }
    if let Some(line) = not_sent(report) {
        let _ = writeln!(text, "{line}");
    }
    if report.checksum_errors.kernel_in_csum_errors.unwrap_or(0) > 0 {
        let _ = writeln!(
            text,
            "Bad checksums: {} segments arrived with one and were discarded, {} of them from the peers above.",
            table::number(report.checksum_errors.kernel_in_csum_errors),
            table::number(report.checksum_errors.selected)
        );
    }
    text
}

fn headline(report: &Report) -> String {
    format!(
        "{} segments retransmitted to {} in {:.1} s, {} calls, {} bytes",
        report.selected.segments,
        report.request.whom(),
        report.window.duration_s,
        report.selected.events,
        report.selected.bytes
    )
}

/// How our counts compare with the kernel's.
pub(crate) fn agreement(report: &Report) -> String {
    let totals = &report.totals;
    match (totals.kernel_retrans_segs, totals.difference) {
        (Some(kernel), Some(0)) => {
            format!(
                "All peers: {} segments; the kernel's own counter says {kernel}: no difference.",
                totals.segments
            )
        }
        (Some(kernel), Some(difference)) => format!(
            "All peers: {} segments; the kernel's own counter says {kernel}: {difference} that are not explained.",
            totals.segments
        ),
        _ => format!(
            "All peers: {} segments; the kernel's own counter could not be compared.",
            totals.segments
        ),
    }
}

/// What never left this host.
pub(crate) fn not_sent(report: &Report) -> Option<String> {
    let segments = report.totals.failed_segments;
    match report.totals.failed_events {
        None | Some(0) if segments == 0 => None,
        None => Some(format!(
            "{segments} of the segments were counted by the kernel and not seen to leave this host."
        )),
        Some(calls) => Some(format!(
            "Not sent: {calls} calls failed on this host; {segments} of the segments never left it."
        )),
    }
}

fn row(flow: &FlowReport) -> Row {
    Row {
        flow: name(flow),
        segments: flow.segments,
        added: None,
        kinds: table::kinds(&flow.by_kind),
        rto_max: table::milliseconds(flow.rto_max_ms),
        srtt: table::milliseconds(table::rtt_ms(flow.srtt_us)),
        cwnd: table::number(flow.cwnd),
        process: flow
            .role
            .with_process(flow.remote.address, flow.process.as_ref()),
    }
}

fn name(flow: &FlowReport) -> String {
    match flow.netns {
        Some(_) => format!("{} > {}", flow.local, flow.remote),
        None => "(no room in the flow table)".to_owned(),
    }
}
