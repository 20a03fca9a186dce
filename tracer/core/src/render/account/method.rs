//! How it was measured, and how far it can be trusted.

use crate::render::document::Block;
use crate::render::table::{milliseconds, number};
use crate::render::text::{agreement, not_sent};
use crate::report::{GapsReport, Report};

pub(crate) fn blocks(report: &Report) -> Vec<Block> {
    let mut points = vec![agreement(report)];
    points.extend(not_sent(report));
    if report.totals.kernel_retrans_segs.is_some() {
        points.push(match report.totals.quiet {
            true => "Both counts were read in moments in which neither moved.".to_owned(),
            false => "No quiet moment was found to read both counts in.".to_owned(),
        });
    }
    let corrupted = &report.checksum_errors;
    points.push(format!(
        "Arrived with a bad checksum: {} segments by the kernel's count, {} of them from the peers. Resets: {} sent, {} received. Connections: {} opened, {} closed.",
        number(corrupted.kernel_in_csum_errors),
        number(corrupted.selected),
        number(report.resets.sent),
        number(report.resets.received),
        report.states.opened,
        report.states.closed,
    ));
    let hooks = &report.capabilities.hooks;
    let attached: Vec<&str> = hooks
        .iter()
        .filter(|hook| hook.attached)
        .map(|hook| hook.name.as_ref())
        .collect();
    if !attached.is_empty() {
        points.push(format!("Watched tracepoints: {}.", attached.join(", ")));
    }
    for hook in hooks.iter().filter(|hook| !hook.attached) {
        points.push(format!(
            "Not watched: {}: {}; {}.",
            hook.name,
            hook.reason.as_deref().unwrap_or("it was refused"),
            hook.consequence.as_deref().unwrap_or("nothing works")
        ));
    }
    for missing in &report.capabilities.missing_fields {
        points.push(format!(
            "This kernel has no {}: {}.",
            missing.field, missing.consequence
        ));
    }
    points.extend(gaps(&report.gaps, report.totals.lost_events.unwrap_or(0)));
    let cost = &report.overhead;
    points.push(format!(
        "It took {:.0} ms of processor time and {} KiB of memory{}{}.",
        cost.cpu_ms,
        cost.peak_memory_kib,
        cost.ready_ms.map_or(String::new(), |ms| {
            let after = milliseconds(Some(ms));
            format!(", and counted {after} after it was started")
        }),
        cost.program_ns_per_run.map_or(String::new(), |ns| format!(
            "; its kernel programs took {ns:.0} ns a run"
        ))
    ));
    let tick = report.host.tick_hz.map_or(String::new(), |hz| {
        format!("; retransmission timeouts are read to a tick of 1/{hz:.0} s")
    });
    points.push(format!(
        "Counted by {} {}, every {} s{tick}. Network namespace: {}.",
        report.tool.name, report.tool.version, report.request.interval_s, report.request.netns
    ));
    crate::render::account::list(&points)
}

/// What had to be given up.
fn gaps(gaps: &GapsReport, lost_events: u64) -> impl Iterator<Item = String> {
    let counts = [
        (gaps.flows_full, "hits had no room in the table of flows"),
        (
            gaps.sockets_full,
            "hits were of sockets that could not be remembered, and were counted later",
        ),
        (
            gaps.namespaces_full,
            "hits had no room in the table of namespaces",
        ),
        (gaps.reads_failed, "kernel fields could not be read"),
        (
            gaps.hits_missed,
            "hits were not handed to a program that was running",
        ),
        (gaps.undecodable_events, "events could not be understood"),
        (
            gaps.unwritten_events,
            "events are not in the file of --events; counts are complete",
        ),
        (lost_events, "events were lost; counts are complete"),
    ];
    let there = counts.into_iter().filter(|(count, _)| *count > 0);
    there.map(|(count, what)| format!("{count} {what}."))
}
