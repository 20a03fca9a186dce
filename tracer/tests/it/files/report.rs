//! `tracer report`.

use std::fs;

use tracer_core::report::Report;

use crate::support::program::{FAILURE, USAGE, assert_refused, data, printed, text, tracer};

#[test]
fn the_verdict_comes_first_in_every_form() {
    let run = data("db1.json");
    let folder = tempfile::tempdir().unwrap();
    let report = Report::read(&fs::read(&run).unwrap()).unwrap();
    let begins = &report.findings[0].text[..40];
    assert!(printed(&["report", &run]).starts_with(begins));
    for (name, before) in [("run.html", "<h1>"), ("run.md", "**"), ("run.txt", "")] {
        let path = text(&folder.path().join(name));
        assert_eq!(printed(&["report", &run, "-o", &path]), "");
        let written = fs::read_to_string(&path).unwrap();
        assert!(written.contains(&format!("{before}{begins}")), "{name}");
        for heading in ["Phases", "Flows", "PostgreSQL", "How it was measured"] {
            assert!(written.contains(heading), "{name}: {heading}");
        }
    }
    let html = printed(&["report", &run, "--format", "html"]);
    let path = folder.path().join("run.html");
    assert_eq!(html, fs::read_to_string(path).unwrap());
}

/// Nothing is fetched, nothing runs, and every chart has the same axis.
#[test]
fn html_is_one_file() {
    let html = printed(&["report", &data("db1.json"), "--format", "html"]);
    for reference in [
        "http:", "https:", "<script", "<link", "<img", "url(", "@import",
    ] {
        assert!(!html.contains(reference), "{reference}");
    }
    let charts = html.matches("<figure>").count();
    assert!(charts >= 7, "{charts} charts");
    assert_eq!(html.matches("class=\"x\"").count(), charts);
    let axes: std::collections::HashSet<&str> = html
        .lines()
        .filter(|line| line.starts_with("<div class=\"x\">"))
        .collect();
    assert_eq!(axes.len(), 1, "{axes:?}");
    let shaded = html.matches("<rect class=\"out\"").count();
    assert_eq!(shaded, charts);
}

#[test]
fn a_run_without_a_database_is_told_as_well() {
    let said = printed(&["report", &data("../../../../results/demo/run.json")]);
    assert!(said.contains("corrupt to 10.0.10.2"), "{said}");
    assert!(!said.contains("\nPostgreSQL\n"), "{said}");
}

#[test]
fn names_from_outside_are_text() {
    let folder = tempfile::tempdir().unwrap();
    let evil = "<script>alert(1)</script>\\u001b[2J";
    let run = fs::read_to_string(data("db1.json")).unwrap();
    let mut changed = run;
    for (key, value) in [
        ("application_name", "standby"),
        ("comm", "postgres"),
        ("standby", "standby"),
    ] {
        let old = format!("\"{key}\":\"{value}\"");
        assert!(changed.contains(&old), "{old}");
        changed = changed.replace(&old, &format!("\"{key}\":\"{evil}\""));
    }
    let path = text(&folder.path().join("evil.json"));
    fs::write(&path, changed).unwrap();
    for format in ["html", "md", "text"] {
        let said = printed(&["report", &path, "--format", format]);
        assert!(said.contains("alert"), "{format}");
        assert!(!said.contains('\u{1b}'), "{format}");
        // Markdown has its own way to say that a character is none of its signs.
        let said = said.replace("\\<", "");
        assert!(format == "text" || !said.contains("<script"), "{format}");
    }
}

#[test]
fn what_cannot_be_meant_is_wrong_usage() {
    let run = data("db1.json");
    for (arguments, words) in [
        (&["report"][..], &["<FILE>", "--help"][..]),
        (&["report", &run, "-o", "run.pdf"], &["run.pdf", "--format"]),
        (&["report", &run, "--format", "pdf"], &["pdf"]),
    ] {
        assert_refused(&tracer(arguments), USAGE, words);
    }
}

#[test]
fn what_is_no_report_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = text(&folder.path().join(name));
        fs::write(&path, content).unwrap();
        path
    };
    for (path, words) in [
        (text(&folder.path().join("none.json")), "none.json"),
        (file("empty.json", ""), "not JSON"),
        (file("other.json", "{\"a\": 1}"), "schema"),
        (
            file("check.json", "{\"schema\": \"tracer.check/1\"}"),
            "tracer.check/1",
        ),
        (
            file("later.json", "{\"schema\": \"tracer.report/3\"}"),
            "this tracer reads `tracer.report/2` and `tracer.report/1`",
        ),
        (
            file(
                "cut.json",
                &fs::read_to_string(data("db1.json")).unwrap()[..9_000],
            ),
            "EOF",
        ),
    ] {
        assert_refused(&tracer(&["report", &path]), FAILURE, &[&path, words]);
    }
    let missing = text(&folder.path().join("no/run.html"));
    let output = tracer(&["report", &data("db1.json"), "-o", &missing]);
    assert_refused(&output, FAILURE, &["--output", &missing]);
}
