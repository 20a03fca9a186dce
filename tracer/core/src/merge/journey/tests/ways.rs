//! The way to the standby and the way back, on hosts whose clocks are known.

use super::*;
use crate::merge::clock::{self, ClockMethod};

/// When each host began to count, ns of a clock that is right.
const STARTS_NS: [u64; 2] = [7_000_000_000_000, 7_001_500_000_000];
/// How long WAL is in each stage on the standby, and its reply and the backend on the primary
/// after that, ms.
const ON_STANDBY: [f64; 4] = [0.1, 0.2, 0.5, 0.1];
const RELEASE: f64 = 0.15;
const WAKEUP: f64 = 0.25;

/// The standby's clock: by how much it is ahead of the right one, which is the primary's, s, and
/// by how much faster it is.
#[derive(Clone, Copy)]
struct Ahead(f64, f64);

impl Ahead {
    /// Its time where a right one is so many ms after the primary began to count.
    fn time(self, at_ms: f64) -> u64 {
        let right_ns = STARTS_NS[0] as f64 + at_ms * 1e6;
        (right_ns + self.0 * 1e9 + at_ms * 1e6 * self.1).round() as u64
    }
}

/// A message that was sent so many ms after the primary began, and how long it and its reply
/// were on the way, ms.
type Message = (f64, f64, f64);

fn here(at_ms: f64) -> u64 {
    STARTS_NS[0] + (at_ms * 1e6).round() as u64
}

/// Exchanges of a minute, one every quarter of a second, 0.2 ms each way and more.
fn usual() -> Vec<Message> {
    let all = (0..240_u32).map(|number| {
        let more = f64::from(number * 7 % 13) * 0.05;
        let less = f64::from(number * 11 % 17) * 0.04;
        (f64::from(number) * 250.0, 0.2 + more, 0.2 + less)
    });
    all.collect()
}

/// Half of the smallest round trip of these, ms.
const HALF: f64 = 0.2;

/// What both hosts wrote of these exchanges, and of these slow commits.
fn hosts(clock: Ahead, exchanges: &[Message], slow: &[Message]) -> [Report; 2] {
    let position = |number: usize| format!("0/{:X}", 0x300_0064 + number * 0x100);
    let stages = |out: f64, back: f64| {
        let remote = ON_STANDBY.iter().sum::<f64>() + back;
        [0.0, out, remote, RELEASE, WAKEUP, 0.0]
    };
    let names: Vec<String> = (0..slow.len()).map(position).collect();
    let waits: Vec<(&str, &str, [f64; 6])> = names
        .iter()
        .zip(slow)
        .map(|(lsn, (_, out, back))| (lsn.as_str(), "flush", stages(*out, *back)))
        .collect();
    let [read, write, flush, reply] = ON_STANDBY;
    // The acknowledgement of a reply is back in time.
    let received: Vec<(&str, [f64; 6])> = names
        .iter()
        .zip(slow)
        .map(|(lsn, (_, _, back))| (lsn.as_str(), [read, write, flush, reply, 2.0 * back, 1.0]))
        .collect();
    let mut ours = primary(&waits);
    let mut theirs = standby(slow.len() as u64, &received);
    ours.host.boot_id = Some("one".into());
    theirs.host.boot_id = Some("other".into());
    ours.clock.start_ns = Some(STARTS_NS[0]);
    let began_ms = (STARTS_NS[1] - STARTS_NS[0]) as f64 / 1e6;
    let theirs_ns = clock.time(began_ms);
    theirs.clock.start_ns = Some(theirs_ns);
    let sums = &mut ours.commits.as_mut().unwrap().slow;
    for (one, (at_ms, ..)) in sums.iter_mut().zip(slow) {
        one.offset_s = at_ms / 1e3;
    }
    let sent = &mut ours.commits.as_mut().unwrap().servers[0].stages.standbys[0].exchanges;
    let receiver = &mut theirs.commits.as_mut().unwrap().walreceivers[0];
    for (one, (at_ms, out, _)) in receiver.slowest.iter_mut().zip(slow) {
        let arrived_ns = clock.time(at_ms + out);
        one.offset_s = (arrived_ns as f64 - theirs_ns as f64) / 1e9;
    }
    let kept = &mut receiver.exchanges;
    for (number, (at_ms, out, back)) in (0..).zip(exchanges) {
        let replied = at_ms + out + ON_STANDBY.iter().sum::<f64>();
        sent.wal_end.push(number * 100);
        sent.wal_ns.push(here(*at_ms));
        sent.reply_seq.push(number as u32 * 39);
        sent.reply_ns.push(here(replied + back));
        // The other has kept a few others, in another order.
        let at = kept.wal_end.len() / 2;
        kept.wal_end.insert(at, number * 100);
        kept.wal_ns.insert(at, clock.time(at_ms + out));
        kept.reply_seq.insert(at, number as u32 * 39);
        kept.reply_ns.insert(at, clock.time(replied));
    }
    kept.wal_end.push(55);
    kept.wal_ns.push(0);
    sent.reply_seq.push(7);
    sent.reply_ns.push(0);
    [ours, theirs]
}

