//! `tracer explain`. `stages.json` was recorded while half of what a standby replied arrived
//! with a bad checksum.

use std::fs;

use crate::support::program::{FAILURE, USAGE, assert_refused, data, printed, text, tracer};

#[test]
fn the_slowest_commit_is_shown_with_what_happened_meanwhile() {
    let shown = printed(&["explain", &data("stages.json")]);
    let first = "The commit that waited for WAL position 0/3005DE0 took 1678 ms, 100 % of it: standby and its";
    assert!(shown.starts_with(first), "{shown}");
    for line in shown.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    // Each timeout of the standby is twice as long as the one before.
    for after in ["0.27 ms", "206 ms", "638 ms", "1470 ms"] {
        let told = format!("X after {after}: received a segment from the standby with a bad");
        assert!(shown.contains(&told), "{shown}");
    }
    assert!(shown.contains("The reply of the standby at 10.0.10.3:39944 ended its wait"));
    let bars = shown
        .lines()
        .filter(|line| line.contains(['█', '▏']))
        .count();
    assert_eq!(bars, 5, "{shown}");
}

#[test]
fn those_that_are_asked_for_are_shown_in_every_form() {
    let run = data("stages.json");
    let folder = tempfile::tempdir().unwrap();
    for (name, heading) in [
        ("slow.html", "<h2>WAL position "),
        ("slow.md", "## WAL position "),
        ("slow.txt", "\nWAL position "),
    ] {
        let path = text(&folder.path().join(name));
        assert_eq!(
            printed(&["explain", &run, "--slowest", "3", "-o", &path]),
            ""
        );
        let written = fs::read_to_string(&path).unwrap();
        assert_eq!(written.matches(heading).count(), 3, "{name}: {written}");
    }
    let one = printed(&["explain", &run, "--lsn", "0/3005de0"]);
    assert_eq!(one, printed(&["explain", &run]));
}

#[test]
fn the_report_shows_the_slowest_too() {
    let shown = printed(&["report", &data("stages.json")]);
    assert!(shown.contains(
        "\nThe slowest commit\n  The commit that waited for WAL position 0/3005DE0 took"
    ));
    let stages = "waits that the standby at 10.0.10.3:39944 ended";
    assert!(shown.contains(stages), "{shown}");
}

#[test]
fn without_stages_the_wait_is_one_part() {
    let shown = printed(&["explain", &data("db1.json")]);
    assert!(shown.contains("wait for a standby"), "{shown}");
}

#[test]
fn of_two_hosts_the_one_whose_commits_were_traced_is_explained() {
    let (db1, db2) = (data("db1.json"), data("db2.json"));
    let folder = tempfile::tempdir().unwrap();
    let both = text(&folder.path().join("both.json"));
    printed(&["merge", &db2, &db1, "-o", &both]);
    let both = printed(&["explain", &both]);
    let alone = printed(&["explain", &db1]);
    assert_eq!(both.lines().next(), alone.lines().next());
}

#[test]
fn what_is_not_there_is_said() {
    let run = data("stages.json");
    let output = tracer(&["explain", &run, "--lsn", "0/1"]);
    assert_refused(
        &output,
        FAILURE,
        &["none of the 120 slow commits", "0/3005DE0"],
    );
    let output = tracer(&["explain", &data("db2.json")]);
    assert_refused(&output, FAILURE, &["db2.json", "--commits"]);
    let output = tracer(&["explain", &run, "-o", "slow.pdf"]);
    assert_refused(&output, USAGE, &["slow.pdf"]);
    let output = tracer(&["explain", &run, "--lsn", "0/1", "--slowest", "2"]);
    assert_refused(&output, USAGE, &["--slowest"]);
}
