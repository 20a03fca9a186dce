//! What belongs to a cause is there: a scenario in which it is found, and a section of the
//! documentation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod scenario;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use scenario::Scenario;
use tracer_core::diagnosis::findings;
use tracer_core::report::finding::Cause;

fn within(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every cause, as the report writes it.
fn causes() -> BTreeSet<String> {
    let words = Cause::ALL.iter().map(|cause| {
        let word = serde_json::to_value(cause).expect("a cause is a word");
        word.as_str().expect("a cause is a word").to_owned()
    });
    words.collect()
}

#[test]
fn every_cause_is_listed_once() {
    assert_eq!(causes().len(), Cause::ALL.len());
}

/// Each is made up of a few lines, and named after the cause that it has to be found by.
#[test]
fn every_cause_has_a_scenario_in_which_it_is_what_is_found() {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(within("tests/scenarios")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let scenario = Scenario::read(&path);
        let findings = findings(&scenario.recording());
        let said: Vec<_> = findings
            .iter()
            .map(|one| (one.cause, one.confidence))
            .collect();
        let expected = (scenario.cause(&name), scenario.confidence);
        assert_eq!(said.first(), Some(&expected), "{name}: {findings:#?}");
        assert_eq!(said.len(), 1, "{name}: {findings:#?}");
        found.insert(name);
    }
    assert_eq!(found, causes());
}

/// A reader who searches for the word of a finding arrives at what is known of it.
#[test]
fn every_cause_has_a_section_in_the_documentation() {
    let page = fs::read_to_string(within("../../docs/diagnosis.md")).unwrap();
    let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
    let headings: BTreeSet<String> = headings
        .filter(|heading| !heading.contains(' '))
        .map(str::to_owned)
        .collect();
    assert_eq!(headings, causes());
}
