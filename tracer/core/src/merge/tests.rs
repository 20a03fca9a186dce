//! Merging: what is paired, how clocks are compared, and what is refused.

use crate::render;
use serde_json::Value;

use crate::merge::*;
use crate::report::FlowReport;
use crate::report::finding::Confidence;

fn reports() -> [Report; 2] {
    [
        Report::read(include_bytes!("../../tests/data/db1.json")).unwrap(),
        Report::read(include_bytes!("../../tests/data/db2.json")).unwrap(),
    ]
}

fn merged(reports: [Report; 2]) -> Merged {
    merge(reports, ["db1", "db2"]).unwrap()
}

/// As if the second host were another machine, whose clock is ahead.
fn apart(ahead_ms: i64) -> [Report; 2] {
    let mut reports = reports();
    let other = &mut reports[1];
    other.host.boot_id = Some("another".into());
    for time in [&mut other.window.start, &mut other.window.end] {
        *time = later(time, ahead_ms);
    }
    reports
}

fn later(time: &str, ms: i64) -> String {
    let moment: Timestamp = time.parse().unwrap();
    let moved = moment + jiff::SignedDuration::from_millis(ms);
    format!("{moved:.6}")
}

#[test]
fn the_two_ends_of_the_replication_are_one_connection() {
    let reports = reports();
    let merged = merged(reports.clone());
    assert_eq!(merged.hosts[0].label, "db1");
    let first = &merged.connections[0];
    assert_eq!(first.purpose.as_deref(), Some("replication to standby"));
    let [one, two] = &first.sides;
    assert_eq!(one.endpoint, reports[0].flows[0].local);
    assert_eq!(two.endpoint, reports[0].flows[0].remote);
    assert_eq!(first.segments, one.segments + two.segments);
    // What arrived corrupted at one end was sent by the other.
    assert!(two.segments > one.segments, "{first:?}");
    for (at, report) in reports.iter().enumerate() {
        let joined: u64 = merged
            .connections
            .iter()
            .map(|one| one.sides[at].segments)
            .sum();
        let alone = merged.one_sided[at].segments;
        assert_eq!(joined + alone, report.selected.segments);
    }
    // Nothing but what the hosts themselves had to say.
    let own = merged
        .warnings
        .iter()
        .filter(|text| !text.starts_with("db"));
    assert_eq!(own.count(), 0, "{:?}", merged.warnings);
}

#[test]
fn pointers_of_findings_lead_into_the_merged_file() {
    let merged = merged(reports());
    let count: usize = merged.reports.iter().map(|one| one.findings.len()).sum();
    assert_eq!(merged.findings.len(), count);
    let json: Value = serde_json::to_value(&merged).unwrap();
    for pointer in merged.findings.iter().flat_map(|one| &one.finding.evidence) {
        assert!(json.pointer(pointer).is_some(), "{pointer}");
    }
    for side in merged.connections.iter().flat_map(|one| &one.sides) {
        assert!(json.pointer(&side.flow).is_some(), "{}", side.flow);
    }
}

#[test]
fn each_host_has_its_findings_in_its_own_order() {
    let mut reports = reports();
    let all: Vec<Finding> = reports
        .iter()
        .flat_map(|one| one.findings.clone())
        .collect();
    let found = |text: &str, confidence: Confidence, waited_s: Option<f64>| {
        let mut finding = all[0].clone();
        (finding.text, finding.confidence) = (text.into(), confidence);
        finding.size.waited_s = waited_s;
        finding
    };
    reports[0].findings = vec![
        found("long", Confidence::Medium, Some(36.0)),
        found("short", Confidence::High, Some(8.0)),
    ];
    reports[1].findings = vec![
        found("as sure", Confidence::Medium, Some(40.0)),
        found("seen from afar", Confidence::Low, None),
    ];
    let merged = merged(reports);
    let texts = merged.findings.iter().map(|one| one.finding.text.as_str());
    let texts: Vec<&str> = texts.collect();
    assert_eq!(texts, ["as sure", "long", "short", "seen from afar"]);
}

