//! Causes that look alike: what tells one from the other.

use crate::diagnosis::tests::*;

/// What the socket of the replication tells: something arrives every second, unless
/// that is when nothing does.
pub(super) fn path(
    srtt_us: impl Fn(u64) -> u32,
    hears: impl Fn(u64) -> bool,
) -> Vec<TcpInfoSample> {
    let mut segs_in = 100;
    (1..=RUN)
        .map(|second| {
            segs_in += u32::from(hears(second));
            TcpInfoSample {
                at_ns: second * S,
                srtt_us: Some(srtt_us(second)),
                min_rtt_us: Some(80),
                unacked: Some(1),
                recovering: Some(false),
                segs_in: Some(segs_in),
                heard_ns: None,
                dsack_dups: Some(7),
                rcv_ooopack: Some(3),
            }
        })
        .collect()
}

fn first(run: &Run) -> (Cause, Confidence) {
    let first = run.first();
    (first.cause, first.confidence)
}

#[test]
fn nothing_that_comes_through_is_a_cut_and_little_of_it_is_loss() {
    for role in [Kind::Walsender, Kind::Walreceiver] {
        let _case = Case::of(&role);
        let mut run = Run::waiting("IPC", "SyncRep").silent();
        let series = run.role(role);
        let timeouts = [21, 21, 21, 22, 24, 27, 33, 33, 34, 40];
        series.extend(timeouts.map(|second| retransmitted(second, RetransmitKind::Rto, 1)));
        run.path = path(|_| 120, |second| !bad(second));
        assert_eq!(first(&run), (Cause::Partition, Confidence::High));
        let found = run.first();
        assert!(found.size.silent_s >= Some(19.0), "{:?}", found.size);
        assert_eq!(run.causes(), [Cause::Partition]);
        // One that was not seen makes no difference to what arrived meanwhile.
        let series = run.role(role);
        series.clear();
        series.extend(
            [21, 21, 21, 21, 22, 23, 37].map(|at| retransmitted(at, RetransmitKind::Rto, 1)),
        );
        assert_eq!(run.causes(), [Cause::Partition]);
        let series = run.role(role);
        series.extend([38, 39, 40].map(|at| retransmitted(at, RetransmitKind::Rto, 1)));
        // A little comes through now and then.
        run.path = path(|_| 120, |second| !bad(second) || second % 4 == 0);
        assert_ne!(first(&run).0, Cause::Partition);
        // Nothing came, and hardly anything was sent either: but never otherwise.
        run.path = path(|_| 120, |second| !bad(second));
        let mut only = |timeouts: &[u64]| {
            let series = run.role(role);
            series.clear();
            let timeouts = timeouts.iter();
            series.extend(timeouts.map(|at| retransmitted(*at, RetransmitKind::Rto, 1)));
            first(&run)
        };
        assert_eq!(
            only(&[21, 22, 25, 32]),
            (Cause::Partition, Confidence::Medium)
        );
        // What loses some of all does so at other times, too.
        assert_ne!(only(&[12, 21, 22, 25, 32]).0, Cause::Partition);
        assert_ne!(only(&[21, 22, 25, 32, 55]).0, Cause::Partition);
    }
}

#[test]
fn what_is_held_up_again_and_again_is_not_lost() {
    let mut run = Run::waiting("IPC", "SyncRep").silent();
    let series = run.role(Kind::Walsender);
    // A probe and timeouts that double, three times; the peer had all of it.
    let held = [21, 28, 35];
    for from in held {
        let timeouts = [from, from, from, from + 1, from + 3];
        series.extend(timeouts.map(|at| retransmitted(at, RetransmitKind::Rto, 1)));
    }
    let is_held = |second: u64| held.iter().any(|from| (*from..from + 6).contains(&second));
    run.path = path(|_| 120, |second| !is_held(second));
    let mut heard_ns = 0;
    for (index, one) in run.path.iter_mut().enumerate() {
        let second = index as u64 + 1;
        if !is_held(second) {
            heard_ns = one.at_ns - MS;
        }
        one.heard_ns = Some(heard_ns.max(one.at_ns.saturating_sub(6 * S)));
        let over = held.iter().filter(|from| **from + 6 <= second).count();
        one.dsack_dups = Some(7 + 5 * over as u32);
    }
    assert_eq!(first(&run), (Cause::Partition, Confidence::Medium));
    // What is lost at other times, too, is lost.
    let series = run.role(Kind::Walsender);
    series.push(retransmitted(50, RetransmitKind::Rto, 1));
    assert_ne!(first(&run).0, Cause::Partition);
}

