//! What slow commits waited for, through both hosts, on real servers.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use tracer_core::merge::clock::ClockMethod;
use tracer_core::merge::model::Merged;
use tracer_core::merge::{journey::JourneyStages, merge};
use tracer_core::render::account::{Which as Chosen, explained_of_both};
use tracer_core::render::plain;
use tracer_core::report::Report;
use tracer_core::report::finding::{Cause, Confidence};
use xtask::testbed::netns::Host;
use xtask::testbed::slow_disk::SlowDisk;
use xtask::testbed::wire::{Harm, Heading, Impairment, Which};

use crate::postgres::commits::{INSERT, watch};
use crate::postgres::watched::{Lab, Watched};

/// Longer than all that is not held up on purpose.
const HELD: Duration = Duration::from_millis(1_200);
const DISK: Duration = Duration::from_millis(300);
/// Less than a commit takes that is slow as was asked.
const SLOWER: Duration = Duration::from_millis(50);
/// Enough to learn what is usual.
const LEARNT: Duration = Duration::from_secs(5);

/// Commits of 100 ms and more, as a user would.
fn follow(host: &Host) -> Watched {
    watch(host, &["--commits", "--netns", host.netns.name()])
}

/// What both hosts say of this together. Each alone says what it can.
fn seen(lab: &Lab, during: impl FnOnce()) -> Merged {
    let reports = reports(lab, during);
    let merged = merge(reports, ["db1", "db2"]).unwrap();
    let json = serde_json::to_value(&merged).unwrap();
    for pointer in merged.findings.iter().flat_map(|one| &one.finding.evidence) {
        assert!(json.pointer(pointer).is_some(), "{pointer}");
    }
    merged
}

/// What each says.
fn reports(lab: &Lab, during: impl FnOnce()) -> [Report; 2] {
    let (db1, db2) = (follow(lab.primary()), follow(lab.standby()));
    during();
    // What was sent last is acknowledged within a delayed acknowledgement.
    let mut sql = lab.pair.primary().connect().unwrap();
    sql.query(INSERT).unwrap();
    let reports = [db1.finish(), db2.finish()];
    reports.map(|seen| Report::read(seen.json.as_bytes()).unwrap())
}

/// The same report, had it been written on another machine, whose clock is ahead and fast.
fn on_another_machine(report: &Report) -> Report {
    const AHEAD_NS: u64 = 3_000_000_000;
    const FAST: f64 = 100e-6;
    let mut other = report.clone();
    other.host.boot_id = Some("another".to_owned());
    let start_ns = report.clock.start_ns.unwrap();
    let moved = |at_ns: u64| {
        let after_ns = at_ns as f64 - start_ns as f64;
        at_ns.saturating_add_signed((after_ns * FAST).round() as i64) + AHEAD_NS
    };
    other.clock.start_ns = Some(moved(start_ns));
    for receiver in &mut other.commits.as_mut().unwrap().walreceivers {
        let kept = &mut receiver.exchanges;
        for at_ns in kept.wal_ns.iter_mut().chain(&mut kept.reply_ns) {
            *at_ns = moved(*at_ns);
        }
        for message in &mut receiver.slowest {
            message.offset_s *= 1.0 + FAST;
        }
    }
    other
}

/// The one journey, of so many slow commits at least, and the share of one of its stages.
fn assert_owned(merged: &Merged, commits: u64, of: fn(&JourneyStages) -> f64, cause: Cause) {
    let [journey] = &merged.journeys[..] else {
        panic!("{:?} {:?}", merged.findings, merged.journeys);
    };
    assert!(journey.joined + journey.quick >= commits, "{journey:?}");
    assert!(
        of(&journey.stages_ms) > 0.8 * journey.waited_ms,
        "{journey:?}"
    );
    let first = &merged.findings[0];
    assert_eq!(
        (first.finding.cause, first.finding.confidence),
        (cause, Confidence::High),
        "{first:?}"
    );
    assert!(
        first.finding.text.contains("ollowed through both hosts"),
        "{first:?}"
    );
}

