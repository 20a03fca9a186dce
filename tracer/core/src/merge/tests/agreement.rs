//! What the other host saw, of the same trouble and of another.

use super::*;

#[test]
fn what_a_standby_sends_on_to_its_own_standby_is_not_what_commits_waited_for() {
    let mut reports = primary_found(Cause::StandbyNotReplying, 0);
    reports[1].flows[0].role.kind = Kind::Walsender;
    reports[1].findings[0].cause = Cause::LossTowardStandby;
    let (found, unwaited) = causes(&merged(reports));
    let expected = vec![Cause::StandbyNotReplying, Cause::LossTowardStandby];
    assert_eq!((found, unwaited), (expected, vec![]));
    // Nor does it confirm what the primary found.
    let mut reports = primary_found(Cause::LossTowardStandby, 30);
    reports[1].flows[0].role.kind = Kind::Walsender;
    reports[1].findings[0].cause = Cause::LossTowardStandby;
    let both = merged(reports);
    assert_eq!(both.findings[0].finding.text, "Commits waited.");
    assert_eq!(both.findings.len(), 2);
}

#[test]
fn a_few_bad_checksums_do_not_explain_many_losses() {
    let found = |segments| {
        let mut reports = primary_found(Cause::LossTowardStandby, segments);
        // 34 of them.
        reports[1].findings[0].cause = Cause::DamageTowardStandby;
        causes(&merged(reports)).0
    };
    assert_eq!(found(30), [Cause::DamageTowardStandby]);
    assert_eq!(found(500), [Cause::LossTowardStandby]);
}

#[test]
fn what_only_the_primary_could_know_is_not_said_to_be_unknown() {
    let both = merged(primary_found(Cause::LossTowardStandby, 34));
    let other = &both.findings[1].finding.text;
    assert!(!other.contains(WHETHER_COMMITS_WAITED), "{other}");
    assert!(
        other.ends_with("how much of what commits on db1 waited was due to this is not known."),
        "{other}"
    );
}

#[test]
fn commits_that_still_waited_at_the_end_were_waiting() {
    let mut reports = primary_found(Cause::StandbyNotReplying, 0);
    let length_s = reports[0].window.duration_s;
    reports[0].postgres.as_mut().unwrap().series.clear();
    let commits = reports[0].commits.as_mut().unwrap();
    commits.slow.truncate(1);
    commits.servers.iter_mut().for_each(|one| one.waiting = 0);
    let one = &mut commits.slow[0];
    (one.offset_s, one.total_ms, one.wait_ms) = (0.1, 1.0, 1.0);
    // By the clock of the other host, which was watched a little later.
    let later_s = merged(reports.clone()).hosts[1].starts_s;
    for step in &mut reports[1].flows[0].series {
        step.offset_s = length_s - later_s - 0.3;
    }
    let alone = causes(&merged(reports.clone()));
    assert_eq!(alone.0, [Cause::StandbyNotReplying]);
    let commits = reports[0].commits.as_mut().unwrap();
    for server in &mut commits.servers {
        (server.waiting, server.waiting_longest_ms) = (8, Some(1_000.0));
    }
    assert_eq!(causes(&merged(reports)).0, [Cause::LossOfReplies]);
}
