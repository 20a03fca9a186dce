//! What the reader of a report must know of its commits.

use crate::report::commits::CommitsReport;
use crate::text::harmless;

pub(super) fn warnings(report: &CommitsReport) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(reason) = &report.reason {
        warnings.push(format!("commits were not split: {reason}"));
    }
    let programs = report.programs.iter().filter(|_| report.attached);
    for program in programs {
        if let Some(reason) = &program.reason {
            let path = harmless(&program.path, 80);
            warnings.push(format!("commits of {path} were not split: {reason}"));
        }
    }
    let hooks = report.servers.iter().flat_map(|one| {
        let reasons = one.hooks.iter().filter_map(|hook| hook.reason.as_ref());
        reasons.map(|reason| (one.pid, reason))
    });
    let received = report.walreceivers.iter().flat_map(|one| {
        let reasons = one.hooks.iter().filter_map(|hook| hook.reason.as_ref());
        reasons.map(|reason| (one.server_pid, reason))
    });
    for (pid, reason) in hooks.chain(received) {
        warnings.push(format!(
            "not measured of the server with process {pid}: {reason}"
        ));
    }
    for (count, what) in [
        (
            report.not_counted,
            "commits are in no count: more backends or servers than there is room for, a field of the kernel's that could not be read, or a wait whose end the kernel did not show",
        ),
        (
            report.out_of_sight,
            "commits are in no count, because their servers run outside of the PID namespace that tracer sees: run it on the host, or in a container that shares the host's (docker run --pid=host, hostPID: true)",
        ),
        (
            report.traps_missed,
            "traps of PostgreSQL's functions went by without the kernel running the program: as many commits at most are in no count",
        ),
        (
            report.stages_lost,
            "records of waits for a standby came faster than they could be taken: what waits were made of is not known of those moments",
        ),
        (
            report.walsenders_not_followed,
            "times a walsender was not followed, as there are more than there is room for: of waits for it, it is not known what they were made of",
        ),
        (
            report.waits_unread,
            "waits may have been for no standby: the settings of their sessions could not be read",
        ),
        (
            report.slow_lost,
            "slow commits are not listed one by one: they came faster than they could be taken; counts are complete",
        ),
        (
            report.slow_dropped,
            "slow commits are not listed one by one, only the slowest; use a larger --slow-commit",
        ),
    ] {
        if count > 0 {
            warnings.push(format!("{count} {what}"));
        }
    }
    warnings
}
