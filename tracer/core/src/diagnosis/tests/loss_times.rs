//! When something was lost decides whether it counts: what was lost at another time is no reason
//! for a commit to wait.

use crate::diagnosis::tests::apart::path;
use crate::diagnosis::tests::*;

#[test]
fn what_was_lost_while_nobody_waited_says_nothing_of_who_waits() {
    // The standby stalls for five seconds.
    let mut run = Run::waiting("IPC", "SyncRep").silent();
    let stalls = |second: u64| (21..=25).contains(&second);
    for sample in run.bad_samples().filter(|one| !stalls(one.at_ns / S)) {
        sample.waits = Some(Vec::new());
        sample.sync_rep_waiters = Some(0);
        sample.standbys = vec![standby(40.0)];
    }
    run.commits = steps(|second| if stalls(second) { 900 } else { 3 });
    // Three segments got lost before, and a probe is sent while it does not answer.
    let series = run.role(Kind::Walsender);
    series.extend([3, 8, 13].map(|second| retransmitted(second, RetransmitKind::Rto, 1)));
    series.push(retransmitted(22, RetransmitKind::Tlp, 1));
    let found = run.first();
    assert_eq!(found.cause, Cause::StandbyNotReplying, "{found:?}");
    assert!(found.text.contains("1 segment was"), "{found:?}");
    // The standby's host has had what the probe brought.
    run.path = path(|_| 120, |_| true);
    let after = run.path.iter_mut().skip(22);
    after.for_each(|one| one.dsack_dups = Some(7 + 1));
    assert_eq!(run.causes(), [Cause::StandbyNotReplying]);
}

#[test]
fn what_the_peer_had_while_nobody_waited_does_not_turn_a_loss_around() {
    let mut run = Run::waiting("IPC", "SyncRep");
    // A busy host takes its time to answer, again and again; and then it is the network.
    let series = run.role(Kind::Walsender);
    series.extend((1..=20).map(|second| retransmitted(second, RetransmitKind::Tlp, 1)));
    series.extend((21..=26).map(|second| retransmitted(second, RetransmitKind::Rto, 1)));
    run.path = path(|_| 120, |_| true);
    for one in &mut run.path {
        one.dsack_dups = Some((one.at_ns / S).min(20) as u32);
    }
    let found = run.first();
    assert_eq!(found.cause, Cause::LossTowardStandby, "{found:?}");
    assert_eq!(found.size.segments, Some(6));
}

#[test]
fn who_comes_to_wait_for_a_path_that_is_cut_already_waits_for_that() {
    let mut run = Run::waiting("IPC", "SyncRep").silent();
    // Nobody commits before, and timeouts have doubled since.
    let series = run.role(Kind::Walsender);
    let timeouts = [11, 11, 11, 12, 14, 17, 24, 37];
    series.extend(timeouts.map(|second| retransmitted(second, RetransmitKind::Rto, 1)));
    run.path = path(|_| 120, |second| !(11..=40).contains(&second));
    assert_eq!(run.causes(), [Cause::Partition]);
}

#[test]
fn nor_does_it_where_single_commits_say_who_waited() {
    let mut run = Run::healthy();
    let slow = (21..=26).map(|second| {
        let whole = Span {
            from_ns: (second - 1) * S + 50 * MS,
            to_ns: second * S,
        };
        SlowCommit {
            server: 17,
            whole,
            flush_ns: 0,
            wait: whole,
            in_recovery_ns: Some(900 * MS),
            stages: None,
        }
    });
    run.slow = Some(slow.collect());
    let series = run.role(Kind::Walsender);
    series.extend((1..=20).map(|second| retransmitted(second, RetransmitKind::Tlp, 1)));
    series.extend((21..=26).map(|second| retransmitted(second, RetransmitKind::Rto, 1)));
    run.path = path(|_| 120, |_| true);
    for one in &mut run.path {
        one.dsack_dups = Some((one.at_ns / S).min(20) as u32);
    }
    let mut recorded = run.recorded();
    recorded.postgres = None;
    let found = found_in(&recorded);
    assert_eq!(found[0].cause, Cause::LossTowardStandby, "{found:?}");
    assert_eq!(found[0].size.segments, Some(6));
}

#[test]
fn what_acknowledgements_show_to_be_missing_was_lost_on_its_way_there() {
    let mut run = Run::waiting("IPC", "SyncRep");
    run.path = path(|_| 120, |_| true);
    for one in &mut run.path {
        one.rcv_ooopack = Some((one.at_ns / S) as u32);
    }
    let mut cause = |kind| {
        let series = run.role(Kind::Walsender);
        series.clear();
        series.extend((21..=40).map(|second| retransmitted(second, kind, 3)));
        run.first().cause
    };
    // Replies are missing, too: where nothing else is, timers retransmit.
    assert_eq!(cause(RetransmitKind::Rto), Cause::LossOfReplies);
    assert_eq!(cause(RetransmitKind::Fast), Cause::LossTowardStandby);
    assert_eq!(cause(RetransmitKind::Rack), Cause::LossTowardStandby);
}
