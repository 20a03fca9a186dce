//! What the reader of a report must know first.

use crate::assemble::{Measured, sum_of};
use crate::report::request::whom;
use crate::report::{FlowReport, GapsReport, TotalsReport};

/// All that the measurements themselves give reason for.
pub(crate) fn add(
    warnings: &mut Vec<String>,
    measured: &Measured<'_>,
    totals: &TotalsReport,
    gaps: &GapsReport,
    flows: &[FlowReport],
) {
    let mut warn = |text: String| warnings.push(text);
    let opened = sum_of(&measured.namespaces).selected_opened;
    if flows.is_empty() && opened == 0 && !measured.asked.peers.is_empty() {
        warn(never_seen(measured));
    }
    match (totals.difference, totals.quiet) {
        (Some(0), _) => {}
        (Some(difference), true) => warn(format!(
            "the kernel counted {difference:+} segments that tracer cannot explain: please report this"
        )),
        (Some(difference), false) => warn(format!(
            "the kernel's counter and tracer's differ by {difference:+}: there was no quiet moment to read both, at the start or at the end"
        )),
        (None, _) => warn(
            "the kernel's own counter could not be compared in every network namespace".to_owned(),
        ),
    }
    for (count, what) in [
        (
            gaps.flows_full,
            "retransmits had no room in the flow table and were counted together; use a larger --max-flows",
        ),
        (
            gaps.sockets_full,
            "retransmits were of sockets that could not be remembered; failures among them may be missing",
        ),
        (
            gaps.namespaces_full,
            "retransmits were in more network namespaces than can be told apart, and in no total",
        ),
        (gaps.reads_failed, "kernel fields could not be read"),
        (
            totals.lost_events.unwrap_or(0),
            "events are missing: they came faster than they could be taken; counts are complete",
        ),
        (
            measured.holes.dropped(),
            "events told of losses that were too many to be told apart: less of the commits' waiting is charged to them than was theirs",
        ),
        (
            gaps.undecodable_events,
            "events could not be understood; counts are complete",
        ),
    ] {
        if count > 0 {
            warn(format!("{count} {what}"));
        }
    }
    for (unwritten, what) in [
        (
            &measured.unwritten_events,
            "events could not be written to --events and are not in its file; counts are complete",
        ),
        (
            &measured.unwritten_lines,
            "lines of the live view could not be written; counts are complete",
        ),
    ] {
        if unwritten.lines > 0 {
            let cause = unwritten
                .cause
                .as_deref()
                .unwrap_or("too many were waiting");
            warn(format!("{} {what}: {cause}", unwritten.lines));
        }
    }
    if let Some(unseen) = &measured.unseen_processes {
        warn(unseen.clone());
    }
    for hook in measured.hooks.iter().filter(|hook| !hook.attached) {
        let reason = hook.reason.as_deref().unwrap_or("it was refused");
        warn(format!(
            "{}: tracepoint {}: {reason}",
            hook.consequence.as_deref().unwrap_or_default(),
            hook.name
        ));
    }
}

/// No connection to the peer: where it may be found instead.
fn never_seen(measured: &Measured<'_>) -> String {
    let elsewhere: u64 = measured.elsewhere.iter().map(|(_, hits)| hits).sum();
    let hint = match measured.elsewhere.first() {
        None => {
            "check the address and the port; what runs in containers is seen with `--netns all`"
                .to_owned()
        }
        Some((netns, _)) => format!(
            "{elsewhere} retransmits to it were seen in other network namespaces (net:[{netns}]); use `--netns all`"
        ),
    };
    format!(
        "no connection to {} was seen: {hint}",
        whom(&measured.asked.peers, &[])
    )
}
