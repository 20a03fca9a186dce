//! What slow commits waited for, through both hosts, on real servers.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use tracer_core::merge::model::Merged;
use tracer_core::merge::{journey::JourneyStages, merge};
use tracer_core::report::Report;
use tracer_core::report::finding::{Cause, Confidence};
use xtask::testbed::netns::Host;
use xtask::testbed::slow_disk::SlowDisk;

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
    let (db1, db2) = (follow(lab.primary()), follow(lab.standby()));
    during();
    // What was sent last is acknowledged within a delayed acknowledgement.
    let mut sql = lab.pair.primary().connect().unwrap();
    sql.query(INSERT).unwrap();
    let reports = [db1.finish(), db2.finish()];
    let reports = reports.map(|seen| Report::read(seen.json.as_bytes()).unwrap());
    let merged = merge(reports, ["db1", "db2"]).unwrap();
    let json = serde_json::to_value(&merged).unwrap();
    for pointer in merged.findings.iter().flat_map(|one| &one.finding.evidence) {
        assert!(json.pointer(pointer).is_some(), "{pointer}");
    }
    merged
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
        for _ in 0..50 {
            sql.query(INSERT).unwrap();
        }
    });
    let commits = merged.reports[0].commits.as_ref().unwrap();
    let server = &commits.servers[0];
    assert!(server.usual_ms < Some(10.0), "{server:?}");
    assert!(server.slow_from_ms < Some(commits.slow_ms), "{server:?}");
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
