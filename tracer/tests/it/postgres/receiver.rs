//! What becomes of WAL that arrives at a standby, on real servers, seen from its host alone.

use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracer_core::report::walreceiver::{ReceiverStage, SlowMessage, WalreceiverReport};
use xtask::testbed::{netns::Host, postgres::Server, slow_disk::SlowDisk, wait};

use crate::postgres::commits::{ALL, INSERT, pid, watch};
use crate::postgres::watched::{LIMIT, Lab, Seen, Watched};

/// Longer than all that is not held up on purpose.
const HELD: Duration = Duration::from_millis(1_200);

/// What the servers of this host receive, and no other test's.
fn follow(host: &Host) -> Watched {
    let netns = ["--netns", host.netns.name()];
    watch(host, &[ALL, &netns].concat())
}

/// What the standby received, of which all is known.
fn received<'a>(seen: &'a Seen, standby: &Server) -> &'a WalreceiverReport {
    let [found] = &seen.commits().walreceivers[..] else {
        panic!("{:?}", seen.commits());
    };
    assert!(found.measured, "{found:?}");
    assert_eq!(found.reason, None);
    assert_eq!(found.server_pid, pid(standby));
    let remote = found.remote.as_ref().unwrap();
    assert_eq!(remote.address.to_string(), "10.0.10.2");
    found
}

/// From the first that was seen of it to the last, up to the acknowledgement of its reply, every
/// microsecond is in a stage.
fn assert_whole(message: &SlowMessage) {
    let between = ReceiverStage::ALL
        .iter()
        .filter(|one| **one != ReceiverStage::Apply);
    let sum: f64 = between
        .map(|stage| message.stages_ms.of(*stage).unwrap_or(0.0))
        .sum();
    assert!((sum - message.total_ms).abs() < 0.01, "{message:?}");
}

fn raw(pid: Pid) -> u32 {
    pid.as_raw().cast_unsigned()
}

/// So many commits that are flushed by the standby, one after the other.
fn commit(lab: &Lab, commits: usize) {
    let mut sql = lab.pair.primary().connect().unwrap();
    for _ in 0..commits {
        sql.query(INSERT).unwrap();
    }
}

/// Until the standby has replayed all that the primary has written, and has said so.
fn await_replayed(lab: &Lab) {
    wait::until(LIMIT, "the standby to have replayed everything", || {
        let replayed =
            "select bool_and(replay_lsn >= pg_current_wal_lsn()) from pg_stat_replication";
        Ok((lab.psql(replayed) == "t").then_some(()))
    })
    .unwrap();
}

/// Whatever the server's version.
pub(crate) fn wal_is_followed_from_its_segment_to_its_reply(lab: &Lab) {
    let tool = follow(lab.standby());
    commit(lab, 200);
    await_replayed(lab);
    let receiver = raw(lab.receiver());
    let seen = tool.finish();
    let found = received(&seen, lab.pair.standby());
    assert_eq!(found.pid, Some(receiver));
    assert!(found.messages >= 200, "{found:?}");
    for stage in ReceiverStage::ALL {
        let took = found.stages.of(stage).part.p50_ms;
        assert!(took.is_some(), "{}: {found:?}", stage.name());
    }
    assert_eq!(found.slowest.len(), 100);
    found.slowest.iter().for_each(assert_whole);
    // Of the first one the arrival was not seen; the last may be acknowledged after the end.
    let is_seen = |one: &&SlowMessage| {
        let stages = &one.stages_ms;
        stages.read.is_some() && stages.acknowledged.is_some()
    };
    assert!(
        found.slowest.iter().filter(is_seen).count() >= 98,
        "{found:?}"
    );
}

#[test]
fn a_slow_disk_is_in_the_flush() {
    let lab = Lab::start("pgreceiverdisk");
    let _slow = SlowDisk::start(&[lab.receiver()], Duration::from_millis(40)).unwrap();
    let tool = follow(lab.standby());
    commit(&lab, 10);
    let seen = tool.finish();
    let stages = &received(&seen, lab.pair.standby()).stages;
    assert!(stages.flush.sum_ms >= 10.0 * 40.0, "{stages:?}");
    let others = [&stages.read, &stages.write, &stages.reply];
    assert!(
        others.iter().all(|one| one.part.p50_ms < Some(20.0)),
        "{stages:?}"
    );
}

