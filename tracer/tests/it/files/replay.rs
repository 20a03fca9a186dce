//! `tracer replay`.

use std::fs;

use tracer_core::report::FlowReport;

use crate::support::program::{FAILURE, USAGE, assert_refused, data, printed, text, tracer};
use crate::support::report::{Report, check_replayed};

/// The report of what the run recorded.
fn replayed(more: &[&str]) -> Report {
    let events = data("db2.jsonl");
    let arguments = [&["replay", &events, "--json", "-"], more].concat();
    Report::read(printed(&arguments).as_bytes()).unwrap()
}

/// The report of the run that recorded them is what is expected.
#[test]
fn events_make_the_report_of_their_run() {
    let replayed = replayed(&["--interval", "500ms"]);
    // An older version wrote it: not all that is told now is in there.
    let live = fs::read(data("db2.json")).unwrap();
    let live = tracer_core::report::Report::read(&live).unwrap();
    let (ours, theirs) = (&replayed.totals, &live.totals);
    assert_eq!(theirs.unseen_segments, 0);
    assert_eq!(ours.segments, theirs.segments);
    assert_eq!((ours.events, ours.bytes), (theirs.events, theirs.bytes));
    assert_eq!(ours.by_kind, theirs.by_kind);
    assert_eq!(ours.attempts_by_kind, theirs.attempts_by_kind);
    assert_eq!(replayed.selected, live.selected);
    assert_eq!(replayed.host.netns, live.host.netns);
    check_replayed(&live.flows[0], &replayed.flows[0]);
    let sum = |flow: &FlowReport| flow.series.iter().map(|step| step.segments).sum::<u64>();
    assert_eq!(sum(&replayed.flows[0]), sum(&live.flows[0]));
    let warned = &replayed.warnings[0];
    assert!(warned.contains("recorded events"), "{warned}");
}

#[test]
fn it_is_shown_like_a_run_and_by_report() {
    let folder = tempfile::tempdir().unwrap();
    let json = text(&folder.path().join("again.json"));
    let said = printed(&["replay", &data("db2.jsonl"), "--json", &json]);
    assert!(
        said.contains("segments retransmitted to every peer"),
        "{said}"
    );
    let said = printed(&["replay", &data("db2.jsonl"), "--port", "5432"]);
    assert!(said.contains("to every peer, port 5432"), "{said}");
    assert_eq!(printed(&["replay", &data("db2.jsonl"), "--quiet"]), "");
    let told = printed(&["report", &json]);
    assert!(told.contains("recorded events"), "{told}");
    assert!(told.contains("did not ask for"), "{told}");
}

#[test]
fn totals_and_window_are_of_everybody_whatever_peer_is_asked_for() {
    let (all, none) = (replayed(&[]), replayed(&["--peer", "10.0.10.9"]));
    assert_eq!(none.selected.segments, 0);
    assert_ne!(none.totals.segments, 0);
    assert_eq!(none.totals, all.totals);
    assert_eq!(none.window, all.window);
    let namespaces = |of: &Report| serde_json::to_value(&of.namespaces).unwrap();
    assert_eq!(namespaces(&none), namespaces(&all));
    assert_eq!(none.resets.sent, all.resets.sent);
    assert_eq!(none.resets.received, all.resets.received);
    assert_eq!(none.totals.kernel_retrans_segs, None);
    assert_eq!(none.totals.difference, None);
}

#[test]
fn what_is_no_recording_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = text(&folder.path().join(name));
        fs::write(&path, content).unwrap();
        path
    };
    let events = fs::read_to_string(data("db2.jsonl")).unwrap();
    for (path, words) in [
        (text(&folder.path().join("none.jsonl")), "cannot read"),
        (file("empty.jsonl", ""), "no event"),
        (
            file("other.jsonl", "{\"a\": 1}\n"),
            "line 1 is not an event",
        ),
        (
            file("broken.jsonl", &format!("{events}nonsense\n{events}")),
            "is not an event",
        ),
    ] {
        assert_refused(&tracer(&["replay", &path]), FAILURE, &[&path, words]);
    }
    let cut = file("cut.jsonl", &events[..events.len() - 20]);
    assert!(printed(&["replay", &cut]).contains("a line was cut"));
    let events = data("db2.jsonl");
    for (arguments, word) in [
        (&["replay"][..], "<FILE>"),
        (&["replay", &events, "--interval", "1ms"], "--interval"),
        (&["replay", &events, "--peer", "db1"], "--peer"),
    ] {
        assert_refused(&tracer(arguments), USAGE, &[word]);
    }
}
