//! What the reader of a report must know first.

use crate::assemble::commit_warnings;
use crate::recording::Recording;
use crate::report::commits::CommitsReport;
use crate::report::request::whom;
use crate::report::{FlowReport, GapsReport, TotalsReport};

/// All of them: whether a fault did what was asked comes before what was seen of it.
pub(super) fn all(
    recording: &Recording,
    totals: &TotalsReport,
    gaps: &GapsReport,
    flows: &[FlowReport],
    commits: Option<&CommitsReport>,
) -> Vec<String> {
    let mut warnings = crate::report::fault::sentences::warnings(&recording.faults);
    add(&mut warnings, recording, totals, gaps, flows);
    let of_postgres = recording.postgres.iter();
    warnings.extend(of_postgres.flat_map(|one| one.warnings.clone()));
    warnings.extend(commits.map(commit_warnings::warnings).unwrap_or_default());
    if let Some(Err(reason)) = &recording.processors {
        warnings.push(reason.clone());
    }
    warnings
}

/// All that the measurements themselves give reason for.
fn add(
    warnings: &mut Vec<String>,
    recording: &Recording,
    totals: &TotalsReport,
    gaps: &GapsReport,
    flows: &[FlowReport],
) {
    let mut warn = |text: String| warnings.push(text);
    let opened = recording.totals().selected_opened;
    if flows.is_empty() && opened == 0 && !recording.settings.peers.is_empty() {
        warn(never_seen(recording));
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
            "retransmits were of more sockets than the kernel programs could remember: their segments were counted when the socket closed or at the end of the run, as of kind `other`; none is counted twice",
        ),
        (
            gaps.namespaces_full,
            "retransmits were in more network namespaces than there is room for, and in no total",
        ),
        (gaps.reads_failed, "kernel fields could not be read"),
        (
            totals.lost_events.unwrap_or(0),
            "events are missing: they came faster than they could be taken; counts are complete",
        ),
        (
            recording.holes.dropped(),
            "events were of losses beyond the number that is remembered: less of the commits' waiting is charged to losses than was due to them",
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
            &recording.unwritten_events,
            "events could not be written to --events and are not in its file; counts are complete",
        ),
        (
            &recording.unwritten_lines,
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
    if let Some(unseen) = &recording.unseen_processes {
        warn(unseen.clone());
    }
    for hook in recording.hooks.iter().filter(|hook| !hook.attached) {
        let reason = hook.reason.as_deref().unwrap_or("it was refused");
        warn(format!(
            "{}: tracepoint {}: {reason}",
            hook.consequence.as_deref().unwrap_or_default(),
            hook.name
        ));
    }
}

/// No connection to the peer: where it may be found instead.
fn never_seen(recording: &Recording) -> String {
    let elsewhere: u64 = recording.elsewhere.iter().map(|(_, hits)| hits).sum();
    let hint = match recording.elsewhere.first() {
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
        whom(&recording.settings.peers, &[])
    )
}
