//! `--events`: one line for everything that was counted.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
};

use serde_json::Value;
use xtask::testbed::netns::Net;

use crate::support::{
    program::PROGRAM,
    report::{Report, endpoint, number},
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
    check_replayed(&path, &report);
    assert_eq!(report.number("/totals/lost_events"), 0);
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
            report.number("/totals/unseen_segments")
        } else if report.number("/totals/unseen_segments") > 0 {
            // How many bytes were unseen, nothing tells.
            continue;
        } else {
            0
        };
        assert_eq!(lines + unseen, report.number(&format!("/selected/{what}")));
    }
    for kind in KINDS {
        let of_kind = counted().filter(|line| line["kind"] == kind);
        let attempts = report.number(&format!("/totals/attempts_by_kind/{kind}"));
        assert_eq!(of_kind.count() as u64, attempts, "{kind}");
    }
    let failed = counted().filter(|line| line["err"] != 0).count();
    assert_eq!(failed as u64, report.number("/totals/failed_events"));
    counted().for_each(check_retransmit);

    let opened = lines
        .iter()
        .filter(|line| line["event"] == "state" && line["state"] == "ESTABLISHED");
    let opened: HashSet<_> = opened.map(|line| endpoint(&line["local"])).collect();
    assert_eq!(opened.len(), FLOWS);
    let netns = &report.at("/host")["netns"];
    let mut latest = 0;
    let mut of_flow: HashMap<SocketAddr, u64> = HashMap::new();
    for line in &lines {
        assert_eq!(endpoint(&line["remote"]), sink.address(), "{line}");
        assert_eq!(&line["netns"], netns);
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
fn check_replayed(path: &Path, live: &Report) {
    let mut command = Command::new(PROGRAM);
    let output = command.arg("replay").arg(path).args(["--json", "-"]);
    let output = output.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let replayed = Report::new(serde_json::from_slice(&output.stdout).unwrap());
    replayed.check_sums();
    for unknown in [
        "/totals/kernel_retrans_segs",
        "/totals/difference",
        "/totals/lost_events",
    ] {
        assert!(replayed.at(unknown).is_null(), "{unknown}");
    }
    // What no event showed, a file of events cannot show.
    let unseen = live.number("/totals/unseen_segments");
    let shown = live.number("/totals/segments") - unseen;
    assert_eq!(shown, replayed.number("/totals/segments"));
    for same in [
        "/totals/events",
        "/totals/attempts_by_kind",
        "/states/opened",
        "/states/closed",
    ] {
        assert_eq!(live.at(same), replayed.at(same), "{same}");
    }
    let figures = [
        "by_kind",
        "events",
        "bytes",
        "fin",
        "srtt_us",
        "rto_ms",
        "rto_max_ms",
        "backoff_max",
        "cwnd",
    ];
    let flows = |report: &Report| -> BTreeMap<String, Value> {
        let flows = report.flows().iter();
        let sent = flows.filter(|flow| flow["segments"] != 0);
        sent.map(|flow| (flow["local"].to_string(), flow.clone()))
            .collect()
    };
    let (live, replayed) = (flows(live), flows(&replayed));
    let whole = live
        .iter()
        .filter(|(_, flow)| number(&flow["by_kind"]["other"]) == 0);
    let mut compared = 0;
    for (local, flow) in whole {
        for figure in figures {
            assert_eq!(flow[figure], replayed[local][figure], "{local} {figure}");
        }
        compared += 1;
    }
    assert!(compared > 0, "{live:?}");
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
