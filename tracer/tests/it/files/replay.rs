//! `tracer replay`.

use std::fs;

use serde_json::Value;

use crate::support::program::{FAILURE, USAGE, assert_refused, data, printed, text, tracer};

fn read(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// The report of the run that recorded them is what is expected.
#[test]
fn events_make_the_report_of_their_run() {
    let json = printed(&[
        "replay",
        &data("db2.jsonl"),
        "--json",
        "-",
        "--interval",
        "500ms",
    ]);
    let (replayed, live) = (
        read(json.as_bytes()),
        read(&fs::read(data("db2.json")).unwrap()),
    );
    assert_eq!(replayed["schema"], "tracer.report/1");
    assert_eq!(live["totals"]["unseen_segments"], 0);
    for total in ["segments", "events", "bytes", "by_kind", "attempts_by_kind"] {
        assert_eq!(replayed["totals"][total], live["totals"][total], "{total}");
    }
    assert_eq!(replayed["selected"], live["selected"]);
    assert_eq!(replayed["host"]["netns"], live["host"]["netns"]);
    let (one, other) = (&replayed["flows"][0], &live["flows"][0]);
    for figure in [
        "local",
        "remote",
        "segments",
        "by_kind",
        "events",
        "bytes",
        "fin",
        "srtt_us",
        "rto_ms",
        "rto_max_ms",
        "backoff_max",
        "cwnd",
    ] {
        assert_eq!(one[figure], other[figure], "{figure}");
    }
    let sums = |flow: &Value| -> u64 {
        let steps = flow["series"].as_array().unwrap().iter();
        steps.map(|step| step["segments"].as_u64().unwrap()).sum()
    };
    assert_eq!(sums(one), sums(other));
    for unknown in [
        "/totals/kernel_retrans_segs",
        "/totals/difference",
        "/totals/lost_events",
        "/overhead/ready_ms",
        "/host/tick_hz",
        "/postgres",
        "/flows/0/process",
    ] {
        assert!(replayed.pointer(unknown).unwrap().is_null(), "{unknown}");
    }
    let warned = replayed["warnings"][0].as_str().unwrap();
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
    let replayed = |more: &[&str]| {
        let events = data("db2.jsonl");
        let arguments = [&["replay", &events, "--json", "-"], more].concat();
        read(printed(&arguments).as_bytes())
    };
    let (all, none) = (replayed(&[]), replayed(&["--peer", "10.0.10.9"]));
    assert_eq!(none["selected"]["segments"], 0);
    assert_ne!(none["totals"]["segments"], 0);
    for everybody in ["totals", "window", "namespaces"] {
        assert_eq!(none[everybody], all[everybody], "{everybody}");
    }
    for field in ["sent", "received"] {
        assert_eq!(none["resets"][field], all["resets"][field], "{field}");
    }
    assert!(none["totals"]["kernel_retrans_segs"].is_null());
    assert!(none["totals"]["difference"].is_null());
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
        (file("other.jsonl", "{\"a\": 1}\n"), "line 1 is no event"),
        (
            file("broken.jsonl", &format!("{events}nonsense\n{events}")),
            "is no event",
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
