//! What is found first where the waiting was followed through both hosts.

use super::*;
use crate::report::endpoint::Endpoint;

fn journey(stages_ms: JourneyStages) -> Journey {
    Journey {
        host: "db1".to_owned(),
        server_pid: 100,
        standby: Endpoint {
            address: "10.0.10.3".parse().unwrap(),
            port: 41_000,
        },
        commits: 10,
        waited_ms: 1_000.0,
        joined: 10,
        quick: 0,
        apart: 0,
        apart_off_by_ms: None,
        not_apart: None,
        stages_ms,
    }
}

fn finding(cause: Cause) -> HostFinding {
    HostFinding {
        host: "db1".to_owned(),
        finding: Finding {
            text: "Known.".to_owned(),
            cause,
            confidence: Confidence::Medium,
            size: Size::default(),
            evidence: vec!["/reports/0/postgres".to_owned()],
        },
    }
}

/// What is found, of what the primary found, when so much was waited for each part.
fn found(primary: &[Cause], stages: JourneyStages) -> Vec<HostFinding> {
    let mut findings: Vec<_> = primary.iter().map(|cause| finding(*cause)).collect();
    own(&mut findings, "db2", &journey(stages), 3);
    findings
}

fn causes(found: &[HostFinding]) -> Vec<Cause> {
    found.iter().map(|one| one.finding.cause).collect()
}

fn disk(ms: f64) -> JourneyStages {
    JourneyStages {
        standby_flush: ms,
        between: 1_000.0 - ms,
        ..JourneyStages::default()
    }
}

#[test]
fn what_was_measured_comes_before_what_coincided() {
    let found = found(&[Cause::LossTowardStandby], disk(900.0));
    assert_eq!(
        causes(&found),
        [Cause::StandbyFlush, Cause::LossTowardStandby]
    );
    let first = &found[0];
    assert_eq!(
        (first.host.as_str(), first.finding.confidence),
        ("db2", Confidence::High)
    );
    assert_eq!(
        first.finding.evidence,
        ["/journeys/3/stages_ms/standby_flush"]
    );
    assert_eq!(
        first.finding.text,
        "Commits on db1 waited for the standby's flush. Followed through both hosts, all 10 slow commits waited 1.0 s: 90 % for the standby's flush, 10 % on the way, there or back."
    );
    assert_eq!(first.finding.size.explained_percent, Some(90.0));
}

#[test]
fn a_few_that_were_followed_say_nothing_of_those_that_still_waited() {
    let mut findings = vec![finding(Cause::Partition)];
    // Ten times as long as what was followed.
    findings[0].finding.size.waited_s = Some(10.0);
    own(&mut findings, "db2", &journey(disk(900.0)), 3);
    assert_eq!(causes(&findings), [Cause::Partition]);
    findings[0].finding.size.waited_s = Some(4.0);
    own(&mut findings, "db2", &journey(disk(900.0)), 3);
    assert_eq!(causes(&findings), [Cause::Partition]);
    findings[0].finding.size.waited_s = Some(2.0);
    own(&mut findings, "db2", &journey(disk(900.0)), 3);
    assert_eq!(causes(&findings)[0], Cause::StandbyFlush);
}

#[test]
fn what_was_inferred_of_the_standby_is_taken_back_where_it_was_measured() {
    let refuted = |cause, stages| {
        let mut findings = vec![finding(cause)];
        refute(&mut findings, &journey(stages), 3);
        findings.remove(0).finding
    };
    let found = refuted(Cause::StandbyFlush, disk(10.0));
    assert_eq!(
        (found.cause, found.confidence),
        (Cause::NotDetermined, Confidence::Low)
    );
    assert_eq!(
        found.text,
        "Commits on db1 waited for the standby. Followed through both hosts, all 10 slow commits waited 1.0 s: 99 % on the way, there or back. The primary alone had taken it for the standby's flush; what was measured on both hosts rules that out."
    );
    assert_eq!(
        found.evidence,
        ["/reports/0/postgres", "/journeys/3/stages_ms/between"]
    );
    // Most of what it waited for was not followed: it may have been the disk all the same.
    let mut findings = vec![finding(Cause::StandbyFlush)];
    findings[0].finding.size.waited_s = Some(4.0);
    findings[0].finding.size.explained_percent = Some(80.0);
    refute(&mut findings, &journey(disk(10.0)), 3);
    assert_eq!(causes(&findings), [Cause::StandbyFlush]);
    // What the primary saw of a loss is why, then.
    let mut findings = vec![
        finding(Cause::StandbyFlush),
        finding(Cause::LossTowardStandby),
    ];
    findings[1].finding.confidence = Confidence::Low;
    refute(&mut findings, &journey(disk(10.0)), 3);
    assert_eq!(causes(&findings), [Cause::LossTowardStandby]);
    assert_eq!(findings[0].finding.confidence, Confidence::Medium);
    // A good part of it was.
    assert_eq!(
        refuted(Cause::StandbyFlush, disk(300.0)).cause,
        Cause::StandbyFlush
    );
    // What the network is blamed for stays.
    assert_eq!(
        refuted(Cause::LossOfReplies, disk(10.0)).cause,
        Cause::LossOfReplies
    );
}

#[test]
fn what_was_inferred_is_confirmed() {
    let found = found(&[Cause::LossOfReplies, Cause::StandbyFlush], disk(900.0));
    assert_eq!(causes(&found), [Cause::StandbyFlush, Cause::LossOfReplies]);
    let first = &found[0].finding;
    assert_eq!(first.confidence, Confidence::High);
    assert!(
        first.text.starts_with("Known. Followed through"),
        "{}",
        first.text
    );
    assert_eq!(first.evidence.len(), 2);
}

#[test]
fn what_lies_between_the_hosts_accuses_nobody() {
    let primary = [Cause::NotDetermined];
    assert_eq!(causes(&found(&primary, disk(100.0))), primary);
    assert_eq!(causes(&found(&primary, disk(499.0))), primary);
    assert_eq!(causes(&found(&[], disk(900.0))), []);
}

#[test]
fn what_the_primary_waited_for_itself_stays_first() {
    for own in [Cause::WalFlush, Cause::LockWaits, Cause::StandbyGone] {
        assert_eq!(causes(&found(&[own], disk(900.0))), [own]);
    }
}

#[test]
fn a_walreceiver_that_did_not_run_is_explained_by_a_missing_processor() {
    let stages = JourneyStages {
        standby_read: 700.0,
        standby_write: 100.0,
        ..JourneyStages::default()
    };
    let starved = found(&[Cause::CpuStarvation, Cause::LossOfReplies], stages);
    assert_eq!(
        causes(&starved),
        [Cause::CpuStarvation, Cause::LossOfReplies]
    );
    assert_eq!(starved[0].finding.confidence, Confidence::High);
    let stopped = found(&[Cause::NotDetermined], stages);
    assert_eq!(causes(&stopped), [Cause::StandbyNotReplying]);
    assert_eq!(stopped[0].finding.evidence.len(), 2);
    let replay = JourneyStages {
        standby_apply: 800.0,
        ..JourneyStages::default()
    };
    let paused = found(&[Cause::LossOfReplies], replay);
    assert_eq!(causes(&paused), [Cause::StandbyApply, Cause::LossOfReplies]);
}
