//! The alert rules of `deploy/`, by Prometheus's own tool.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use tracer_core::metrics::tally::Sent;
use tracer_core::metrics::{
    Commits, Database, GAPS, Health, Metrics, Received, STAGES, StandbyMetrics,
};
use tracer_core::render::openmetrics;
use tracer_core::report::role;
use tracer_core::report::stages::Stage;
use tracer_core::report::walreceiver::ReceiverStage;
use tracer_core::spread::Spread;

/// Labels whose values are a host's, or Prometheus's own.
const ANYTHING: [&str; 6] = ["instance", "job", "peer", "standby", "address", "le"];

/// As `pg_stat_replication` has them.
const SYNC_STATES: [&str; 4] = ["sync", "quorum", "potential", "async"];

fn deploy() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn read(name: &str) -> String {
    fs::read_to_string(deploy().join(name)).unwrap()
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

/// Everything that can be shown, with every name that a label can have.
fn all() -> Metrics {
    let spread = || Some(Spread::new());
    let standby = |state: &&str| StandbyMetrics {
        name: "db2".to_owned(),
        address: Some("10.0.10.3".to_owned()),
        sync_state: (*state).to_owned(),
        lags: STAGES.map(|stage| (stage, 0)).into(),
        reply_age_s: Some(0.0),
    };
    let sent = |(role, kind): (role::Kind, tracer_ebpf::RetransmitKind)| Sent {
        kind: kind.name(),
        role: role.to_string(),
        peer: "10.0.10.3".to_owned(),
        segments: 1,
    };
    let roles = role::Kind::ALL.into_iter();
    Metrics {
        sent: roles
            .flat_map(|role| tracer_ebpf::RetransmitKind::ALL.map(|kind| sent((role, kind))))
            .collect(),
        kernel_segments: Some(0),
        unexplained: Some(0),
        kernel_bad_checksums: Some(0),
        fault_active: Some(true),
        database: Some(Database {
            up: true,
            sync_rep_waiters: Some(0),
            sync_rep_longest_s: Some(0.0),
            primary: Some(true),
            standbys: SYNC_STATES.iter().map(standby).collect(),
            probe_commits: spread(),
            probe_reads: spread(),
            probe_undone: Some((0, 0)),
            probe_oldest_s: Some(0.0),
        }),
        commits: vec![Commits {
            pid: 1,
            parts: vec![("total", Spread::new())],
            waits: vec![(
                "10.0.10.3".to_owned(),
                Stage::ALL.map(|stage| (stage.name(), Spread::new())).into(),
            )],
        }],
        received: vec![Received {
            pid: 1,
            stages: ReceiverStage::ALL
                .map(|stage| (stage.name(), Spread::new()))
                .into(),
        }],
        health: Health {
            gaps: GAPS.map(|_| 0).into(),
            ..Health::default()
        },
        ..Metrics::default()
    }
}

/// The series of a text, each with its labels: `name{label="value",…}`.
fn series(text: &str) -> impl Iterator<Item = (&str, Vec<(&str, &str)>)> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices("tracer_").filter_map(move |(at, _)| {
        if text[..at].ends_with(word) {
            return None;
        }
        let (name, rest) = text[at..].split_at(text[at..].find(|c| !word(c))?);
        let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let labels = labels.map_or("", |(labels, _)| labels).split("\",");
        let labels = labels.filter_map(|one| {
            let (label, value) = one.split_once('=')?;
            Some((label, value.trim_matches(['~', '"'])))
        });
        Some((name, labels.collect()))
    })
}

/// What follows a key, to the end of its value.
fn values<'a>(text: &'a str, key: &'static str) -> impl Iterator<Item = &'a str> {
    text.split(key).skip(1).map(|value| {
        let lines = value.split_inclusive('\n').enumerate();
        // A value of several lines goes on where they are indented and hold no key.
        let more = lines.take_while(|(at, line)| {
            *at == 0 || line.starts_with("          ") && !line.trim_start().starts_with("- ")
        });
        &value[..more.map(|(_, line)| line.len()).sum()]
    })
}

/// What the rules and their tests ask for is what tracer shows: a misspelt name is a rule
/// that never fires, and a test of it that passes.
#[test]
fn what_the_rules_ask_for_is_shown() {
    let shown = openmetrics::render(all()).unwrap();
    let mut labels: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for line in shown.lines().filter(|line| !line.starts_with('#')) {
        for (name, of_one) in series(line) {
            let known = labels.entry(name).or_default();
            for (label, value) in of_one {
                known.entry(label).or_default().insert(value);
            }
        }
    }
    let rules = read("alerts.yml");
    let tests = read("alerts.test.yml");
    let asked = values(&rules, "expr: ").chain(values(&tests, "series: "));
    let mut count = 0;
    for (name, of_one) in asked.flat_map(series) {
        count += 1;
        let known = labels.get(name);
        let known = known.unwrap_or_else(|| panic!("tracer shows no {name}"));
        for (label, value) in of_one {
            if ANYTHING.contains(&label) {
                continue;
            }
            let there = known.get(label);
            let there = there.unwrap_or_else(|| panic!("{name} has no label {label}"));
            for one in value.split('|') {
                assert!(there.contains(one), "{name} has no {label}=\"{one}\"");
            }
        }
    }
    assert!(count > 40, "{count}");
    // What people are told to look at may be a metric without its suffix.
    for runbook in values(&rules, "runbook: ") {
        for (name, _) in series(runbook) {
            let known = labels.keys().any(|one| one.starts_with(name));
            assert!(known, "{name}: {runbook}");
        }
    }
}