#[test]
fn the_standby_s_disk_owns_what_waits_for_it() {
    let lab = Lab::start("pgjourneydisk");
    let _slow = SlowDisk::start(&[lab.receiver()], DISK).unwrap();
    let merged = seen(&lab, || {
        // What one sends lies there while the other's is flushed: that is the disk's, too.
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut sql = lab.pair.primary().connect().unwrap();
                    for _ in 0..5 {
                        sql.query(INSERT).unwrap();
                    }
                });
            }
        });
    });
    assert_owned(&merged, 20, |one| one.standby_flush, Cause::StandbyFlush);
}

#[test]
fn a_disk_that_is_slower_than_usual_is_found_though_nothing_took_as_long_as_was_asked() {
    let lab = Lab::start("pgjourneyusual");
    let merged = seen(&lab, || {
        let mut sql = lab.pair.primary().connect().unwrap();
        // What is usual is learnt once a second.
        let begun = Instant::now();
        while begun.elapsed() < LEARNT {
            sql.query(INSERT).unwrap();
        }
        let _slow = SlowDisk::start(&[lab.receiver()], SLOWER).unwrap();
        for _ in 0..100 {
            sql.query(INSERT).unwrap();
        }
    });
    let commits = merged.reports[0].commits.as_ref().unwrap();
    let server = &commits.servers[0];
    assert!(server.usual_ms < Some(10.0), "{server:?}");
    assert!(server.slow_from_ms < Some(commits.slow_ms), "{server:?}");
    assert!(server.slow_for_s > 1.5, "{server:?}");
    assert_owned(&merged, 40, |one| one.standby_flush, Cause::StandbyFlush);
    let of_primary = &merged.reports[0].findings[0].text;
    assert!(of_primary.contains("is usual"), "{of_primary}");
}

#[test]
fn one_flush_that_stalls_is_found() {
    let lab = Lab::start("pgjourneystall");
    let merged = seen(&lab, || {
        let mut sql = lab.pair.primary().connect().unwrap();
        for _ in 0..200 {
            sql.query(INSERT).unwrap();
        }
        let slow = SlowDisk::start(&[lab.receiver()], HELD).unwrap();
        sql.query(INSERT).unwrap();
        drop(slow);
        for _ in 0..200 {
            sql.query(INSERT).unwrap();
        }
    });
    assert_owned(&merged, 1, |one| one.standby_flush, Cause::StandbyFlush);
}

#[test]
fn a_walreceiver_that_is_stopped_owns_what_waits_for_it() {
    let lab = Lab::start("pgjourneystop");
    let receiver = lab.receiver();
    let merged = seen(&lab, || {
        let mut sql = lab.pair.primary().connect().unwrap();
        sql.query(INSERT).unwrap();
        kill(receiver, Signal::SIGSTOP).unwrap();
        thread::scope(|scope| {
            let commit = scope.spawn(|| sql.query(INSERT).unwrap());
            // How long it is held up is what is measured.
            thread::sleep(HELD);
            kill(receiver, Signal::SIGCONT).unwrap();
            commit.join().unwrap();
        });
    });
    assert_owned(
        &merged,
        1,
        |one| one.standby_read,
        Cause::StandbyNotReplying,
    );
}

#[test]
fn replay_that_is_paused_owns_what_waits_for_it() {
    let lab = Lab::start("pgjourneyreplay");
    let standby = lab.pair.standby();
    let merged = seen(&lab, || {
        let mut sql = lab.pair.primary().connect().unwrap();
        sql.query("set synchronous_commit = remote_apply").unwrap();
        sql.query(INSERT).unwrap();
        standby.value("select pg_wal_replay_pause()").unwrap();
        thread::scope(|scope| {
            let commit = scope.spawn(|| sql.query(INSERT).unwrap());
            // How long it is paused is what is measured.
            thread::sleep(HELD);
            standby.value("select pg_wal_replay_resume()").unwrap();
            commit.join().unwrap();
        });
    });
    assert_owned(&merged, 1, |one| one.standby_apply, Cause::StandbyApply);
}

/// How many commits wait on each way.
const COMMITS: u32 = 5;

