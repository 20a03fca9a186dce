//! `tracer merge`.

use std::fs;

use crate::contract;
use crate::support::program::{FAILURE, USAGE, assert_refused, data, printed, text, tracer};

#[test]
fn two_reports_are_one_file_that_can_be_shown() {
    let folder = tempfile::tempdir().unwrap();
    let both = text(&folder.path().join("both.json"));
    let (db1, db2) = (data("db1.json"), data("db2.json"));
    assert_eq!(printed(&["merge", &db1, &db2, "-o", &both]), "");
    assert_eq!(
        printed(&["merge", &db1, &db2]),
        fs::read_to_string(&both).unwrap()
    );
    contract::assert_holds_both(&both, [&db1, &db2]);
    let said = printed(&["report", &both]);
    for words in [
        "db1: Phases",
        "db2: What was broken on purpose",
        "one clock",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let html = printed(&["report", &both, "--format", "html"]);
    for title in ["db1: How long commits", "db2: Retransmitted"] {
        assert!(html.contains(title), "{title}");
    }
}

#[test]
fn what_cannot_be_merged_is_told() {
    let (db1, db2) = (data("db1.json"), data("db2.json"));
    for arguments in [
        &["merge"][..],
        &["merge", &db1],
        &["merge", &db1, &db2, &db1],
    ] {
        assert_refused(&tracer(arguments), USAGE, &["--help"]);
    }
    let twice = tracer(&["merge", &db1, &db1]);
    assert_refused(&twice, FAILURE, &["same network namespace", "two sides"]);
    let none = tracer(&["merge", &db1, "none.json"]);
    assert_refused(&none, FAILURE, &["none.json"]);
    let folder = tempfile::tempdir().unwrap();
    let both = text(&folder.path().join("both.json"));
    printed(&["merge", &db1, &db2, "-o", &both]);
    let merged = tracer(&["merge", &both, &db1]);
    assert_refused(&merged, FAILURE, &["both.json", "tracer.merge/2"]);
}