fn joined([ours, theirs]: &[Report; 2]) -> Journey {
    let found = followed(ours, theirs);
    assert!((sum(&found) - found.waited_ms).abs() < 1e-6, "{found:?}");
    let stages = &found.stages_ms;
    let network = stages.network_out + stages.between + stages.network_back;
    assert!((stages.network() - network).abs() < 1e-9, "{found:?}");
    found
}

const SLOW: [Message; 3] = [
    (20_000.0, 150.0, 3.0),
    (31_111.0, 0.3, 200.0),
    (59_000.0, 40.0, 90.0),
];
const OUT: f64 = 190.3;
const BACK: f64 = 293.0;

#[test]
fn one_kernel_tells_it_exactly() {
    let mut both = hosts(Ahead(0.0, 0.0), &[], &SLOW);
    for report in &mut both {
        report.host.boot_id = Some("one".into());
    }
    let found = joined(&both);
    let stages = &found.stages_ms;
    assert!((stages.network_out - OUT).abs() < 1e-4, "{stages:?}");
    assert!((stages.network_back - BACK).abs() < 1e-4, "{stages:?}");
    assert_eq!((stages.between, found.apart), (0.0, 3));
    assert_eq!((found.apart_off_by_ms, found.not_apart), (Some(0.0), None));
}

#[test]
fn clocks_that_differ_and_drift_tell_the_same_within_half_a_round_trip() {
    let clocks = [
        Ahead(0.0, 0.0),
        Ahead(3.0, 50e-6),
        Ahead(3.0, 200e-6),
        Ahead(-3.0, -120e-6),
        // It started weeks before.
        Ahead(2_500_000.0, 200e-6),
    ];
    for clock in clocks {
        let found = joined(&hosts(clock, &usual(), &SLOW));
        let stages = &found.stages_ms;
        assert_eq!((stages.between, found.apart), (0.0, 3), "{found:?}");
        assert!((stages.network_out - OUT).abs() <= 3.0 * HALF, "{stages:?}");
        assert!(
            (stages.network_back - BACK).abs() <= 3.0 * HALF,
            "{stages:?}"
        );
        let off_by_ms = found.apart_off_by_ms.unwrap();
        assert!((0.0..=1.2 * HALF).contains(&off_by_ms), "{off_by_ms}");
    }
}

#[test]
fn a_way_that_is_longer_than_the_other_is_told_from_what_was_quick_before() {
    let mut exchanges = usual();
    for one in exchanges.iter_mut().filter(|one| one.0 > 10_000.0) {
        (one.1, one.2) = (10.0, 1.0);
    }
    let slow = [(30_000.0, 10.0, 1.0)];
    let found = joined(&hosts(Ahead(3.0, 80e-6), &exchanges, &slow));
    let stages = &found.stages_ms;
    assert!((stages.network_out - 10.0).abs() < 1.0, "{found:?}");
    assert!((stages.network_back - 1.0).abs() < 1.0, "{found:?}");
    assert!(found.told().contains("on the way to the standby"));
}

