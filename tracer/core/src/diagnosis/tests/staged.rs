//! What the stages of slow commits rule out, whatever else was seen at the time.

use crate::diagnosis::tests::*;
use crate::recording::stage::WaitStages;
use crate::report::stages::Stage;

/// Backends wait, the primary retransmits, and the standby is behind with its disk: one slow
/// commit a second spends its time in this stage.
fn run(stage: Option<Stage>) -> Run {
    let mut run = Run::waiting("IPC", "SyncRep");
    for sample in run.bad_samples() {
        for standby in &mut sample.standbys {
            standby.write_lag_bytes = Some(1);
            standby.flush_lag_bytes = Some(4_096);
        }
    }
    let series = run.role(Kind::Walsender);
    series.extend((21..=40).map(|second| retransmitted(second, RetransmitKind::Rto, 3)));
    let commits = (21..=40).map(|second| {
        let whole = Span {
            from_ns: second * S,
            to_ns: second * S + 900 * MS,
        };
        let stages = stage.map(|stage| {
            let mut stages = WaitStages::default();
            stages.ns[stage as usize] = 880 * MS;
            stages.ns[Stage::Wakeup as usize] += 10 * MS;
            stages
        });
        SlowCommit {
            server: 17,
            whole,
            flush_ns: 10 * MS,
            wait: Span {
                from_ns: whole.from_ns + 10 * MS,
                ..whole
            },
            in_recovery_ns: Some(880 * MS),
            stages,
        }
    });
    run.slow = Some(commits.collect());
    run
}

fn first(stage: Option<Stage>) -> Cause {
    run(stage).first().cause
}

#[test]
fn a_loss_is_the_cause_only_where_its_stage_took_the_time() {
    assert_eq!(first(None), Cause::LossTowardStandby);
    assert_eq!(first(Some(Stage::Acknowledged)), Cause::LossTowardStandby);
    // What is not acknowledged keeps what comes next in the walsender.
    assert_eq!(first(Some(Stage::Handover)), Cause::LossTowardStandby);
    assert_eq!(first(Some(Stage::Unexplained)), Cause::LossTowardStandby);
    assert_eq!(first(Some(Stage::Remote)), Cause::StandbyFlush);
}

#[test]
fn what_passed_on_this_host_is_nobody_else_s() {
    for stage in [Stage::Release, Stage::Wakeup] {
        let found = run(Some(stage)).first();
        assert_eq!(found.cause, Cause::NotDetermined, "{found:?}");
        assert!(
            found.text.contains("99 %") || found.text.contains("100 %"),
            "{found:?}"
        );
    }
}

#[test]
fn what_commits_of_another_server_waited_for_is_nothing_to_the_sampled_one() {
    let mut run = run(Some(Stage::Remote));
    run.role(Kind::Walsender).clear();
    run.path = (1..=RUN)
        .map(|second| TcpInfoSample {
            at_ns: second * S,
            srtt_us: Some(120),
            unacked: Some(if bad(second) { 3 } else { 0 }),
            ..TcpInfoSample::default()
        })
        .collect();
    let others = run.slow.iter().flatten().copied().map(|one| {
        let mut stages = WaitStages::default();
        stages.ns[Stage::Acknowledged as usize] = 8_800 * MS;
        SlowCommit {
            server: 18,
            stages: Some(stages),
            ..one
        }
    });
    let others: Vec<SlowCommit> = others.collect();
    run.slow.iter_mut().for_each(|slow| slow.extend(&others));
    // Which server is which is not known: all of them may be the sampled one's.
    assert_eq!(run.first().cause, Cause::NetworkDelay);
    run.processors = vec![processors::CpuHistory {
        pid: 17,
        system_identifier: Some(SYSTEM),
        ..processors::CpuHistory::default()
    }];
    assert_eq!(run.first().cause, Cause::StandbyFlush);
}

#[test]
fn single_commits_say_it_without_a_server_that_is_asked() {
    let found = |stage| {
        let mut recorded = run(stage).recorded();
        recorded.postgres = None;
        let found = found_in(&recorded);
        found.into_iter().next().expect("something is found")
    };
    assert_eq!(found(None).cause, Cause::LossTowardStandby);
    assert_eq!(
        found(Some(Stage::Acknowledged)).cause,
        Cause::LossTowardStandby
    );
    let remote = found(Some(Stage::Remote));
    assert_eq!(remote.cause, Cause::NotTheNetwork, "{remote:?}");
    assert!(
        remote
            .text
            .contains("99 % was between the acknowledgement of the WAL")
    );
    let here = found(Some(Stage::Release));
    assert_eq!(here.cause, Cause::NotTheNetwork, "{here:?}");
    assert!(here.text.contains("on this host"), "{here:?}");
}