#[test]
fn what_the_peer_had_already_was_not_lost_and_what_said_so_was() {
    for (role, lost, had) in [
        (
            Kind::Walsender,
            Cause::LossTowardStandby,
            Cause::LossOfReplies,
        ),
        (
            Kind::Walreceiver,
            Cause::LossOfReplies,
            Cause::LossTowardStandby,
        ),
    ] {
        let _case = Case::of(&role);
        let mut run = Run::waiting("IPC", "SyncRep");
        let series = run.role(role);
        series.extend((21..=40).map(|second| retransmitted(second, RetransmitKind::Rto, 3)));
        run.path = path(|_| 120, |_| true);
        assert_eq!(first(&run), (lost, Confidence::High));
        // Before the run is not in it.
        run.path
            .iter_mut()
            .skip(30)
            .for_each(|one| one.dsack_dups = Some(7 + 10));
        assert_eq!(first(&run), (lost, Confidence::High));
        run.path
            .iter_mut()
            .skip(40)
            .for_each(|one| one.dsack_dups = Some(7 + 40));
        assert_eq!(first(&run), (had, Confidence::High));
    }
}

#[test]
fn a_loss_lasts_until_the_kernel_is_done_with_it() {
    let mut run = Run::waiting("IPC", "SyncRep").silent();
    let again = [21, 21, 21, 22, 23, 25];
    run.role(Kind::Walsender)
        .extend(again.map(|second| retransmitted(second, RetransmitKind::Rto, 1)));
    // Something arrives now and then, as what the other side retransmits.
    run.path = path(|_| 120, |second| !bad(second) || second % 5 == 0);
    assert!(run.causes().contains(&Cause::StandbyNotReplying));
    let fault = run.path.iter_mut().filter(|one| bad(one.at_ns / S));
    fault.for_each(|one| one.recovering = Some(true));
    assert_eq!(first(&run), (Cause::LossTowardStandby, Confidence::High));
    assert_eq!(run.causes(), [Cause::LossTowardStandby]);
}

#[test]
fn what_was_retransmitted_too_early_is_no_loss() {
    let mut run = Run::waiting("IPC", "SyncRep");
    run.role(Kind::Walsender)
        .extend((21..=24).map(|second| retransmitted(second, RetransmitKind::Tlp, 1)));
    let had_them = |run: &mut Run, segments: u32, srtt_us: u32| {
        run.path = path(|second| if bad(second) { srtt_us } else { 120 }, |_| true);
        let after = run.path.iter_mut().skip(25);
        after.for_each(|one| one.dsack_dups = Some(7 + segments));
    };
    // Before the kernel has learnt how long the way is now.
    had_them(&mut run, 4, 60_000);
    assert_eq!(run.first().size.segments, None, "{:?}", run.first());
    had_them(&mut run, 2, 60_000);
    assert_eq!(first(&run).0, Cause::LossOfReplies);
    // It never learns where it changes all the time.
    run.role(Kind::Walsender)
        .extend((25..=40).map(|second| retransmitted(second, RetransmitKind::Rto, 1)));
    had_them(&mut run, 20, 250_000);
    assert_eq!(run.first().size.segments, None, "{:?}", run.first());
    // Now and then one of them timed out.
    had_them(&mut run, 20, 60_000);
    assert_eq!(first(&run).0, Cause::LossOfReplies);
}