#[test]
fn a_receiver_that_is_stopped_reads_late() {
    let lab = Lab::start("pgreceiverstop");
    let receiver = lab.receiver();
    let tool = follow(lab.standby());
    commit(&lab, 1);
    kill(receiver, Signal::SIGSTOP).unwrap();
    thread::scope(|scope| {
        let commit = scope.spawn(|| commit(&lab, 1));
        // How long it is held up is what is measured.
        thread::sleep(HELD);
        kill(receiver, Signal::SIGCONT).unwrap();
        commit.join().unwrap();
    });
    let seen = tool.finish();
    let slowest = &received(&seen, lab.pair.standby()).slowest[0];
    assert_whole(slowest);
    assert!(
        slowest.stages_ms.read > Some(0.8 * slowest.total_ms),
        "{slowest:?}"
    );
}

#[test]
fn what_is_not_replayed_is_flushed_all_the_same() {
    let lab = Lab::start("pgreceiverpause");
    let standby = lab.pair.standby();
    let tool = follow(lab.standby());
    commit(&lab, 1);
    standby.value("select pg_wal_replay_pause()").unwrap();
    commit(&lab, 5);
    // How long it is paused is what is measured.
    thread::sleep(HELD);
    standby.value("select pg_wal_replay_resume()").unwrap();
    await_replayed(&lab);
    let seen = tool.finish();
    let stages = &received(&seen, standby).stages;
    let held = Some(HELD.as_secs_f64() * 1e3);
    assert!(stages.apply.part.max_ms >= held, "{stages:?}");
    assert!(stages.flush.part.max_ms < held, "{stages:?}");
}

#[test]
fn a_walreceiver_that_comes_back_is_followed_from_its_first_message_on() {
    let lab = Lab::start("pgreceiverback");
    let first = lab.receiver();
    let tool = follow(lab.standby());
    commit(&lab, 20);
    lab.psql("select pg_terminate_backend(pid) from pg_stat_replication");
    commit(&lab, 20);
    let receiver = lab.receiver();
    assert_ne!(receiver, first);
    let seen = tool.finish();
    let found = received(&seen, lab.pair.standby());
    assert_eq!(found.pid, Some(raw(receiver)));
    assert!(found.messages >= 40, "{found:?}");
}

#[test]
fn a_primary_receives_nothing() {
    let lab = Lab::start("pgreceivernone");
    let tool = follow(lab.primary());
    commit(&lab, 5);
    let seen = tool.finish();
    assert!(
        seen.commits().walreceivers.is_empty(),
        "{:?}",
        seen.commits()
    );
}

#[test]
fn a_server_that_becomes_a_standby_later_is_named_with_the_reason() {
    let mut lab = Lab::start("pgreceiverlate");
    let tool = follow(lab.primary());
    commit(&lab, 1);
    // As whoever turns a primary into a standby does.
    let data = lab.pair.primary().data();
    std::fs::write(data.join("standby.signal"), "").unwrap();
    lab.restart_primary();
    let late = pid(lab.pair.primary());
    let seen = tool.finish();
    let [found] = &seen.commits().walreceivers[..] else {
        panic!("{:?}", seen.commits());
    };
    assert_eq!((found.server_pid, found.measured), (late, false));
    let reason = found.reason.as_deref().unwrap_or_default();
    assert!(reason.contains("was no standby"), "{found:?}");
}

#[test]
fn a_standby_that_is_started_again_is_followed() {
    let mut lab = Lab::start("pgreceiveragain");
    let tool = follow(lab.standby());
    commit(&lab, 1);
    lab.restart_standby();
    // It waits until the standby is back.
    commit(&lab, 20);
    let seen = tool.finish();
    let again = pid(lab.pair.standby());
    let mut all = seen.commits().walreceivers.iter();
    let found = all.find(|one| one.server_pid == again);
    let found = found.unwrap_or_else(|| panic!("{:?}", seen.commits()));
    assert!(found.messages >= 20 && found.reason.is_none(), "{found:?}");
}
