//! `--events`: one line for everything that was counted.

use std::{
    collections::{HashMap, HashSet},
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
};

use serde_json::Value;
use xtask::testbed::netns::Net;

use crate::support::{
    program::PROGRAM,
    report::{Report, check_replayed, ends},
    storm::{NARROW, WIDE, drain, push_until},
    tool::Tool,
    traffic::{Load, Sink},
};

const KINDS: [&str; 8] = [
    "tlp",
    "rto",
    "fast",
    "rack",
    "slow_start",
    "syn",
    "synack",
    "other",
];
const FLOWS: usize = 16;
/// The longest that a processor may be held up between the two.
const SWAPPED_NS: u64 = 50_000_000;

#[test]
fn events_add_up_to_the_report() {
    let net = Net::pair("events", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let sink = Sink::open(to, to.v4.into()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let arguments = ["--peer", "10.0.10.3", "--events", path.to_str().unwrap()];
    let tool = Tool::start(&from.netns, &arguments).unwrap();
    let mut load = Load::connect(from, sink.address(), FLOWS).unwrap();
    net.shape_toward("standby", &NARROW).unwrap();
    push_until(from, &mut load, 2_000).unwrap();
    net.shape_toward("standby", &WIDE).unwrap();
    drain(from).unwrap();
    drop(load);
    let report = tool.finish().unwrap();

    report.check();
    report.check_all_selected();
    check_replay_of(&path, &report);
    assert_eq!(report.totals.lost_events.unwrap(), 0);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n'));
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let counted = || lines.iter().filter(|line| line["event"] == "retransmit");
    for what in ["segments", "bytes"] {
        let lines: u64 = counted().map(|line| number(&line[what])).sum();
        let unseen = if what == "segments" {
            report.totals.unseen_segments
        } else if report.totals.unseen_segments > 0 {
            // How many bytes were unseen, nothing tells.
            continue;
        } else {
            0
        };
        let selected = match what {
            "segments" => report.selected.segments,
            _ => report.selected.bytes,
        };
        assert_eq!(lines + unseen, selected);
    }
    for (kind, attempts) in report.totals.attempts_by_kind.each() {
        let of_kind = counted().filter(|line| line["kind"] == kind.name());
        assert_eq!(of_kind.count() as u64, attempts, "{}", kind.name());
    }
    let failed = counted().filter(|line| line["err"] != 0).count();
    assert_eq!(failed as u64, report.totals.failed_events.unwrap());
    counted().for_each(check_retransmit);

    let opened = lines
        .iter()
        .filter(|line| line["event"] == "state" && line["state"] == "ESTABLISHED");
    let opened: HashSet<_> = opened.map(|line| endpoint(&line["local"])).collect();
    assert_eq!(opened.len(), FLOWS);
    let netns = report.host.netns;
    let mut latest = 0;
    let mut of_flow: HashMap<SocketAddr, u64> = HashMap::new();
    for line in &lines {
        assert_eq!(endpoint(&line["remote"]), sink.address(), "{line}");
        assert_eq!(line["netns"].as_u64(), netns.map(u64::from));
        let time = number(&line["time_ns"]);
        // Within a flow the order is strict. Of two processors, the one that
        // looked at its clock first may write second.
        let before = of_flow.insert(endpoint(&line["local"]), time);
        assert!(before.is_none_or(|before| before <= time), "{line}");
        assert!(time + SWAPPED_NS >= latest, "{line} comes after {latest}");
        latest = latest.max(time);
    }
}

/// Replayed, the events are the same flows: all that was sent again, and how.
fn check_replay_of(path: &Path, live: &Report) {
    let mut command = Command::new(PROGRAM);
    let output = command.arg("replay").arg(path).args(["--json", "-"]);
    let output = output.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let replayed = Report::read(&output.stdout).unwrap();
    replayed.check_sums();
    // What no event showed, a file of events cannot show.
    let unseen = live.totals.unseen_segments;
    let shown = live.totals.segments - unseen;
    assert_eq!(shown, replayed.totals.segments);
    assert_eq!(live.totals.events, replayed.totals.events);
    assert_eq!(
        live.totals.attempts_by_kind,
        replayed.totals.attempts_by_kind
    );
    assert_eq!(live.states.opened, replayed.states.opened);
    assert_eq!(live.states.closed, replayed.states.closed);
    let sent = live.flows.iter().filter(|flow| flow.segments != 0);
    let mut compared = 0;
    for flow in sent.filter(|flow| flow.by_kind.other == 0) {
        let mut again = replayed.flows.iter();
        let again = again.find(|one| ends(one) == ends(flow)).unwrap();
        check_replayed(flow, again);
        compared += 1;
    }
    assert!(compared > 0, "{:?}", live.flows);
}

fn number(value: &Value) -> u64 {
    let number = value.as_u64();
    number.unwrap_or_else(|| panic!("{value} is no count"))
}

/// One end of a connection.
fn endpoint(end: &Value) -> SocketAddr {
    let address = end["address"].as_str().unwrap().parse().unwrap();
    SocketAddr::new(address, number(&end["port"]).try_into().unwrap())
}

fn check_retransmit(line: &Value) {
    assert!(KINDS.iter().any(|kind| line["kind"] == *kind), "{line}");
    let (seq, end) = (number(&line["seq"]), number(&line["end_seq"]));
    let length = (end as u32).wrapping_sub(seq as u32);
    assert!(length > 0 && length <= 1 << 20, "{line}");
    if line["err"] == 0 {
        assert_eq!(number(&line["bytes"]), u64::from(length), "{line}");
        assert!(number(&line["segments"]) > 0, "{line}");
    }
    assert_eq!(line["state"], "ESTABLISHED", "{line}");
    assert!(number(&line["cwnd"]) > 0, "{line}");
    assert!(number(&line["srtt_us"]) > 0, "{line}");
    assert!(line["rto_ms"].as_f64().unwrap() >= 1.0, "{line}");
    assert!(!line["flags"].as_str().unwrap().is_empty(), "{line}");
    assert!(!line["time"].as_str().unwrap().is_empty(), "{line}");
    assert!(!line["ca_state"].as_str().unwrap().is_empty(), "{line}");
}