#[test]
fn probes_that_were_all_spurious_show_no_loss() {
    let mut run = Run::waiting("IPC", "SyncRep");
    run.role(Kind::Walreceiver)
        .extend((21..=40).map(|second| retransmitted(second, RetransmitKind::Tlp, 2)));
    run.path = path(|_| 120, |_| true);
    let after = run.path.iter_mut().skip(25);
    after.for_each(|one| one.dsack_dups = Some(47));
    assert_eq!(run.first().size.segments, None, "{:?}", run.first());
    // What comes from the other side is seen to lack something.
    for one in &mut run.path[20..40] {
        one.rcv_ooopack = Some(one.at_ns as u32 / 100_000_000);
    }
    assert_eq!(first(&run).0, Cause::LossTowardStandby);
}

#[test]
fn silence_right_after_lost_replies_is_theirs_and_no_longer_than_timeouts_explain() {
    let mut run = Run::waiting("IPC", "SyncRep").silent();
    run.role(Kind::Walsender)
        .extend((21..=26).map(|second| retransmitted(second, RetransmitKind::Tlp, 2)));
    run.path = path(|_| 120, |_| true);
    let shown = run.path.iter_mut().skip(26);
    shown.for_each(|one| one.dsack_dups = Some(7 + 4));
    // Six seconds of losses, and what follows at once is silent for 13 more.
    let found = run.first();
    assert_eq!(found.cause, Cause::LossOfReplies);
    assert!(found.size.duration_s.unwrap() > 15.0, "{found:?}");
    // The last reply that came may be the one of two that tells less.
    for sample in run.bad_samples() {
        sample.standbys[0].write_lag_bytes = Some(0);
    }
    assert_eq!(run.causes(), [Cause::LossOfReplies]);
    for sample in run.bad_samples() {
        sample.standbys[0].write_lag_bytes = Some(4096);
    }
    // A loss of a moment explains no silence of minutes.
    run.role(Kind::Walsender).truncate(2);
    let found = run.first();
    assert_eq!(found.cause, Cause::StandbyNotReplying, "{found:?}");
    // What the primary lost itself is retransmitted by it: its silence is another's.
    run.role(Kind::Walsender)
        .extend((23..=26).map(|second| retransmitted(second, RetransmitKind::Tlp, 2)));
    run.path = path(|_| 120, |_| true);
    assert!(run.causes().contains(&Cause::StandbyNotReplying));
}

#[test]
fn replies_behind_a_gap_are_no_silence_of_the_standby() {
    let mut run = Run::waiting("IPC", "SyncRep").silent();
    run.role(Kind::Walsender);
    let gap_at = |from: u64| {
        let mut readings = path(|_| 120, |_| true);
        let after = readings.iter_mut().filter(|one| one.at_ns >= from * S);
        after.for_each(|one| one.rcv_ooopack = Some(3 + 2));
        readings
    };
    // Nothing had to be retransmitted from here.
    run.path = gap_at(22);
    assert_eq!(first(&run), (Cause::LossOfReplies, Confidence::Medium));
    assert_eq!(run.first().size.silent_s, Some(20.0));
    // Of two replies, the one that tells less came.
    for sample in run.bad_samples() {
        sample.standbys[0].write_lag_bytes = Some(0);
    }
    assert_eq!(run.causes(), [Cause::LossOfReplies]);
    // A moment of retransmits explains no silence of minutes, and a gap does.
    run.role(Kind::Walsender)
        .extend((21..=23).map(|second| retransmitted(second, RetransmitKind::Tlp, 2)));
    let after = run.path.iter_mut().skip(23);
    after.for_each(|one| one.dsack_dups = Some(7 + 4));
    assert_eq!(first(&run), (Cause::LossOfReplies, Confidence::High));
    assert_eq!(run.causes(), [Cause::LossOfReplies]);
    // What came before, or after, is no part of it.
    run.role(Kind::Walsender).clear();
    for sample in run.bad_samples() {
        sample.standbys[0].write_lag_bytes = Some(4096);
    }
    for from in [15, 41] {
        let _case = Case::of(&from);
        run.path = gap_at(from);
        assert_eq!(first(&run).0, Cause::StandbyNotReplying);
    }
}

