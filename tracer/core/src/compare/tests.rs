//! What is compared with what, and what is refused.

use crate::compare::change::Change;
use crate::compare::condition::ConditionOutcome;
use crate::compare::*;
use crate::merge::merge;
use crate::render;

fn reports() -> [Report; 2] {
    [
        Report::read(include_bytes!("../../tests/data/db1.json")).unwrap(),
        Report::read(include_bytes!("../../tests/data/db2.json")).unwrap(),
    ]
}

fn file(report: Report) -> ComparedFile {
    ComparedFile::Report(Box::new(report))
}

fn merged() -> ComparedFile {
    let merged = merge(reports(), ["db1", "db2"]).unwrap();
    ComparedFile::Merged(Box::new(merged))
}

fn compared(
    before: &ComparedFile,
    after: &ComparedFile,
    conditions: &[&str],
) -> Result<Comparison, CompareError> {
    let conditions: Vec<Condition> = conditions
        .iter()
        .map(|condition| condition.parse().unwrap())
        .collect();
    compare([before, after], ["before.json", "after.json"], &conditions)
}

#[test]
fn phases_are_compared_with_those_of_their_name() {
    let [report, _] = reports();
    let before = file(report.clone());
    let mut after = report;
    // Without a recovery, as of a run that was stopped in the fault.
    after.phases.pop();
    let found = compared(&before, &file(after), &[]).unwrap();
    let [host] = &found.hosts[..] else {
        panic!("{:?}", found.hosts);
    };
    let parts: Vec<Name> = host.parts.iter().map(|part| part.part).collect();
    assert_eq!(parts, [Name::Whole, Name::Baseline, Name::Fault]);
    assert_eq!(
        host.lone_phases,
        [LonePhase {
            phase: Name::Recovery,
            run: OneRun::Before
        }]
    );
    let found = compared(&file(reports()[0].clone()), &before, &[]).unwrap();
    assert!(found.hosts[0].lone_phases.is_empty());
}

#[test]
fn runs_without_phases_are_compared_as_a_whole() {
    let whole = Report::read(include_bytes!("../../tests/data/stages.json")).unwrap();
    let [phased, _] = reports();
    let found = compared(&file(whole.clone()), &file(whole.clone()), &[]).unwrap();
    assert_eq!(found.hosts[0].parts.len(), 1);
    assert!(found.hosts[0].lone_phases.is_empty());
    let found = compared(&file(whole), &file(phased), &[]).unwrap();
    assert_eq!(found.hosts[0].parts.len(), 1);
    let lone = &found.hosts[0].lone_phases;
    assert!(lone.iter().all(|one| one.run == OneRun::After), "{lone:?}");
    assert_eq!(lone.len(), 3);
}

#[test]
fn nothing_has_changed_between_a_run_and_itself() {
    for file in [
        file(reports()[0].clone()),
        file(reports()[1].clone()),
        merged(),
    ] {
        let found = compared(&file, &file, &[]).unwrap();
        let parts = found.hosts.iter().flat_map(|host| &host.parts);
        for figure in parts.flat_map(|part| &part.figures) {
            assert_eq!(figure.change, Change::WithinUncertainty, "{figure:?}");
        }
    }
}

#[test]
fn merged_files_are_compared_host_by_host() {
    let both = merged();
    let found = compared(&both, &both, &["findings > +0"]).unwrap();
    let hosts: Vec<_> = found
        .hosts
        .iter()
        .map(|host| host.host.as_deref())
        .collect();
    assert_eq!(hosts, [Some("db1"), Some("db2")]);
    assert_eq!(found.conditions[0].outcome, ConditionOutcome::NotMet);
    let notes = &found.notes;
    assert!(notes.iter().any(|note| note.starts_with("db1: ")));
    // What is so of both hosts is said once.
    let sent = notes
        .iter()
        .filter(|note| note.contains("segments were sent"));
    assert_eq!(sent.count(), 1, "{notes:?}");
}

#[test]
fn one_host_is_not_compared_with_two() {
    let report = file(reports()[0].clone());
    for (files, words) in [
        (
            [&report, &merged()],
            "before.json is a report of one host, and after.json what",
        ),
        (
            [&merged(), &report],
            "after.json is a report of one host, and before.json what",
        ),
    ] {
        let error = compared(files[0], files[1], &[]).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn a_condition_on_what_was_not_measured_is_an_error() {
    let mut without = reports()[0].clone();
    without.commits = None;
    let with = file(reports()[0].clone());
    let without = file(without);
    let error = compared(&without, &with, &["commits.p99 > +20%"]).unwrap_err();
    let line = error.to_string();
    assert!(line.contains("not measured in before.json"), "{line}");
    assert!(compared(&without, &with, &["retransmits.rate > +20%"]).is_ok());
}

#[test]
fn the_json_says_what_it_is_and_what_was_measured() {
    let [report, _] = reports();
    let found = compared(&file(report.clone()), &file(report), &["findings > 0"]).unwrap();
    let json = render::json::render(&found).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["schema"], "tracer.compare/1");
    assert_eq!(json["tool"]["name"], "tracer");
    assert_eq!(json["before"]["file"], "before.json");
    assert_eq!(json["conditions"][0]["condition"], "findings > 0");
    assert_eq!(json["conditions"][0]["outcome"], "met");
    assert_eq!(json["findings"][0]["fate"], "stayed");
    let part = &json["hosts"][0]["parts"][0];
    assert_eq!(part["part"], "whole");
    let figures = part["figures"].as_array().unwrap();
    let all = figures
        .iter()
        .find(|one| one["metric"] == "retransmits.rate")
        .unwrap();
    assert_eq!(all["unit"], "per_s");
    assert_eq!(all["after"]["count"], 7);
    assert_eq!(all["change"], "within_uncertainty");
}
