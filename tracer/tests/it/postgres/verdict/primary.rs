//! The primary's own: its disk, its processor, its locks.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use nix::unistd::Pid;
use tracer_core::report::finding::Cause;
use xtask::testbed::{
    command::Running,
    slow_disk::{SlowDisk, processes},
    wait,
};

use super::{PROBE_LINE, await_trouble, begin, verdict};
use crate::postgres::watched::{LIMIT, Lab};

/// As many that want the same processor.
const HOGS: usize = 8;
/// The one they all want.
const PROCESSOR: &str = "0";

#[test]
fn a_lock_is_a_lock() {
    let lab = Lab::start("pgvlock");
    let mut tool = begin(&lab, lab.primary());
    let psql = |sql: &str| {
        let mut psql = lab.primary().netns.command("psql");
        psql.args(["-h", "10.0.10.2", "-U", "postgres", "-Xc", sql])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Running::new(psql.spawn().unwrap(), "psql")
    };
    let waits = |count: &str, what: &str| {
        let sql = format!("select count(*) from pg_stat_activity where {what}");
        wait::until(LIMIT, what, || Ok((lab.psql(&sql) == count).then_some(()))).unwrap();
    };
    let holder = psql("begin; lock table lab; select pg_sleep(600)");
    waits("1", "wait_event = 'PgSleep'");
    let waiters = [(); 3].map(|()| psql("insert into lab (note) values ('late')"));
    waits("3", "wait_event_type = 'Lock'");
    await_trouble(&mut tool, &["probe: "]);
    let seen = tool.finish();
    drop((holder, waiters));
    let found = &seen.report.findings;
    assert_eq!(verdict("a lock held", &seen), Cause::LockWaits, "{found:?}");
}

#[test]
fn a_slow_disk_of_the_primary_is_its_own() {
    let lab = Lab::start("pgvdisk");
    let mut tool = begin(&lab, lab.primary());
    let all = processes(lab.pair.primary().pid()).unwrap();
    let slow = SlowDisk::start(&all, Duration::from_millis(300)).unwrap();
    await_trouble(&mut tool, &[PROBE_LINE]);
    let seen = tool.finish();
    drop(slow);
    let found = &seen.report.findings;
    let what = "slow disk of the primary";
    assert_eq!(verdict(what, &seen), Cause::WalFlush, "{found:?}");
}

/// Something that always wants to run, for no longer than a test may take. In a session
/// of its own: where sessions share a processor among each other, it counts as one.
fn hog() -> Running {
    let mut hog = Command::new("setsid");
    // One process: each program becomes the next.
    hog.args(["taskset", "--cpu-list", PROCESSOR])
        .args(["sh", "-c", "ulimit -t 90; while :; do :; done"])
        .stdin(Stdio::null());
    Running::new(hog.spawn().unwrap(), "hog")
}

/// All that the process and those it starts have of the host's time is left over from
/// others on that processor.
fn starve(pid: Pid) {
    let pid = &pid.to_string();
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        let output = command.args(arguments).arg(pid).output().unwrap();
        // A backend may have ended meanwhile.
        let gone = !Path::new("/proc").join(pid).exists();
        assert!(output.status.success() || gone, "{output:?}");
    };
    run("taskset", &["--cpu-list", "--pid", PROCESSOR]);
    run("renice", &["--priority", "19", "--pid"]);
    // Where sessions share a processor, as each backend is one, that is between them.
    let session = Path::new("/proc").join(pid).join("autogroup");
    if session.exists() {
        let _ = fs::write(session, "19");
    }
}

#[test]
fn a_primary_without_a_processor_is_not_taken_for_anything_else() {
    let lab = Lab::start("pgvcpu");
    let mut tool = begin(&lab, lab.primary());
    processes(lab.pair.primary().pid())
        .unwrap()
        .into_iter()
        .for_each(starve);
    let hogs = [(); HOGS].map(|()| hog());
    await_trouble(&mut tool, &[PROBE_LINE]);
    let seen = tool.finish();
    drop(hogs);
    let found = &seen.report.findings;
    let what = "the primary's processor taken";
    assert_eq!(verdict(what, &seen), Cause::CpuStarvation, "{found:?}");
}