#[test]
fn one_kernel_has_one_clock_and_windows_are_united() {
    let merged = merged(reports());
    assert_eq!(merged.clock.method, ClockMethod::SameBoot);
    assert_eq!(merged.clock.offset_ms, Some(0.0));
    let [one, two] = &merged.hosts;
    assert_eq!(one.starts_s, 0.0);
    assert!(two.starts_s > 0.0);
    let common = merged.window.common.unwrap();
    assert!((common.duration_s - (one.duration_s - two.starts_s).min(two.duration_s)).abs() < 1e-5);
    assert!(merged.window.united.duration_s >= one.duration_s);
}

#[test]
fn clocks_of_two_machines_are_told_by_what_closes_at_both() {
    let mut reports = apart(700);
    // The other end closed 3 ms later, by a clock that is 700 ms ahead.
    closing(&mut reports, &[703]);
    let clock = merged(reports).clock;
    assert_eq!(clock.method, ClockMethod::ClosedConnections);
    let (offset, uncertain) = (clock.offset_ms.unwrap(), clock.uncertainty_ms.unwrap());
    assert!((offset - 703.0).abs() < 0.01, "{clock:?}");
    assert!((offset - 700.0).abs() <= uncertain, "{clock:?}");
}

/// As if both ends of so many connections closed so many ms apart, by their own clocks.
fn closing(reports: &mut [Report; 2], apart_ms: &[i64]) {
    let end = reports[0].window.end.clone();
    for (report, side) in reports.iter_mut().zip([0, 1]) {
        let first = report.flows[0].clone();
        report.flows = apart_ms
            .iter()
            .zip(1..)
            .map(|(ms, nth)| {
                let mut flow = first.clone();
                let (standby, closed_ms) = match side {
                    0 => (&mut flow.remote, 0),
                    _ => (&mut flow.local, *ms),
                };
                standby.port += nth;
                flow.closed = Some(later(&end, closed_ms));
                // No timeout of it ever doubled.
                (flow.backoff_max, flow.rto_max_ms, flow.fin) = (Some(0), Some(204.0), 0);
                flow
            })
            .collect();
    }
}

#[test]
fn a_connection_whose_timeouts_doubled_tells_nothing_of_clocks() {
    let mut reports = apart(0);
    closing(&mut reports, &[10_000]);
    reports[0].flows[0].backoff_max = Some(7);
    let clock = merged(reports).clock;
    assert_eq!(clock.method, ClockMethod::NotKnown);
    assert_eq!(clock.applied_ms, 0.0);
}

#[test]
fn the_offset_is_as_uncertain_as_a_timeout_of_the_surest_connection() {
    let mut reports = apart(0);
    closing(&mut reports, &[900, 700]);
    reports[1].flows[0].rto_max_ms = Some(1_600.0);
    let clock = merged(reports).clock;
    assert_eq!(clock.connections, 2);
    assert!((clock.offset_ms.unwrap() - 700.0).abs() < 0.01, "{clock:?}");
    assert_eq!(clock.uncertainty_ms, Some(204.0));
}

#[test]
fn no_offset_is_below_what_ages_of_replies_allow() {
    let mut reports = apart(0);
    closing(&mut reports, &[-60_000]);
    let clock = merged(reports).clock;
    assert_eq!(clock.offset_ms, clock.at_least_ms);
    assert_eq!(clock.applied_ms, clock.at_least_ms.unwrap());
    assert!(clock.uncertainty_ms.unwrap() > 59_000.0, "{clock:?}");
}

