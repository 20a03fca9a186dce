//! Merging: what is paired, how clocks are compared, and what is refused.

use crate::render;
use serde_json::Value;

use crate::merge::model::HostFinding;
use crate::merge::*;
use crate::report::FlowReport;
use crate::report::commits::SlowReport;
use crate::report::finding::{Cause, Confidence, Finding, WHETHER_COMMITS_WAITED};
use crate::report::processors::{ProcessorsReport, ProcessorsStepReport};
use crate::report::role::Kind;
use crate::report::stages::ByStage;

mod agreement;

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
    assert!(!merged.findings.is_empty());
    let json: Value = serde_json::to_value(&merged).unwrap();
    let all = merged.findings.iter().chain(&merged.unwaited);
    for pointer in all.flat_map(|one| &one.finding.evidence) {
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
        finding.cause = Cause::WalFlush;
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

/// The causes that are found, in order, and what no commit waited for.
fn causes(merged: &Merged) -> (Vec<Cause>, Vec<Cause>) {
    let of = |all: &[HostFinding]| all.iter().map(|one| one.finding.cause).collect();
    (of(&merged.findings), of(&merged.unwaited))
}

/// As if the primary had found only this, with so many segments.
fn primary_found(cause: Cause, segments: u64) -> [Report; 2] {
    let mut reports = reports();
    let found = &mut reports[0].findings;
    found.truncate(1);
    (found[0].cause, found[0].size.segments) = (cause, Some(segments));
    found[0].text = "Commits waited.".into();
    reports
}

#[test]
fn what_both_saw_of_one_trouble_is_one_finding() {
    let both = merged(reports());
    assert_eq!(causes(&both), (vec![Cause::DamageOfReplies], vec![]));
    let found = &both.findings[0];
    assert_eq!(found.host, "db1");
    let text = &found.finding.text;
    assert!(text.contains(" On db2: 34 segments"), "{text}");
    let of = |at| move |pointer: &&String| pointer.starts_with(&format!("/reports/{at}/"));
    let evidence = || found.finding.evidence.iter();
    assert!(evidence().any(|one| of(0)(&one)) && evidence().any(|one| of(1)(&one)));
    // Whose segments had a bad checksum, the other end sees.
    let mut reports = primary_found(Cause::LossTowardStandby, 30);
    reports[1].findings[0].cause = Cause::DamageTowardStandby;
    let (found, _) = causes(&merged(reports));
    assert_eq!(found, [Cause::DamageTowardStandby]);
    // What does not come through at all may look like a loss from the other end.
    let reports = primary_found(Cause::Partition, 7);
    let (found, unwaited) = causes(&merged(reports));
    assert_eq!((found, unwaited), (vec![Cause::Partition], vec![]));
}

#[test]
fn what_arrived_with_a_bad_checksum_while_nothing_came_back_was_not_cut_off() {
    let cause = |arrives_at: fn(f64) -> f64, is_primary_s: bool| {
        let mut reports = primary_found(Cause::Partition, 7);
        let readings = &mut reports[0].flows[0].path.as_mut().unwrap().series;
        let silent = &mut readings[5..15];
        silent.iter_mut().for_each(|one| one.segs_in = Some(7));
        let (from_s, to_s) = (silent[0].offset_s, silent[9].offset_s);
        reports[1].findings[0].cause = Cause::DamageTowardStandby;
        let mut corrupted = reports[0].checksum_errors.series[0].clone();
        corrupted.offset_s = arrives_at((from_s + to_s) / 2.0);
        let primary = reports[1].flows[0].remote.address;
        let another = "192.0.2.1".parse().unwrap();
        let sender = if is_primary_s { primary } else { another };
        corrupted.by_peer = Some([(sender, 1)].into());
        reports[1].checksum_errors.series = vec![corrupted];
        let both = merged(reports);
        let found = &both.findings[0].finding;
        (
            found.cause,
            found.confidence,
            found.text.contains("was not cut"),
        )
    };
    let damage = (Cause::DamageTowardStandby, Confidence::Medium, true);
    assert_eq!(cause(|within_s| within_s, true), damage);
    // Before it, it contradicts nothing; nor if it came from somebody else.
    for (cut, _, is_told) in [cause(|_| 0.1, true), cause(|within_s| within_s, false)] {
        assert_eq!((cut, is_told), (Cause::Partition, false));
    }
}

#[test]
fn a_loss_that_no_commit_waited_for_is_no_finding() {
    let fresh = reports();
    let mut reports = fresh.clone();
    reports[0].findings.clear();
    let both = merged(reports.clone());
    assert_eq!(causes(&both), (vec![], vec![Cause::LossOfReplies]));
    let text = render::plain::render(&render::account::of_both(&both), 100);
    assert!(text.starts_with("No commit was found to wait"), "{text}");
    assert!(text.contains("found none that waited for this"), "{text}");
    // Where the runs do not overlap, nobody knows.
    reports[1].window.start = later(&reports[1].window.start, 86_400_000);
    reports[1].window.end = later(&reports[1].window.end, 86_400_000);
    let (found, unwaited) = causes(&merged(reports));
    assert_eq!((found, unwaited), (vec![Cause::LossOfReplies], vec![]));
    // Nor where no host saw who waited.
    let mut unseen = fresh;
    unseen[0].findings.clear();
    (unseen[0].postgres, unseen[0].commits) = (None, None);
    let (found, unwaited) = causes(&merged(unseen));
    assert_eq!((found, unwaited), (vec![Cause::LossOfReplies], vec![]));
}

#[test]
fn what_the_primary_cannot_see_the_other_host_explains() {
    for open in [
        Cause::NotDetermined,
        Cause::NotTheNetwork,
        Cause::StandbyNotReplying,
    ] {
        let merged = merged(primary_found(open, 0));
        assert_eq!(causes(&merged), (vec![Cause::LossOfReplies], vec![]));
        let found = &merged.findings[0];
        assert_eq!(found.host, "db2");
        assert_eq!(found.finding.confidence, Confidence::Medium);
        assert!(
            found.finding.size.explained_percent >= Some(40.0),
            "{found:?}"
        );
    }
    // What commits waited for is known, and something was lost beside it.
    for known in [Cause::StandbyFlush, Cause::StandbyApply, Cause::WalFlush] {
        let merged = merged(primary_found(known, 0));
        assert_eq!(causes(&merged), (vec![known], vec![Cause::LossOfReplies]));
    }
    // Of two clocks of which nothing is known, whether it was at the same time is not.
    let mut reports = primary_found(Cause::NotDetermined, 0);
    reports[1].host.boot_id = Some("another".into());
    let (found, unwaited) = causes(&merged(reports));
    assert!(
        unwaited.is_empty() && found.contains(&Cause::NotDetermined),
        "{found:?}"
    );
    // It was lost at another time.
    let mut reports = primary_found(Cause::NotDetermined, 0);
    for step in &mut reports[1].flows[0].series {
        step.offset_s = 0.5;
    }
    let (found, unwaited) = causes(&merged(reports));
    let expected = (vec![Cause::NotDetermined], vec![Cause::LossOfReplies]);
    assert_eq!((found, unwaited), expected);
}

#[test]
fn of_two_directions_the_lesser_is_the_echo() {
    let of = |segments| causes(&merged(primary_found(Cause::LossTowardStandby, segments)));
    // The standby's host retransmitted 34.
    assert_eq!(of(8), (vec![Cause::LossOfReplies], vec![]));
    assert_eq!(of(137), (vec![Cause::LossTowardStandby], vec![]));
    let both = vec![Cause::LossTowardStandby, Cause::LossOfReplies];
    assert_eq!(of(34), (both, vec![]));
}

#[test]
fn a_standby_without_a_processor_is_found_on_its_own_host() {
    let with = |cause, waited_ms: f64, identifier: &str| {
        let mut reports = primary_found(cause, 0);
        reports[1].findings.clear();
        let own = reports[0].postgres.as_mut().unwrap();
        own.system_identifier = Some("7".into());
        let steps = (1..=18).map(|second| ProcessorsStepReport {
            time: String::new(),
            offset_s: f64::from(second),
            duration_s: 1.0,
            ran_ms: 20.0,
            waited_ms,
        });
        reports[1].processors = Some(vec![ProcessorsReport {
            pid: 1,
            port: None,
            netns: None,
            system_identifier: Some(identifier.into()),
            ran_s: 0.36,
            waited_s: 18.0,
            series: steps.collect(),
        }]);
        causes(&merged(reports)).0
    };
    let starved = Cause::CpuStarvation;
    let flush = Cause::StandbyFlush;
    assert_eq!(with(flush, 950.0, "7"), [starved, flush]);
    // It had one, or another server had none, or the primary's own disk was slow.
    assert_eq!(with(flush, 300.0, "7"), [flush]);
    assert_eq!(with(flush, 950.0, "8"), [flush]);
    assert_eq!(with(Cause::WalFlush, 950.0, "7"), [Cause::WalFlush]);
}

#[test]
fn what_took_its_time_on_the_primary_is_not_explained_by_the_other_host() {
    let mut reports = primary_found(Cause::NotTheNetwork, 0);
    let commits = reports[0].commits.as_mut().unwrap();
    let mut of_primary = |one: &mut SlowReport| {
        one.stages_ms = Some(ByStage {
            wakeup: one.wait_ms,
            ..ByStage::default()
        });
    };
    commits.slow.iter_mut().for_each(&mut of_primary);
    assert!(!commits.slow.is_empty());
    let expected = (vec![Cause::NotTheNetwork], vec![Cause::LossOfReplies]);
    assert_eq!(causes(&merged(reports)), expected);
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