#[test]
fn without_anything_quick_it_is_said_how_far_off_that_may_be() {
    let mut exchanges = usual();
    for one in &mut exchanges {
        (one.1, one.2) = (10.0, 1.0);
    }
    let slow = [(30_000.0, 10.0, 1.0)];
    let found = joined(&hosts(Ahead(3.0, 80e-6), &exchanges, &slow));
    let off_by_ms = found.apart_off_by_ms.unwrap();
    assert!((5.4..5.6).contains(&off_by_ms), "{found:?}");
    let wrong_ms = (found.stages_ms.network_out - 10.0).abs();
    assert!(wrong_ms <= off_by_ms + 1e-3, "{found:?}");
}

#[test]
fn what_is_not_known_stays_together_with_why() {
    let change = |change: &dyn Fn(&mut [Report; 2])| {
        let mut both = hosts(Ahead(3.0, 80e-6), &usual(), &SLOW);
        change(&mut both);
        let found = joined(&both);
        let stages = &found.stages_ms;
        let together = (stages.network_out, stages.network_back) == (0.0, 0.0);
        assert!(together && found.apart == 0, "{found:?}");
        assert!((stages.between - OUT - BACK).abs() < 1e-6, "{stages:?}");
        assert_eq!(found.apart_off_by_ms, None);
        found.not_apart.unwrap()
    };
    let theirs = |both: &mut [Report; 2]| both[1].commits.as_mut().unwrap().walreceivers[0].clone();
    let set = |both: &mut [Report; 2], one| {
        both[1].commits.as_mut().unwrap().walreceivers[0] = one;
    };
    let jumped = change(&|both| {
        let mut one = theirs(both);
        let columns = [&mut one.exchanges.wal_ns, &mut one.exchanges.reply_ns];
        for column in columns {
            let late = Ahead(3.0, 80e-6).time(30_000.0);
            let late = column.iter_mut().filter(|at_ns| **at_ns > late);
            late.for_each(|at_ns| *at_ns += 100_000_000);
        }
        set(both, one);
    });
    assert!(jumped.contains("contradicts"), "{jumped}");
    let none = change(&|both| {
        let mut one = theirs(both);
        one.exchanges = Default::default();
        set(both, one);
    });
    assert!(none.contains("in common"), "{none}");
    let earlier = change(&|both| both[1].clock.start_ns = None);
    assert!(earlier.contains("earlier version"), "{earlier}");
    let write = change(&|both| {
        for one in &mut both[0].commits.as_mut().unwrap().slow {
            one.awaited = Some(AwaitedPosition::Write);
            // Neither the flush nor what follows it was waited for.
            let stages = one.stages_ms.as_mut().unwrap();
            let [_, _, flush, reply] = ON_STANDBY;
            stages.remote -= flush + reply;
            one.wait_ms -= flush + reply;
        }
    });
    assert!(write.contains("is not known"), "{write}");
}

#[test]
fn what_waits_for_the_replay_is_told_apart_by_the_reply_that_says_so() {
    let mut both = hosts(Ahead(3.0, 80e-6), &usual(), &SLOW);
    // A millisecond of replay in place of the reply to the flush.
    let more = 1.0 - ON_STANDBY[3];
    for one in &mut both[0].commits.as_mut().unwrap().slow {
        one.awaited = Some(AwaitedPosition::Apply);
        one.stages_ms.as_mut().unwrap().remote += more;
        one.wait_ms += more;
        one.total_ms += more;
    }
    let found = joined(&both);
    let stages = &found.stages_ms;
    assert!((stages.network_out - OUT).abs() <= 3.0 * HALF, "{stages:?}");
    assert!(
        (stages.network_back - BACK).abs() <= 3.0 * HALF,
        "{stages:?}"
    );
    assert!(near(stages.standby_apply, 3.0), "{stages:?}");
}

#[test]
fn one_commit_is_told_with_both_ways() {
    let both = hosts(Ahead(3.0, 80e-6), &usual(), &SLOW[..1]);
    let [ours, theirs] = &both;
    let commit = &ours.commits.as_ref().unwrap().slow[0];
    let told = of_commit(ours, theirs, commit).unwrap().told;
    assert!(
        told.contains("150.0 ms on the way to it and 3.0 ms on the way back"),
        "{told}"
    );
}

