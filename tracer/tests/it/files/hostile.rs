//! Text of others that would do something to a terminal: in names of files, options,
//! variables, and in what stands in files. All of it is shown, and none of it acts.

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;

use serde_json::Value;
use tracer_core::text::does_harm;

use crate::support::program::{PROGRAM, data, text, tracer};

/// Sets a title, clears the screen (also with the one-byte form of `ESC [`), writes
/// backwards, and would begin a line of its own.
const EVIL: &str = "own\u{1b}]0;t\u{7}\u{1b}[2J\u{9b}2J\u{202e}\u{7f}\rx\ntracer: all is well";

fn assert_harmless(said: &[u8], what: &str) {
    let said = std::str::from_utf8(said).unwrap();
    let harmful = said.chars().find(|&c| does_harm(c) && c != '\n');
    assert_eq!(harmful, None, "{what}: {said:?}");
}

/// It failed and said so in one line that harms nobody and holds the word.
fn assert_told(output: &Output, word: &str, what: &str) {
    assert!(!output.status.success(), "{what}: {output:?}");
    assert_harmless(&output.stderr, what);
    assert!(output.stdout.is_empty(), "{what}: {output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.lines().count(), 1, "{what}: {said}");
    assert!(said.contains(word), "{what}: {said}");
}

#[test]
fn what_was_typed_is_quoted_harmlessly() {
    let run = data("db1.json");
    let with = |before: &str, after: &str| format!("{before}{EVIL}{after}");
    let nowhere = with("/nowhere/", "/x");
    let peer = ["--peer", "192.0.2.1"];
    let cases: Vec<Vec<String>> = [
        &[EVIL][..],
        &["report", &with("--", "")],
        &["report", EVIL],
        &["report", &run, "--output", &with("", ".pdf")],
        &["report", &run, "--output", &nowhere],
        &["report", &run, "--format", EVIL],
        &["compare", &run, EVIL],
        &["compare", &run, &run, "--fail-if", EVIL],
        &["compare", &run, &run, "--output", &with("", ".pdf")],
        &["merge", &run, EVIL],
        &["replay", EVIL],
        &["replay", &run, "--json", &nowhere],
        &["run", "--peer", EVIL],
        &["run", "--all", "--port", EVIL],
        &["run", "--all", "--duration", EVIL],
        &["run", "--all", "--interval", EVIL],
        &["run", "--all", "--phases", EVIL],
        &["run", "--all", "--listen", EVIL],
        &["run", "--all", "--json", &nowhere],
        &["run", "--all", "--events", &nowhere],
        &["run", "--all", "--ready-file", &nowhere],
        &["run", "--all", "--pg", &with("host=db1 sslmode='", "'")],
        &["run", peer[0], peer[1], "--inject", EVIL, "--for", "1s"],
        &["inject", EVIL, peer[0], peer[1], "--duration", "1s"],
        &["inject", "loss=1%", "--peer", EVIL, "--duration", "1s"],
        &["check", "--peer", EVIL],
    ]
    .iter()
    .map(|case| case.iter().map(|&word| word.to_owned()).collect())
    .collect();
    for case in cases {
        let words: Vec<&str> = case.iter().map(String::as_str).collect();
        assert_told(&tracer(&words), "own", &format!("{words:?}"));
    }
}

#[test]
fn what_a_variable_holds_is_quoted_harmlessly() {
    for name in ["PGSSLMODE", "PGPORT", "PGTARGETSESSIONATTRS"] {
        let mut command = std::process::Command::new(PROGRAM);
        command.args(["run", "--all", "--pg", "host=db1"]);
        let output = command.env(name, EVIL).output().unwrap();
        assert_told(&output, "own", name);
    }
}

/// One place of every kind at which a string stands, by its path without numbers.
fn places(value: &Value, path: &str, kind: &str, found: &mut BTreeMap<String, String>) {
    match value {
        Value::String(_) => {
            let _ = found.entry(kind.to_owned()).or_insert(path.to_owned());
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                places(item, &format!("{path}/{number}"), kind, found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                let (path, kind) = (format!("{path}/{name}"), format!("{kind}/{name}"));
                places(field, &path, &kind, found);
            }
        }
        _ => {}
    }
}

/// The value with hostile text at every kind of place, one at a time.
fn spoilt(value: &Value) -> Vec<(String, Value)> {
    let mut found = BTreeMap::new();
    places(value, "", "", &mut found);
    let spoil = |path: String| {
        let mut value = value.clone();
        *value.pointer_mut(&path).unwrap() = EVIL.into();
        (path, value)
    };
    found.into_values().map(spoil).collect()
}

#[test]
fn what_stands_in_a_report_is_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = text(&folder.path().join("run.json"));
    let other = data("db2.json");
    let report = serde_json::from_slice(&fs::read(data("db1.json")).unwrap()).unwrap();
    let spoilt = spoilt(&report);
    assert!(spoilt.len() > 40, "{}", spoilt.len());
    let mut shown = 0;
    for (place, report) in spoilt {
        fs::write(&path, report.to_string()).unwrap();
        for format in ["text", "md", "html"] {
            let output = tracer(&["report", &path, "--format", format]);
            match output.status.success() {
                true => assert_harmless(&output.stdout, &place),
                false => assert_told(&output, "run.json", &place),
            }
            shown += u32::from(String::from_utf8_lossy(&output.stdout).contains("own"));
        }
        for output in [
            tracer(&["compare", &path, &data("db1.json")]),
            tracer(&["compare", &path, &data("db1.json"), "--format", "json"]),
        ] {
            assert_harmless(&output.stderr, &place);
            assert_harmless(&output.stdout, &place);
        }
        let output = tracer(&["merge", &path, &other]);
        assert_harmless(&output.stderr, &place);
        assert_harmless(&output.stdout, &place);
    }
    assert!(shown > 20, "{shown}");
}

#[test]
fn what_stands_in_recorded_events_is_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = text(&folder.path().join("events.jsonl"));
    let recorded = fs::read_to_string(data("db2.jsonl")).unwrap();
    let first: Value = serde_json::from_str(recorded.lines().next().unwrap()).unwrap();
    for (place, event) in spoilt(&first) {
        fs::write(&path, format!("{event}\n{recorded}")).unwrap();
        let output = tracer(&["replay", &path, "--json", "-"]);
        assert_harmless(&output.stdout, &place);
        assert_harmless(&output.stderr, &place);
    }
}
