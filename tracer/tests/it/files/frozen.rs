//! What people read, as it was: a change of it is looked at, and named in its commit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::pages::root;
use crate::support::program::{PROGRAM, data, printed, text, tracer};

/// Reports, and what one looks for in them.
const WHOLE: [(&str, &str); 7] = [
    ("core/tests/data/db1.json", "primary"),
    ("core/tests/data/db2.json", "standby"),
    ("../results/demo/run.json", "fault-without-database"),
    (
        "../results/partial-loss/steady/run.json",
        "partial-loss-merged",
    ),
    (
        "../results/long-isolation/standby/run.json",
        "long-isolation-merged",
    ),
    ("../results/load/cpu/db1.json", "processor"),
    (
        "core/tests/data/runs/quorum-of-all-one-slow-disk.json",
        "quorum",
    ),
];

fn within(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A snapshot in a file that is named after it.
fn frozen(name: &str, told: &str) {
    let settings = {
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings
    };
    settings.bind(|| insta::assert_snapshot!(name, told));
}

#[test]
fn reports_for_the_terminal_and_for_other_reports() {
    for (path, name) in WHOLE {
        let path = text(&within(path));
        frozen(&format!("{name}-text"), &printed(&["report", &path]));
        let markdown = printed(&["report", &path, "--format", "md"]);
        frozen(&format!("{name}-markdown"), &markdown);
    }
}

#[test]
fn reports_for_a_browser() {
    for (path, name) in [WHOLE[0], WHOLE[2]] {
        let path = text(&within(path));
        let html = printed(&["report", &path, "--format", "html"]);
        frozen(&format!("{name}-html"), &html);
    }
}

#[test]
fn merged_reports() {
    let (db1, db2) = (data("db1.json"), data("db2.json"));
    let folder = tempfile::tempdir().unwrap();
    let merged = text(&folder.path().join("merged.json"));
    let json = printed(&["merge", &db1, &db2]);
    fs::write(&merged, &json).unwrap();
    frozen("merged-text", &printed(&["report", &merged]));
    frozen("merged-json", &sum(json.as_bytes()));
}

#[test]
fn compared_runs() {
    let data = "tracer/core/tests/data/stages.json";
    let lab = "results/partial-loss";
    for (name, before, after) in [
        ("compared", data.to_owned(), data.to_owned()),
        (
            "partial-loss-compared",
            format!("{lab}/one-user/run.json"),
            format!("{lab}/steady/run.json"),
        ),
    ] {
        for (form, format) in [("text", "text"), ("markdown", "md")] {
            // By names that are the same wherever the project is.
            let output = Command::new(PROGRAM)
                .args(["compare", before.as_str(), after.as_str()])
                .args(["--format", format])
                .current_dir(root())
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            let shown = String::from_utf8(output.stdout).unwrap();
            frozen(&format!("{name}-{form}"), &shown);
        }
    }
}

#[test]
fn a_replayed_recording() {
    let recording = data("db2.jsonl");
    frozen("replay-text", &printed(&["replay", &recording]));
    let json = printed(&["replay", &recording, "--json", "-", "--quiet"]);
    let mut json: serde_json::Value = serde_json::from_str(&json).unwrap();
    // What it cost is never the same.
    json["overhead"].take();
    let json = serde_json::to_string_pretty(&json).unwrap();
    frozen("replay-json", &json);
}

/// All that is in `results/`, by a checksum: enough to know that something changed.
#[test]
fn every_result_in_every_form() {
    let folder = within("../results");
    let mut files = Vec::new();
    json_files(&folder, &mut files);
    files.sort();
    let mut told = String::new();
    for path in &files {
        for format in ["text", "md", "html"] {
            let output = tracer(&["report", &text(path), "--format", format]);
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            // A refusal names the file, and where the project is differs.
            let said = sum(said.replace(&text(&folder), "results").as_bytes());
            let name = path.strip_prefix(&folder).unwrap().display();
            told += &format!("{name} {format} {said}\n");
        }
    }
    frozen("results", &told);
}

/// How many bytes, and their checksum.
fn sum(bytes: &[u8]) -> String {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    format!("{} {:08x}", sum.amount(), sum.sum())
}

fn json_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            json_files(&path, found);
        } else if path.extension().is_some_and(|one| one == "json") {
            found.push(path);
        }
    }
}

#[test]
fn help() {
    for command in [
        "run", "inject", "clean", "check", "report", "compare", "merge", "replay",
    ] {
        let help = printed(&[command, "--help"]);
        frozen(&format!("help-{command}"), &help);
    }
    frozen("help", &printed(&["--help"]));
}

#[test]
fn command_lines_that_are_refused() {
    let lines = [
        "",
        "rnu",
        "run",
        "run --peer",
        "run --peer nobody",
        "run --peer 10.0.10.2/33",
        "run --peer 10.0.10.2:99999",
        "run --all --interval 1ms",
        "run --all --interval fast",
        "run --all --duration 0",
        "run --all --after 10s",
        "run --all --corrupt 50%",
        "run --peer 10.0.10.2 --corrupt 101%",
        "run --peer 10.0.10.2 --inject loss=x --interface eth0",
        "run --all --max-flows 0",
        "run --all --pg host=db1 --pg-service x",
        "run --all --pg user",
        "run --all --json /a --events /a",
        "run --all --slow-commit 5ms",
        "run --all --listen 9187",
        "inject",
        "inject --peer 10.0.10.2 --fault loss=5%",
        "check --peer x",
        "report",
        "report /nonexistent.json",
        "report /dev/null",
        "report /dev/null --format pdf",
        "merge",
        "merge /nonexistent.json",
        "replay",
        "replay /nonexistent.jsonl",
        "clean extra",
    ];
    let mut told = String::new();
    for line in lines {
        let arguments = line.split_whitespace().collect::<Vec<_>>();
        let output = tracer(&arguments);
        let code = output.status.code().unwrap();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
        told += &format!("$ tracer {line}\n{stdout}{stderr}exit {code}\n\n");
    }
    frozen("refused", &told);
}
