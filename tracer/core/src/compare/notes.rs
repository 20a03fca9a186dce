//! What to know before trusting a comparison: where the two runs are not alike, and what they
//! do not hold.

use crate::compare::file::ComparedFile;
use crate::compare::hosts::HostPair;
use crate::compare::servers::{ComparedServer, committing};
use crate::report::Report;
use crate::report::commits::ServerReport;
use crate::report::phase::ChosenBy;
use crate::text::counted;

/// All there is to know; `lone` are the hosts that one file has.
pub(super) fn notes(
    files: [&ComparedFile; 2],
    hosts: &[HostPair<'_>],
    lone: &[String],
) -> Vec<String> {
    let mut notes = Vec::new();
    let names = files.map(ComparedFile::names);
    if names[0] != names[1] {
        let [before, after] = names.map(|names| names.join(" and "));
        notes.push(format!(
            "The run before was on {before}, and the one after on {after}: hosts may differ in more than is compared."
        ));
    }
    notes.extend(
        lone.iter()
            .map(|label| format!("Host {label} is in one of the files, and compared with none.")),
    );
    let by_host: Vec<_> = hosts
        .iter()
        .map(|host| (host, of_host(host.reports)))
        .collect();
    let mut of_all: Vec<&String> = Vec::new();
    for (host, of_host) in &by_host {
        for note in of_host {
            let is_of_all = by_host.iter().all(|(_, others)| others.contains(note));
            match &host.label {
                Some(label) if !is_of_all => notes.push(format!("{label}: {note}")),
                _ if of_all.contains(&note) => {}
                _ => {
                    of_all.push(note);
                    notes.push(note.clone());
                }
            }
        }
    }
    notes
}

fn of_host(reports: [&Report; 2]) -> Vec<String> {
    let [before, after] = reports;
    let mut notes = Vec::new();
    if before.clock.monotonic_ns == after.clock.monotonic_ns && before.window == after.window {
        notes.push("Both files are of one run.".to_owned());
    }
    for (what, texts) in [
        (
            "connections were watched to",
            reports.map(|one| one.request.whom()),
        ),
        (
            "the network namespace was",
            reports.map(|one| one.request.netns.clone()),
        ),
        (
            "an interval was, in seconds,",
            reports.map(|one| one.request.interval_s.to_string()),
        ),
        ("what was broken on purpose was", reports.map(broken)),
        (
            "the kernel was Linux",
            reports.map(|one| one.host.kernel.clone()),
        ),
        (
            "it was measured by tracer",
            reports.map(|one| one.tool.version.to_string()),
        ),
    ] {
        let [before, after] = texts;
        if before != after {
            notes.push(format!("Before, {what} {before}; after, {after}."));
        }
    }
    for (option, given) in [
        ("--pg", reports.map(|one| one.postgres.is_some())),
        ("--commits", reports.map(|one| one.commits.is_some())),
        (
            "--commit-probe",
            reports.map(|one| one.request.commit_probe.is_some()),
        ),
    ] {
        if given[0] != given[1] {
            notes.push(format!(
                "{option} was given {} alone: findings that rest on it can have come or gone for that reason.",
                when(given)
            ));
        }
    }
    let rates = reports.map(|one| one.request.commit_probe);
    if let [Some(before), Some(after)] = rates
        && before != after
    {
        notes.push(format!(
            "The probe was to commit {before} times a second before, and {after} times after."
        ));
    }
    notes.extend(of_phases(reports));
    notes.extend(unknown(reports));
    notes.extend(of_commits(reports));
    let [before, after] = reports.map(|one| one.warnings.len());
    if before > 0 || after > 0 {
        notes.push(format!(
            "The reports have warnings, {before} before and {after} after: tracer report shows them."
        ));
    }
    notes
}

/// The faults of a run.
fn broken(report: &Report) -> String {
    let faults = report.faults.iter().map(|one| {
        let fault = &one.fault;
        let share = fault.percent.map(|percent| format!(" {percent}"));
        let delay = fault.delay_ms.map(|ms| format!(" {ms} ms"));
        let rate = fault.rate_bits.map(|bits| format!(" {bits} bit/s"));
        let amounts: String = [share, delay, rate].into_iter().flatten().collect();
        format!("{}{amounts}", fault.kind.name())
    });
    let faults: Vec<String> = faults.collect();
    match faults.is_empty() {
        true => "nothing".to_owned(),
        false => faults.join(", "),
    }
}

/// Phases that nobody set are where a series changed: of course it did.
fn of_phases(reports: [&Report; 2]) -> Vec<String> {
    let found = reports
        .into_iter()
        .zip(["before", "after"])
        .filter(|(report, _)| {
            let mut phases = report.phases.iter();
            phases.any(|phase| phase.chosen_by == ChosenBy::ChangePoint)
        });
    let notes = found.map(|(_, when)| {
        format!(
            "Nobody said that there was a fault in the run {when}: its phases were set apart by where a series changed, so that they differ by how they were chosen."
        )
    });
    notes.collect()
}

/// What the reports do not hold.
fn unknown(reports: [&Report; 2]) -> Vec<String> {
    let mut notes = Vec::new();
    let without_sent = reports.map(|one| one.sent.is_none());
    if without_sent.contains(&true) {
        notes.push(format!(
            "How many segments were sent is not in the report {}: nothing is told per segment sent.",
            when(without_sent)
        ));
    }
    let has_counters = |server: &ServerReport| server.total.ranges.is_some();
    let without_counters = reports.map(|one| {
        let mut servers = one.commits.iter().flat_map(|commits| &commits.servers);
        servers.any(|server| server.commits > 0 && !has_counters(server))
    });
    if without_counters.contains(&true) {
        notes.push(format!(
            "How many commits took how long is not in the report {}, as earlier versions wrote it: quantiles are bounded by each other and by the slow commits that are listed, of medians nothing is known below, and commits a second are bounded as if they came independently of each other.",
            when(without_counters)
        ));
    }
    notes
}

/// What to know of commits.
fn of_commits(reports: [&Report; 2]) -> Vec<String> {
    let mut notes: Vec<String> = committing(reports).iter().flat_map(of_server).collect();
    for (report, when) in reports.into_iter().zip(["before", "after"]) {
        let Some(commits) = &report.commits else {
            continue;
        };
        let missing = commits.not_counted.saturating_add(commits.out_of_sight);
        if missing > 0 {
            notes.push(format!(
                "In no figure of the run {when}: {}.",
                counted(missing, "commit")
            ));
        }
        if commits.traps_missed > 0 {
            notes.push(format!(
                "In no figure of the run {when}, at most: {}. The kernel did not run the programs at so many traps.",
                counted(commits.traps_missed, "commit")
            ));
        }
        let unlisted = commits.slow_dropped.saturating_add(commits.slow_lost);
        if unlisted > 0 {
            notes.push(format!(
                "Not listed in the report {when}: {}. Its high quantiles are less certain, and how many were slow is not known by phase.",
                counted(unlisted, "slow commit")
            ));
        }
    }
    notes
}

fn of_server(compared: &ComparedServer<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let name = &compared.name;
    let known = compared
        .servers
        .map(|one| one.and_then(|one| one.slow_from_ms));
    if let [Some(before_ms), Some(after_ms)] = known
        && before_ms != after_ms
    {
        notes.push(format!(
            "On the server at {name}, a commit was slow from {before_ms:.0} ms on before, and from {after_ms:.0} ms on after: other commits are counted as slow."
        ));
    }
    for (server, when) in compared.servers.into_iter().zip(["before", "after"]) {
        let Some(server) = server.filter(|one| one.waiting > 0) else {
            continue;
        };
        let longest = server.waiting_longest_ms.unwrap_or_default() / 1e3;
        notes.push(format!(
            "On the server at {name}, {} waited for a standby still at the end of the run {when}, for at most {longest:.1} s: in no quantile.",
            counted(server.waiting, "commit")
        ));
    }
    notes
}

/// In which of the two it is so.
fn when(is_so: [bool; 2]) -> &'static str {
    match is_so {
        [true, true] => "before or after",
        [true, false] => "before",
        [false, true] => "after",
        [false, false] => "neither before nor after",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report::read(include_bytes!("../../tests/data/stages.json")).unwrap()
    }

    fn told(before: &Report, after: &Report) -> String {
        let files = [before, after].map(|one| ComparedFile::Report(Box::new(one.clone())));
        let hosts = [HostPair {
            label: None,
            reports: [before, after],
        }];
        notes([&files[0], &files[1]], &hosts, &[]).join("\n")
    }

    #[test]
    fn what_differs_between_the_runs_is_told() {
        let before = report();
        let mut after = report();
        after.window.end = "2026-11-30T01:23:38Z".to_owned();
        let same = told(&before, &after);
        assert!(!same.contains("one run"), "{same}");
        after.host.name = "elsewhere".to_owned();
        after.request.peers = vec!["10.0.10.9/32".to_owned()];
        after.request.interval_s = 0.5;
        after.host.kernel = "5.10".to_owned();
        after.postgres = None;
        after.commits = None;
        let broken = Report::read(include_bytes!("../../tests/data/db2.json")).unwrap();
        after.faults = broken.faults;
        let told = told(&before, &after);
        for words in [
            "was on vm, and the one after on elsewhere",
            "connections were watched to",
            "10.0.10.9/32",
            "in seconds, 1; after, 0.5.",
            "Linux 6.18",
            "Before, what was broken on purpose was nothing; after, corrupt 50%.",
            "--commits was given before alone",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }

    #[test]
    fn phases_that_nobody_set_are_told() {
        let before = report();
        let mut after = report();
        after.phases[0].chosen_by = ChosenBy::ChangePoint;
        let told = told(&before, &after);
        assert!(
            told.contains("a fault in the run after: its phases"),
            "{told}"
        );
        assert!(!told.contains("a fault in the run before"), "{told}");
    }

    #[test]
    fn one_run_beside_itself_is_told() {
        let report = report();
        let told = told(&report, &report);
        assert!(told.contains("Both files are of one run."), "{told}");
        assert!(!told.contains("was on"), "{told}");
    }

    #[test]
    fn what_a_report_does_not_hold_is_told() {
        let before = report();
        let mut after = report();
        after.sent = Some([("10.0.10.3".parse().unwrap(), 50)].into());
        let told = told(&before, &after);
        for words in [
            "segments were sent is not in the report before:",
            "commits took how long is not in the report before or after",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }

    #[test]
    fn commits_that_are_in_no_figure_are_told() {
        let before = report();
        let mut after = report();
        let commits = after.commits.as_mut().unwrap();
        (commits.not_counted, commits.slow_lost) = (3, 2);
        let server = &mut commits.servers[0];
        (server.waiting, server.waiting_longest_ms) = (4, Some(7_300.0));
        server.slow_from_ms = Some(10.0);
        let mut usual = before.clone();
        usual.commits.as_mut().unwrap().servers[0].slow_from_ms = Some(100.0);
        let told = told(&usual, &after);
        for words in [
            "In no figure of the run after: 3 commits.",
            "Not listed in the report after: 2 slow commits.",
            "4 commits waited for a standby still at the end of the run after, for at most 7.3 s",
            "slow from 100 ms on before, and from 10 ms on after",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }
}
