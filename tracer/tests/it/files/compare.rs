//! `tracer compare`. `stages.json` was recorded while half of what a standby replied arrived
//! with a bad checksum, and `results/partial-loss` under one user and under a steady load.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::pages::root;
use crate::support::program::{FAILURE, USAGE, assert_refused, data, printed, text, tracer};

/// Exit code where something is so that was to fail.
const CONDITION: i32 = 3;

/// A result of the lab.
fn result(name: &str) -> String {
    text(&root().join("results/partial-loss").join(name))
}

/// A report in which each slow commit took so many times as long.
fn slower(folder: &Path, times: f64) -> String {
    let mut report: Value =
        serde_json::from_slice(&fs::read(data("stages.json")).unwrap()).unwrap();
    let longer = |ms: &mut Value| *ms = (times * ms.as_f64().unwrap()).into();
    let commits = &mut report["commits"];
    let total = &mut commits["servers"][0]["total"];
    for quantile in ["p50_ms", "p95_ms", "p99_ms", "max_ms"] {
        longer(&mut total[quantile]);
    }
    for slow in commits["slow"].as_array_mut().unwrap() {
        longer(&mut slow["total_ms"]);
    }
    let path = text(&folder.join("slower.json"));
    fs::write(&path, report.to_string()).unwrap();
    path
}

#[test]
fn every_form_has_what_changed_and_fits() {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (data("stages.json"), slower(folder.path(), 100.0));
    let shown = printed(&["compare", &before, &after]);
    assert!(shown.starts_with("Of "), "{shown}");
    for words in [
        "Commits of the server at port 5432",
        "higher",
        "How sure that is",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    for line in shown.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for (name, words) in [
        ("both.html", "<h2>Commits of the server at port 5432</h2>"),
        ("both.md", "## Commits of the server at port 5432"),
        ("both.txt", "\nCommits of the server at port 5432\n"),
        ("both.json", "\"schema\": \"tracer.compare/1\""),
    ] {
        let path = text(&folder.path().join(name));
        assert_eq!(printed(&["compare", &before, &after, "-o", &path]), "");
        let written = fs::read_to_string(&path).unwrap();
        assert!(written.contains(words), "{name}: {written}");
    }
    let named = printed(&["compare", &before, &after, "--format", "markdown"]);
    let path = folder.path().join("both.md");
    assert_eq!(named, fs::read_to_string(path).unwrap());
}

#[test]
fn a_condition_that_is_met_for_certain_has_a_code_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (data("stages.json"), slower(folder.path(), 100.0));
    for (condition, code, words) in [
        ("commits.p50 > +20%", CONDITION, "is met: "),
        ("commits.p50 > 1ms", CONDITION, "is met: "),
        ("commits.p50 < -20%", 0, ""),
        (
            "commits.max > +20%",
            0,
            "may be met, but that is within the uncertainty: ",
        ),
        ("findings.came > 0", 0, ""),
    ] {
        let output = tracer(&["compare", &before, &after, "--fail-if", condition]);
        assert_eq!(output.status.code(), Some(code), "{condition}: {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(words), "{condition}: {said}");
        assert_eq!(
            said.lines().count(),
            usize::from(!words.is_empty()),
            "{said}"
        );
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains("What was to fail"), "{shown}");
    }
    // Of several, one suffices.
    let output = tracer(&[
        "compare",
        &before,
        &after,
        "--fail-if",
        "commits.p50 < -20%",
        "--fail-if",
        "commits.p50 > +20%",
    ]);
    assert_eq!(output.status.code(), Some(CONDITION), "{output:?}");
}

#[test]
fn a_run_beside_itself_has_not_changed() {
    for name in ["steady/db1.json", "steady/run.json"] {
        let run = result(name);
        let json = printed(&["compare", &run, &run, "--format", "json"]);
        let json: Value = serde_json::from_str(&json).unwrap();
        let mut seen = 0;
        for host in json["hosts"].as_array().unwrap() {
            for part in host["parts"].as_array().unwrap() {
                for figure in part["figures"].as_array().unwrap() {
                    assert_eq!(figure["change"], "within_uncertainty", "{figure}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 50, "{name}: {seen}");
        let findings = json["findings"].as_array().unwrap();
        assert!(findings.iter().all(|one| one["fate"] == "stayed"), "{name}");
    }
}

#[test]
fn runs_of_the_lab_are_compared_by_host_and_by_phase() {
    let (before, after) = (result("one-user/run.json"), result("steady/run.json"));
    let json = printed(&["compare", &before, &after, "--format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    let hosts = json["hosts"].as_array().unwrap();
    let labels: Vec<_> = hosts.iter().map(|one| one["host"].as_str()).collect();
    assert_eq!(labels, [Some("db1"), Some("db2")]);
    let parts = hosts[0]["parts"].as_array().unwrap();
    let parts: Vec<_> = parts
        .iter()
        .map(|one| one["part"].as_str().unwrap())
        .collect();
    assert_eq!(parts, ["whole", "baseline", "fault", "recovery"]);
    let whole = hosts[0]["parts"][0]["figures"].as_array().unwrap();
    let figure = |metric: &str| whole.iter().find(|one| one["metric"] == metric).unwrap();
    // Four connections commit more than one, for certain.
    assert_eq!(figure("commits.rate")["change"], "higher");
    let p99 = figure("commits.p99");
    let bound = |name: &str| p99["after"][name].as_f64().unwrap();
    assert!(bound("at_least") <= bound("value"), "{p99}");
    assert!(figure("stage.remote.p95")["of"]["standby"].is_string());
    let shown = printed(&["compare", &before, &after]);
    for line in shown.lines().filter(|line| line.starts_with("  ")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn what_cannot_be_compared_is_told() {
    let run = data("stages.json");
    for arguments in [&["compare"][..], &["compare", &run]] {
        assert_refused(&tracer(arguments), USAGE, &["--help"]);
    }
    let twice = ["compare", run.as_str(), run.as_str()];
    let with = |more: &[&str]| tracer(&[&twice[..], more].concat());
    let refused = |more: &[&str], words: &[&str]| assert_refused(&with(more), USAGE, words);
    refused(&["-o", "both.pdf"], &["both.pdf", ".json"]);
    refused(&["-o", &run], &["--output", "same file"]);
    refused(
        &["--fail-if", "commits.p98 > +20%"],
        &["commits.p98", "commits.p99"],
    );
    refused(&["--fail-if", "commits.p99 > 20%"], &["+20%"]);
    refused(&["--fail-if", "slow"], &["`slow`", "commits.p99 > +20%"]);
    refused(
        &["--fail-if", "probe.reads.p99 > +20%"],
        &["probe.reads.p99 was not measured in", "--commit-probe"],
    );
    let streams = tracer(&["compare", "-", "-"]);
    assert_refused(&streams, USAGE, &["standard input", "BEFORE"]);
    let merged = result("steady/run.json");
    let mixed = tracer(&["compare", &run, &merged]);
    assert_refused(&mixed, FAILURE, &["stages.json", "tracer merge"]);
    let none = tracer(&["compare", &run, "none.json"]);
    assert_refused(&none, FAILURE, &["none.json"]);
}