#[test]
fn gaps_in_what_arrives_show_that_this_direction_loses() {
    for (role, lost, turned) in [
        (
            Kind::Walsender,
            Cause::LossTowardStandby,
            Cause::LossOfReplies,
        ),
        (
            Kind::Walreceiver,
            Cause::LossOfReplies,
            Cause::LossTowardStandby,
        ),
    ] {
        let _case = Case::of(&role);
        let mut run = Run::waiting("IPC", "SyncRep");
        let again = (21..=40).step_by(4);
        run.role(role)
            .extend(again.map(|second| retransmitted(second, RetransmitKind::Tlp, 2)));
        let gaps = |every: u64| {
            let mut seen = 3;
            let mut readings = path(|_| 120, |_| true);
            for one in &mut readings {
                let second = one.at_ns / S;
                // One that is lost is missed by all that follow it. What was long
                // before is none of this.
                let gap = second < 10 || bad(second) && second.is_multiple_of(every);
                seen += 40 * u32::from(gap);
                one.rcv_ooopack = Some(seen);
            }
            readings
        };
        run.path = gaps(10);
        assert_eq!(first(&run), (lost, Confidence::High));
        run.path = gaps(3);
        assert_eq!(first(&run), (turned, Confidence::High));
        assert!(
            run.first().text.contains("in 5 samples"),
            "{:?}",
            run.first()
        );
        // As many were retransmitted, and more.
        run.role(role)
            .extend((41..=45).map(|second| retransmitted(second, RetransmitKind::Tlp, 2)));
        assert_eq!(first(&run), (lost, Confidence::High));
        run.role(role).truncate(5);
        // An older kernel does not tell.
        run.path.iter_mut().for_each(|one| one.rcv_ooopack = None);
        assert_eq!(first(&run), (lost, Confidence::High));
    }
}

#[test]
fn on_the_standby_s_host_the_log_arrives_or_is_lost() {
    let mut run = Run::waiting("IPC", "SyncRep").silent();
    run.role(Kind::Walreceiver);
    for sample in run.bad_samples() {
        sample.standbys[0].sent_lag_bytes = Some(0);
    }
    run.path = path(|_| 120, |_| true);
    let standby = (Cause::StandbyNotReplying, Confidence::High);
    assert_eq!(first(&run), standby);
    run.path = path(|_| 120, |second| !bad(second));
    assert_eq!(first(&run), (Cause::LossTowardStandby, Confidence::Medium));
    // What the primary has not sent cannot arrive.
    for sample in run.bad_samples() {
        sample.standbys[0].sent_lag_bytes = Some(4096);
    }
    let standby = (Cause::StandbyNotReplying, Confidence::Low);
    assert_eq!(first(&run), standby);
    // Nor is it known what was lost where nothing is seen of the way.
    run.path.clear();
    assert_eq!(first(&run), standby);
}

#[test]
fn a_standby_that_was_sent_nothing_owes_no_reply() {
    let mut run = Run::waiting("IPC", "SyncRep").silent();
    let owed = Cause::StandbyNotReplying;
    assert_eq!(first(&run), (owed, Confidence::High));
    // The WAL reached the primary's own disk between two looks.
    for sample in run.bad_samples() {
        sample.standbys[0].flush_lag_bytes = Some(0);
    }
    assert!(!run.causes().contains(&owed), "{:?}", run.causes());
    // Where the lag may not be seen, it may be there.
    for sample in run.bad_samples() {
        sample.standbys[0].flush_lag_bytes = None;
    }
    assert_eq!(first(&run), (owed, Confidence::High));
}