#[test]
fn the_way_to_the_standby_and_the_way_back_are_told_apart() {
    let (lab, wire) = Lab::on_wire("pgjourneyways");
    let commit = || {
        let mut sql = lab.pair.primary().connect().unwrap();
        for _ in 0..COMMITS {
            sql.query(INSERT).unwrap();
        }
    };
    let delay = |by: Duration| Impairment {
        harm: Harm::Delay {
            by,
            jitter: Duration::ZERO,
        },
        which: Which::All,
    };
    let (out, back) = (HELD / 4, HELD / 6);
    let reports = reports(&lab, || {
        commit();
        wire.impair(Heading::Host, &[delay(out)]);
        commit();
        wire.impair(Heading::Host, &[]);
        wire.impair(Heading::Switch, &[delay(back)]);
        commit();
        wire.impair(Heading::Switch, &[]);
        commit();
    });
    let [out_ms, back_ms] = [out, back].map(|by| f64::from(COMMITS) * by.as_secs_f64() * 1e3);
    let ways = |reports: [Report; 2]| {
        let merged = merge(reports, ["db1", "db2"]).unwrap();
        let [journey] = &merged.journeys[..] else {
            panic!("{:?} {:?}", merged.findings, merged.journeys);
        };
        // Others may be slow, too: the log is flushed, or a processor is not free.
        assert!(journey.commits >= 2 * u64::from(COMMITS), "{journey:?}");
        assert_eq!(journey.apart, journey.joined + journey.quick, "{journey:?}");
        let stages = &journey.stages_ms;
        assert_eq!(stages.between, 0.0, "{journey:?}");
        // What is held up for longer than a retransmission timeout is sent again, and what follows it
        // may wait for that.
        for (took_ms, held_ms, more) in [
            (stages.network_out, out_ms, 2.0),
            (stages.network_back, back_ms, 1.3),
        ] {
            let is_it = 0.98 * held_ms < took_ms && took_ms < more * held_ms;
            assert!(is_it, "{held_ms} {journey:?}");
        }
        (merged.clock.clone(), journey.clone())
    };
    let [db1, db2] = &reports;
    let (clock, exact) = ways(reports.clone());
    assert_eq!(clock.method, ClockMethod::SameBoot);
    assert_eq!(exact.apart_off_by_ms, Some(0.0));
    // Nothing but what they exchanged shows how these clocks differ.
    let (clock, bounded) = ways([db1.clone(), on_another_machine(db2)]);
    assert_eq!(clock.method, ClockMethod::Exchanges);
    let off_by_ms = bounded.apart_off_by_ms.unwrap();
    assert!(off_by_ms > 0.0 && off_by_ms < 5.0, "{bounded:?}");
    let wrong_ms = bounded.stages_ms.network_out - exact.stages_ms.network_out;
    let most_ms = off_by_ms * bounded.apart as f64;
    assert!(wrong_ms.abs() <= most_ms, "{bounded:?} {exact:?}");
}

#[test]
fn a_reply_that_is_sent_again_has_its_place_in_the_commit() {
    let (lab, wire) = Lab::on_wire("pgjourneyagain");
    let cut = Impairment {
        harm: Harm::Cut,
        which: Which::All,
    };
    let reports = reports(&lab, || {
        let mut sql = lab.pair.primary().connect().unwrap();
        for _ in 0..COMMITS {
            sql.query(INSERT).unwrap();
        }
        thread::scope(|scope| {
            wire.impair(Heading::Switch, &[cut]);
            let commit = scope.spawn(|| sql.query(INSERT).unwrap());
            // How long it is cut is what is measured.
            thread::sleep(HELD);
            wire.impair(Heading::Switch, &[]);
            commit.join().unwrap();
        });
    });
    let held_ms = HELD.as_secs_f64() * 1e3;
    let [db1, db2] = &reports;
    for reports in [reports.clone(), [db1.clone(), on_another_machine(db2)]] {
        let merged = merge(reports, ["db1", "db2"]).unwrap();
        let [journey] = &merged.journeys[..] else {
            panic!("{:?} {:?}", merged.findings, merged.journeys);
        };
        assert!(
            journey.stages_ms.network_back > 0.7 * held_ms,
            "{journey:?}"
        );
        let told = explained_of_both(&merged, &Chosen::Slowest(1)).unwrap();
        let told = plain::render(&told, 120);
        // When it was, on the commit's own time, and by which timer.
        assert!(told.contains("t after "), "{told}");
        assert!(
            told.contains("the standby retransmitted a segment after a timeout of "),
            "{told}"
        );
    }
}
