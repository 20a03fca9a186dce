//! The alert rules of `deploy/`, by Prometheus's own tool.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use tracer::{
    metrics::{Database, Metrics},
    sink::openmetrics,
};

fn deploy() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn promtool(arguments: &[&str]) -> Output {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(deploy())
        .output();
    output.unwrap_or_else(|error| {
        panic!("promtool ({error}): `cargo xtask test` installs it; Debian's package is prometheus")
    })
}

fn assert_well(output: &Output) {
    let told = [&output.stdout[..], &output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&told)
    );
}

#[test]
fn rules_are_valid_and_do_what_their_tests_expect() {
    assert_well(&promtool(&["check", "rules", "alerts.yml"]));
    assert_well(&promtool(&["test", "rules", "alerts.test.yml"]));
}

#[test]
fn every_alert_is_tested_and_says_what_to_do() {
    let read = |name: &str| fs::read_to_string(deploy().join(name)).unwrap();
    let (rules, tests) = (read("alerts.yml"), read("alerts.test.yml"));
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 15, "{}", alerts.len());
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name}");
        for part in ["severity: ", "summary: ", "description: ", "runbook: "] {
            assert_eq!(alert.matches(part).count(), 1, "{part} of {name}");
        }
    }
}

/// What the rules and their tests name is what tracer shows.
#[test]
fn every_metric_of_the_rules_is_shown() {
    let shown = openmetrics::render(Metrics {
        database: Some(Database::default()),
        ..Metrics::default()
    });
    let mut names = BTreeSet::new();
    for line in shown.unwrap().lines() {
        let Some(rest) = line.strip_prefix("# TYPE ") else {
            continue;
        };
        let (name, sort) = rest.split_once(' ').unwrap();
        match sort {
            "counter" => names.insert(format!("{name}_total")),
            "histogram" => names.insert(format!("{name}_bucket")),
            _ => names.insert(name.to_owned()),
        };
    }
    for file in ["alerts.yml", "alerts.test.yml"] {
        let text = fs::read_to_string(deploy().join(file)).unwrap();
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        let mut used = BTreeSet::new();
        for line in code {
            // A runbook may name one without its suffix.
            let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            used.extend(
                words
                    .filter(|word| word.starts_with("tracer_"))
                    .map(str::to_owned),
            );
        }
        assert!(used.len() > 8, "{used:?}");
        for name in used {
            let known = names.iter().any(|one| one.starts_with(&name));
            assert!(known, "{file}: {name}");
        }
    }
}