#[test]
fn what_is_acknowledged_late_and_not_lost_was_held_up_on_the_way() {
    let held = |unacked| {
        let mut run = run(Some(Stage::Acknowledged)).silent();
        run.role(Kind::Walsender).clear();
        run.path = (1..=RUN)
            .map(|second| TcpInfoSample {
                at_ns: second * S,
                srtt_us: Some(120),
                unacked: Some(if bad(second) { unacked } else { 0 }),
                ..TcpInfoSample::default()
            })
            .collect();
        run.first()
    };
    let found = held(3);
    let shown = (found.cause, found.confidence);
    assert_eq!(shown, (Cause::NetworkDelay, Confidence::Medium));
    assert!(
        found.text.contains("acknowledged late: after up to 880 ms"),
        "{found:?}"
    );
    assert_eq!(found.size.round_trip_ms, Some(880.0));
    // What is not in flight waits for room at the other end, or here.
    assert_ne!(held(0).cause, Cause::NetworkDelay);
}

#[test]
fn what_the_standby_s_host_has_acknowledged_and_nobody_lost_is_the_standby_s() {
    let run = || {
        let mut run = run(Some(Stage::Remote));
        run.role(Kind::Walsender).clear();
        for sample in run.bad_samples() {
            sample.standbys[0].write_lag_bytes = Some(4_096);
            // It replies now and then.
            sample.standbys[0].reply_age_ms = Some(40.0);
        }
        run
    };
    let found = run().first();
    assert_eq!(
        (found.cause, found.confidence),
        (Cause::NotTheNetwork, Confidence::Medium)
    );
    // Something before what arrived was missing.
    let mut lossy = run();
    lossy.path = (1..=RUN)
        .map(|second| TcpInfoSample {
            at_ns: second * S,
            rcv_ooopack: Some(second as u32),
            ..TcpInfoSample::default()
        })
        .collect();
    assert_eq!(lossy.first().cause, Cause::NotDetermined);
}

#[test]
fn what_the_peer_had_and_acknowledged_late_was_not_lost() {
    let of = |stage, dsack_dups: u32| {
        let mut run = run(Some(stage)).silent();
        run.path = (1..=RUN)
            .map(|second| TcpInfoSample {
                at_ns: second * S,
                srtt_us: Some(120),
                unacked: Some(if bad(second) { 3 } else { 0 }),
                dsack_dups: Some(if second > 30 { dsack_dups } else { 0 }),
                ..TcpInfoSample::default()
            })
            .collect();
        run.first().cause
    };
    // All sixty of them.
    assert_eq!(of(Stage::Acknowledged, 60), Cause::NetworkDelay);
    assert_eq!(of(Stage::Acknowledged, 30), Cause::LossOfReplies);
    assert_eq!(of(Stage::Remote, 60), Cause::LossOfReplies);
}

#[test]
fn where_replies_arrive_out_of_order_it_is_not_sure_what_the_standby_has_done() {
    let with_gaps_until = |last: u64| {
        let mut run = run(Some(Stage::Remote));
        run.role(Kind::Walsender).clear();
        for sample in run.bad_samples() {
            sample.standbys[0].write_lag_bytes = Some(0);
            // It replies now and then.
            sample.standbys[0].reply_age_ms = Some(40.0);
        }
        run.path = (1..=RUN)
            .map(|second| TcpInfoSample {
                at_ns: second * S,
                rcv_ooopack: Some(second.min(last) as u32),
                ..TcpInfoSample::default()
            })
            .collect();
        let found = run.first();
        let is_told = found.text.contains("may have been lost");
        (found.cause, found.confidence, is_told)
    };
    let flush = Cause::StandbyFlush;
    // In all of these times, in half of them, and in fewer.
    assert_eq!(with_gaps_until(RUN), (flush, Confidence::Low, true));
    assert_eq!(with_gaps_until(30), (flush, Confidence::Low, true));
    assert_eq!(with_gaps_until(25), (flush, Confidence::High, false));
}

#[test]
fn where_walsenders_took_wal_late_samples_say_what_they_waited_for() {
    let of = |event: Option<&str>, stage| {
        let mut run = run(Some(stage));
        run.role(Kind::Walsender).clear();
        for sample in run.bad_samples() {
            sample.standbys[0].write_lag_bytes = Some(4_096);
            sample.standbys[0].reply_age_ms = Some(40.0);
            let second = sample.at_ns / S;
            if let (Some(event), Some(waits)) = (event, &mut sample.waits)
                && second.is_multiple_of(2)
            {
                waits.push(wait("Client", event, 1));
            }
        }
        let found = run.first();
        assert_eq!(found.cause, Cause::NotDetermined, "{found:?}");
        found.text
    };
    let full = of(Some("WalSenderWriteData"), Stage::Handover);
    let said = "in 10 of 20 samples a walsender had no room to send (WalSenderWriteData)";
    assert!(full.contains(said), "{full}");
    // Of waits that had nothing to do with that, it says nothing.
    let other = of(Some("WalSenderWriteData"), Stage::Wakeup);
    assert!(!other.contains("WalSenderWriteData"), "{other}");
    let none = of(None, Stage::Handover);
    assert!(!none.contains("samples a walsender"), "{none}");
}
