//! The standby: stopped, gone, slow, or not waited for.

use std::time::Duration;

use nix::unistd::Pid;
use tracer_core::report::finding::{Cause, Confidence};
use xtask::testbed::postgres::Frozen;
use xtask::testbed::slow_disk::SlowDisk;

use super::{PROBE_LINE, await_lines, await_trouble, begin, verdict};
use crate::postgres::watched::Lab;

/// The process of the standby that a query names.
fn process(lab: &Lab, sql: &str) -> Pid {
    let pid = lab.pair.standby().value(sql).unwrap();
    Pid::from_raw(pid.unwrap().parse().unwrap())
}

fn receiver(lab: &Lab) -> Pid {
    process(lab, "select pid from pg_stat_wal_receiver")
}

#[test]
fn a_stalled_receiver_is_not_taken_for_the_network() {
    let lab = Lab::start("pgvstall");
    let mut tool = begin(&lab, lab.primary());
    let frozen = Frozen::new(receiver(&lab)).unwrap();
    await_trouble(&mut tool, &["commits in flight, since"]);
    drop(frozen);
    tool.await_line(&[" 0 waiting for a standby", "primary"]);
    let seen = tool.finish();
    let found = &seen.report.findings;
    assert_eq!(
        verdict("walreceiver stopped", &seen),
        Cause::StandbyNotReplying,
        "{found:?}"
    );
    // A busy machine may send a segment again for want of a timely answer.
    assert_ne!(found[0].confidence, Confidence::Low, "{found:?}");
}

#[test]
fn a_standby_that_is_gone_is_missed() {
    let mut lab = Lab::start("pgvgone");
    let mut tool = begin(&lab, lab.primary());
    lab.pair.standby_mut().stop();
    await_trouble(&mut tool, &["commits in flight, since"]);
    let seen = tool.finish();
    let found = &seen.report.findings;
    assert_eq!(
        verdict("standby shut down", &seen),
        Cause::StandbyGone,
        "{found:?}"
    );
}

#[test]
fn a_wait_that_was_turned_off_is_told() {
    let lab = Lab::start("pgvoff");
    let mut tool = begin(&lab, lab.primary());
    lab.psql("alter system set synchronous_standby_names = ''");
    lab.psql("select pg_reload_conf()");
    await_lines(&mut tool, &["none is synchronous"], Duration::from_secs(1));
    let seen = tool.finish();
    let found = &seen.report.findings;
    assert_eq!(
        verdict("synchronous_standby_names emptied", &seen),
        Cause::SyncWaitOff,
        "{found:?}"
    );
    assert_eq!(found[0].confidence, Confidence::High, "{found:?}");
}

#[test]
fn a_standby_whose_disk_is_slow_has_the_log_and_does_not_flush_it() {
    let lab = Lab::start("pgvflush");
    let mut tool = begin(&lab, lab.primary());
    let slow = SlowDisk::start(&[receiver(&lab)], Duration::from_millis(700)).unwrap();
    await_trouble(&mut tool, &[PROBE_LINE]);
    let seen = tool.finish();
    drop(slow);
    let found = &seen.report.findings;
    let what = "slow disk of the standby";
    assert_eq!(verdict(what, &seen), Cause::StandbyFlush, "{found:?}");
}

#[test]
fn a_standby_that_applies_nothing_has_the_log_on_its_disk() {
    let lab = Lab::start("pgvapply");
    lab.psql("alter system set synchronous_commit = 'remote_apply'");
    lab.psql("select pg_reload_conf()");
    let mut tool = begin(&lab, lab.primary());
    let sql = "select pid from pg_stat_activity where backend_type = 'startup'";
    let frozen = Frozen::new(process(&lab, sql)).unwrap();
    await_trouble(&mut tool, &["commits in flight, since"]);
    let seen = tool.finish();
    drop(frozen);
    let found = &seen.report.findings;
    let what = "the standby's apply stopped";
    assert_eq!(verdict(what, &seen), Cause::StandbyApply, "{found:?}");
}