#[test]
fn a_long_path_is_shown_by_round_trips_and_by_what_commits_took() {
    let slow = |second| if bad(second) { 150 } else { 3 };
    let mut run = Run::waiting("IPC", "SyncRep");
    run.commits = steps(slow);
    run.path = path(|second| if bad(second) { 100_000 } else { 120 }, |_| true);
    assert_eq!(first(&run), (Cause::NetworkDelay, Confidence::High));
    assert_eq!(run.first().size.round_trip_ms, Some(100.0));
    assert_eq!(run.causes(), [Cause::NetworkDelay]);
    // What takes that long has another reason.
    run.commits = steps(|second| if bad(second) { 900 } else { 3 });
    assert_eq!(run.causes(), [Cause::NotDetermined]);
    // Without a probe, it is not known what commits took.
    let mut recorded = run.recorded();
    recorded.postgres.as_mut().unwrap().probe = None;
    let found = found_in(&recorded);
    let shown = (found[0].cause, found[0].confidence);
    assert_eq!(shown, (Cause::NetworkDelay, Confidence::Medium));
    // A way that is always as long is no delay of this time's.
    run.path = path(|_| 900, |_| true);
    assert_eq!(run.causes(), [Cause::NotDetermined]);
}

#[test]
fn a_standby_s_disk_and_what_it_applies_are_known_by_what_it_says_it_has() {
    for (write, flush, replay, cause) in [
        (0, 8_000, 8_000, Cause::StandbyFlush),
        (400, 8_000, 8_300, Cause::StandbyFlush),
        (0, 0, 8_000, Cause::StandbyApply),
        (500, 500, 8_000, Cause::StandbyApply),
        (8_000, 8_000, 8_200, Cause::NotDetermined),
    ] {
        let _case = Case::of(&(write, flush, replay));
        // Whether or not its replies are rare meanwhile.
        let mut run = Run::waiting("IPC", "SyncRep");
        for sample in run.bad_samples() {
            let standby = &mut sample.standbys[0];
            standby.write_lag_bytes = Some(write);
            standby.flush_lag_bytes = Some(flush);
            standby.replay_lag_bytes = Some(replay);
        }
        assert_eq!(run.causes(), [cause], "{write} {flush} {replay}");
    }
}

#[test]
fn a_server_without_a_processor_is_found_whatever_its_backends_wait_for() {
    let starved = |waited_ms: u64| {
        let steps = (1..=RUN).map(|second| processors::CpuInterval {
            from_ns: (second - 1) * S,
            at_ns: second * S,
            ran_ns: 50 * MS,
            waited_ns: if bad(second) { waited_ms * MS } else { 20 * MS },
        });
        vec![processors::CpuHistory {
            pid: 17,
            port: Some(5432),
            netns: None,
            system_identifier: Some(SYSTEM),
            steps: steps.collect(),
        }]
    };
    for (kind, event) in [
        ("IPC", "SyncRep"),
        ("LWLock", "WALWrite"),
        ("Client", "ClientRead"),
    ] {
        let _case = Case::of(&event);
        let mut run = Run::waiting(kind, event);
        run.processors = starved(1_900);
        assert_eq!(first(&run), (Cause::CpuStarvation, Confidence::High));
        let size = run.first().size;
        assert!(size.starved_s > Some(37.0), "{event}: {size:?}");
        assert!(size.starved_percent > Some(90.0), "{event}: {size:?}");
        assert_eq!(size.explained_percent, None);
        assert_eq!(run.causes(), [Cause::CpuStarvation], "{event}");
        // Somebody else's server.
        run.processors[0].system_identifier = Some(SYSTEM + 1);
        assert!(!run.causes().contains(&Cause::CpuStarvation), "{event}");
        // A busy host on which it runs often enough is none.
        run.processors = starved(300);
        assert!(!run.causes().contains(&Cause::CpuStarvation), "{event}");
    }
    // What is lost is lost on any host.
    let mut run = Run::waiting("IPC", "SyncRep");
    run.role(Kind::Walsender)
        .extend((21..=40).map(|second| retransmitted(second, RetransmitKind::Rto, 3)));
    run.processors = starved(1_900);
    assert!(run.causes().contains(&Cause::LossTowardStandby));
    // And where nobody was slow, nothing is the matter.
    let mut run = Run::healthy();
    run.processors = starved(1_900);
    assert_eq!(run.causes(), []);
}