#[test]
fn what_the_standby_sent_again_has_its_place_in_the_commit() {
    let mut both = hosts(Ahead(3.0, 80e-6), &usual(), &SLOW[1..2]);
    let (_, out, _) = SLOW[1];
    // The reply was sent after 0.9 ms, and again after another 100.
    let again = CommitEvent {
        after_ms: 100.9,
        what: "rto".to_owned(),
        segments: 1,
        timeout_ms: Some(100.0),
    };
    let receiver = &mut both[1].commits.as_mut().unwrap().walreceivers[0];
    receiver.slowest[0].events.push(again.clone());
    let beyond = |both: &[Report; 2]| {
        let commit = &both[0].commits.as_ref().unwrap().slow[0];
        of_commit(&both[0], &both[1], commit).unwrap()
    };
    let found = beyond(&both);
    assert!((found.arrived_ms.unwrap() - out).abs() <= HALF, "{found:?}");
    assert_eq!(found.events, [again]);
    both[1].clock.start_ns = None;
    let found = beyond(&both);
    assert_eq!((found.arrived_ms, found.events.len()), (None, 1));
}

#[test]
fn exchanges_tell_by_how_much_the_clocks_of_people_differ() {
    let [ours, mut theirs] = hosts(Ahead(3.0, 10e-6), &usual(), &SLOW);
    // What people read goes another half second wrong.
    let began: jiff::Timestamp = ours.window.start.parse().unwrap();
    let ns = theirs.clock.start_ns.unwrap() - STARTS_NS[0] + 500_000_000;
    theirs.window.start = format!("{:.6}", began + jiff::SignedDuration::from_nanos(ns as i64));
    for (reports, sign) in [
        ([ours.clone(), theirs.clone()], 1.0),
        ([theirs, ours], -1.0),
    ] {
        let found = clock::offset(&reports, &[]).unwrap();
        assert_eq!(found.method, ClockMethod::Exchanges);
        assert_eq!(found.exchanges, 240);
        // The middle of a minute.
        let truth_ms = sign * (3_500.0 + 30_000.0 * 10e-6);
        let off_by_ms = found.uncertainty_ms.unwrap();
        assert!(
            (found.applied_ms - truth_ms).abs() <= off_by_ms,
            "{found:?}"
        );
        // It drifts by 0.3 ms from the middle to either end.
        assert!((0.3..0.9).contains(&off_by_ms), "{found:?}");
    }
}

#[test]
fn figures_that_no_run_has_are_no_harm() {
    let odd_ns = [0, 1, u64::MAX / 2, u64::MAX];
    for (number, odd) in odd_ns.into_iter().enumerate() {
        for same in [false, true] {
            let mut both = hosts(Ahead(3.0, 80e-6), &usual()[..3], &SLOW);
            let [ours, theirs] = &mut both;
            theirs.clock.start_ns = Some(odd);
            if same {
                theirs.host.boot_id = ours.host.boot_id.clone();
            }
            for one in &mut ours.commits.as_mut().unwrap().slow {
                one.offset_s = crate::report::possible::LONGEST_S * number as f64 / 3.0;
                one.total_ms = odd as f64;
            }
            let sent = &mut ours.commits.as_mut().unwrap().servers[0].stages.standbys[0];
            sent.exchanges.wal_ns.insert(number % 2, odd);
            let receiver = &mut theirs.commits.as_mut().unwrap().walreceivers[0];
            receiver.exchanges.reply_ns.truncate(number);
            receiver.exchanges.wal_ns[0] = u64::MAX - odd;
            let found = joined(&both);
            let stages = &found.stages_ms;
            assert!((stages.network() - OUT - BACK).abs() < 1e-6, "{found:?}");
            assert!(stages.network_out >= 0.0 && stages.network_back >= 0.0);
            let clock = clock::offset(&both, &[]).unwrap();
            assert!(clock.applied_ms.is_finite(), "{clock:?}");
        }
    }
}
