//! The report as a summary for a terminal.

use crate::harmless;
use crate::render::aggregate::{self, AggregateRow};
use crate::render::table::{self, Row};
use crate::render::verdict;
use crate::report::aggregate::FlowSums;
use crate::report::{FlowReport, Report};

/// How many flows a summary shows; the JSON has all.
const MOST_FLOWS: usize = 20;
/// Of how many peers and of how many roles the sums are shown where there are more flows.
const MOST_SUMS: usize = 10;

/// The summary, lines no longer than `width`.
#[must_use]
pub fn render(report: &Report, width: usize) -> String {
    let harmless = |line: String| harmless::line(&line).into_owned();
    let findings = verdict::findings(&report.findings);
    let warnings = report.warnings.iter();
    let warnings = warnings.map(|warning| format!("warning: {warning}"));
    let mut lines: Vec<String> = findings.chain(warnings).map(harmless).collect();
    lines.push(headline(report));
    if report.flows.len() > MOST_FLOWS {
        lines.extend(sums(report, width));
    }
    if !report.flows.is_empty() {
        let rows: Vec<Row> = report.flows.iter().take(MOST_FLOWS).map(row).collect();
        lines.push(String::new());
        lines.extend(table::render(&rows, width));
    }
    let more = report.flows.len().saturating_sub(MOST_FLOWS);
    lines.extend(match report.unlisted_count() {
        0 if more == 0 => None,
        0 => Some(format!(
            "     and {more} more flows, all of them in the JSON"
        )),
        unlisted => Some(format!(
            "     and {} more flows, {more} of them in the JSON",
            unlisted.saturating_add(more as u64)
        )),
    });
    lines.push(String::new());
    lines.push(agreement(report));
    let postgres = report.postgres.iter().flat_map(super::database::lines);
    let commits = report.commits.iter().flat_map(super::commits::summary);
    let clipped = postgres
        .chain(commits)
        .chain(verdict::phases(&report.phases));
    lines.extend(clipped.map(|line| table::clip(&line, width)));
    let faults = report.faults.iter();
    lines.extend(faults.map(|fault| format!("Fault: {}.", fault.fault.summary())));
    lines.extend(not_sent(report));
    let bad_checksums = &report.checksum_errors;
    if bad_checksums.kernel_in_csum_errors.unwrap_or(0) > 0 {
        lines.push(format!(
            "Bad checksums: {} segments arrived with one and were discarded, {} of them from the peers above.",
            table::number(bad_checksums.kernel_in_csum_errors),
            table::number(bad_checksums.selected)
        ));
    }
    lines.join("\n") + "\n"
}

/// More flows than are shown, added up by peer and by role.
fn sums(report: &Report, width: usize) -> Vec<String> {
    let row = |name: String, sums: &FlowSums| AggregateRow {
        segments: sums.segments,
        added: None,
        flows: sums.flows,
        name,
        kinds: table::kinds(&sums.by_kind),
    };
    let peers = report.by_peer.iter();
    let peers = peers.map(|one| row(aggregate::peer(one), &one.sums));
    let roles = report.by_role.iter();
    let roles = roles.map(|one| row(aggregate::role(one), &one.sums));
    let tables: [(&str, &str, Vec<AggregateRow>); 2] = [
        ("PEER", "peers", peers.collect()),
        ("ROLE, PROGRAM", "roles", roles.collect()),
    ];
    let mut lines = Vec::new();
    for (title, what, rows) in tables.iter().filter(|(_, _, rows)| !rows.is_empty()) {
        let shown = &rows[..rows.len().min(MOST_SUMS)];
        lines.push(String::new());
        lines.extend(aggregate::render(title, shown, width));
        let more = rows.len() - shown.len();
        if more > 0 {
            lines.push(format!(
                "     and {more} more {what}, all of them in the JSON"
            ));
        }
    }
    lines
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
    let compared = match (totals.kernel_retrans_segs, totals.difference) {
        (Some(kernel), Some(0)) => format!("says {kernel}: no difference"),
        (Some(kernel), Some(difference)) => {
            format!("says {kernel}: {difference} that are not explained")
        }
        _ => "could not be compared".to_owned(),
    };
    let segments = totals.segments;
    format!("All peers: {segments} segments; the kernel's own counter {compared}.")
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