#[test]
fn what_is_not_known_of_clocks_is_said() {
    let merged = merged(apart(0));
    assert_eq!(merged.clock.method, ClockMethod::NotKnown);
    assert_eq!(merged.clock.offset_ms, None);
    // The youngest reply that the primary saw bounds it from below.
    assert!(merged.clock.at_least_ms.unwrap() <= 0.0);
    assert!(
        merged.warnings[0].contains("not known"),
        "{:?}",
        merged.warnings
    );
}

#[test]
fn runs_that_have_nothing_in_common_are_told() {
    let mut reports = apart(86_400_000);
    reports[1].flows.clear();
    let merged = merged(reports);
    assert!(merged.window.common.is_none());
    let shown = merged.warnings.join("\n");
    assert!(shown.contains("do not overlap"), "{shown}");
    assert!(
        shown.contains("no connection was seen from both sides"),
        "{shown}"
    );
}

/// All that was retransmitted in a merged file, from each side.
fn sent(merged: &Merged) -> [u64; 2] {
    [0, 1].map(|at| {
        let joined = merged.connections.iter();
        let joined: u64 = joined.map(|one| one.sides[at].segments).sum();
        joined + merged.one_sided[at].segments
    })
}

#[test]
fn what_has_the_same_ends_in_several_namespaces_is_not_lost() {
    let mut reports = reports();
    let flow = reports[1].flows[0].clone();
    let netns = flow.netns.map(|netns| netns + 1);
    reports[1].flows.push(FlowReport { netns, ..flow });
    let merged = merged(reports);
    assert_eq!(merged.connections.len(), 1);
    assert_eq!(merged.one_sided[1].flows, 1);
    let flows = merged.reports[1].flows.iter();
    assert_eq!(sent(&merged)[1], flows.map(|one| one.segments).sum::<u64>());
}

#[test]
fn a_loopback_is_not_shared_by_hosts() {
    let mut reports = reports();
    for flow in reports.iter_mut().flat_map(|report| &mut report.flows) {
        for end in [&mut flow.local, &mut flow.remote] {
            end.address = "127.0.0.1".parse().unwrap();
        }
    }
    let merged = merged(reports);
    assert!(merged.connections.is_empty());
    assert_eq!([0, 1].map(|at| merged.one_sided[at].flows), [1, 1]);
}

#[test]
fn one_side_twice_is_refused() {
    let [mut one, _] = reports();
    assert!(merge([one.clone(), one.clone()], ["a", "b"]).is_err());
    // A run of several namespaces, and one that was replayed.
    one.host.netns = None;
    assert!(merge([one.clone(), one.clone()], ["a", "b"]).is_err());
    one.host.boot_id = None;
    assert!(merge([one.clone(), one], ["a", "b"]).is_err());
}

#[test]
fn what_is_merged_is_read_again_and_shown() {
    let bytes = render::json::render(&merged(reports())).unwrap();
    let again = Merged::read(&bytes).unwrap();
    assert!(render::json::render(&again).unwrap() == bytes);
    let html = render::html::render(&render::account::of_both(&again));
    assert!(html.contains("db2 retransmitted"), "{html}");
}

#[test]
fn what_stands_in_a_report_does_no_harm_in_the_refusal() {
    let mut same_side = reports();
    for report in &mut same_side {
        report.host.name = "db\u{1b}[2J".into();
        report.host.boot_id = Some("one".into());
        report.host.netns = Some(1);
    }
    let mut no_time = reports();
    no_time[0].window.start = "\u{1b}[2J".into();
    for refused in [same_side, no_time] {
        let error = merge(refused, ["db1", "db2"]).unwrap_err().to_string();
        assert!(error.contains("\\u{1b}[2J"), "{error}");
        assert!(!error.contains('\u{1b}'), "{error}");
    }
}

#[test]
fn reports_of_different_centuries_are_refused() {
    let mut apart = reports();
    apart[1].window.start = "1799-01-02T03:04:05Z".into();
    let error = merge(apart, ["db1", "db2"]).unwrap_err();
    assert!(matches!(error, MergeError::Apart), "{error}");
}
