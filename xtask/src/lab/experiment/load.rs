//! The primary's host is busy, or its disk stands still: the network has no part in it.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::json;
use tracer_core::report::commits::SlowReport;
use tracer_core::report::finding::Cause;

use super::{Setup, Variant};
use crate::lab::context::{RunContext, pause};
use crate::lab::format;
use crate::lab::outcome::{Outcome, cause_names, causes};
use crate::lab::verify::Checks;
use crate::provision::packages;
use crate::testbed::command::Running;
use crate::testbed::netns::Netns;

/// How many programs want the processor of db1 beside its database.
const HOGS: usize = 40;

/// For how long the disk stands still, and for how long it goes on then.
const STALLED: Duration = Duration::from_millis(1500);
const GOING: Duration = Duration::from_millis(1000);

/// Commits and reads of tracer's own, by the socket file: it can then tell a slow
/// database from a slow network.
const SETUP: Setup = Setup {
    watch: &["--commit-probe", "10", "--slow-commit", "20ms"],
    ..Setup::USUAL
};

pub(super) const VARIANTS: [Variant; 2] = [
    Variant {
        experiment: "load",
        name: "cpu",
        question: "The only processor of the primary's host is wanted by many: do commits get \
                   slow, and is the network blamed?",
        seconds: (20, 40, 15),
        setup: SETUP,
        act: act_cpu,
        verify: verify_cpu,
    },
    Variant {
        experiment: "load",
        name: "disk",
        question: "The primary's disk stands still again and again: do commits get slow, and is \
                   the network blamed?",
        seconds: (20, 40, 15),
        setup: Setup {
            own_disk: true,
            ..SETUP
        },
        act: act_disk,
        verify: verify_disk,
    },
];

fn act_cpu(run: &mut RunContext) -> Result<()> {
    // From the baseline on, so that only the hogs are new in the fault.
    pin(&run.cluster.host("db1")?.netns)?;
    run.baseline("normal operation, db1 with one processor")?;
    let hogs = hogs(&run.cluster.host("db1")?.netns)?;
    run.fault_begins(format!("{HOGS} programs want db1's processor"));
    run.hold()?;
    // All before any is waited for: one after the other, they took seconds.
    for hog in &hogs {
        let _ = hog.interrupt();
    }
    drop(hogs);
    run.fault_ends("they are gone");
    run.recover()
}

/// Gives all that runs on a host the first processor, and what it will start, too.
fn pin(host: &Netns) -> Result<()> {
    let mut first = CpuSet::new();
    first.set(0)?;
    for process in host.processes()? {
        let threads = fs::read_dir(format!("/proc/{process}/task"));
        // One that has ended has no threads.
        for thread in threads.into_iter().flatten().filter_map(Result::ok) {
            let id = thread.file_name().to_string_lossy().parse();
            if let Ok(id) = id {
                let _ = sched_setaffinity(Pid::from_raw(id), &first);
            }
        }
    }
    Ok(())
}

/// Each in a session to itself: Linux shares the processor out among sessions first.
fn hogs(host: &Netns) -> Result<Vec<Running>> {
    let program = packages::program("stress-ng")?;
    let mut hogs = Vec::new();
    for _ in 0..HOGS {
        let mut hog = host.command("setsid");
        hog.arg(&program)
            .args(["--cpu", "1", "--taskset", "0"])
            .args(["--timeout", "600", "--quiet"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        hogs.push(Running::start(&mut hog, "stress-ng")?);
    }
    Ok(hogs)
}

fn act_disk(run: &mut RunContext) -> Result<()> {
    run.baseline("normal operation")?;
    run.fault_begins(format!(
        "db1's disk stands still for {:.1} s, goes on for {:.1} s, and so on",
        STALLED.as_secs_f64(),
        GOING.as_secs_f64()
    ));
    let begun = Instant::now();
    let mut times = 0;
    while begun.elapsed() < run.script.lengths.fault {
        let stalled = run.cluster.disk()?.stall()?;
        pause(STALLED)?;
        drop(stalled);
        times += 1;
        pause(GOING)?;
    }
    run.fault_ends("the disk works again");
    run.measured("stalls", times)?;
    run.recover()
}

fn verify_cpu(outcome: &mut Outcome, checks: &mut Checks) -> Result<()> {
    verify(outcome, checks);
    outcome.names("db1", Cause::CpuStarvation, checks);
    tell(outcome);
    Ok(())
}

fn verify_disk(outcome: &mut Outcome, checks: &mut Checks) -> Result<()> {
    verify(outcome, checks);
    let [flush, ..] = parts(outcome);
    checks.less(
        "most of the slow commits' time was the flush to db1's own disk",
        Some(50.0),
        Some(flush),
        format::percent,
    );
    outcome.names("db1", Cause::WalFlush, checks);
    outcome.both_name(Cause::WalFlush, checks);
    tell(outcome);
    Ok(())
}

/// Where the time of slow commits went.
fn tell(outcome: &mut Outcome) {
    let [flush, wait, rest] = parts(outcome);
    let slow = slow(outcome).len();
    let words = match slow {
        0 => "no commit on db1 was slow".to_owned(),
        _ => format!(
            "{slow} commits on db1 were slow: {flush:.0} % of their time was the flush to the disk, {wait:.0} % the wait for the standby, {rest:.0} % the rest"
        ),
    };
    let value = json!({
        "commits": slow,
        "flush_percent": flush,
        "wait_percent": wait,
        "rest_percent": rest,
    });
    outcome.tell("slow_commits", value, vec![words]);
}

fn verify(outcome: &mut Outcome, checks: &mut Checks) {
    let of = |phase| outcome.figures(outcome.writes(), phase);
    let [before, during, after] =
        ["baseline", "fault", "recovery"].map(|phase| of(phase).sent.mean);
    checks.less(
        "writes took longer on average in the fault",
        before,
        during,
        format::time,
    );
    let middle = before
        .zip(during)
        .map(|(before, during)| (before + during) / 2);
    checks.less(
        "and after it what they took was nearer to that before it than to that in it",
        after,
        middle,
        format::time,
    );
    for name in ["db1", "db2"] {
        let report = outcome.report(name);
        checks.that(
            &format!("tracer on {name} does not blame the network"),
            !causes(report).into_iter().any(Cause::is_network),
            cause_names(report),
        );
        // What was retransmitted for want of a timely answer was not lost.
        let flows = report.flows.iter();
        let timeouts: u64 = flows
            .filter(|flow| flow.role.kind.is_replication())
            .map(|flow| flow.by_kind.rto)
            .sum();
        checks.that(
            &format!("on {name}, no timeout of the replication"),
            timeouts == 0,
            format!("{timeouts} segments"),
        );
    }
}

/// Of the slow commits on db1, the shares of their time, in percent.
fn parts(outcome: &Outcome) -> [f64; 3] {
    let slow = slow(outcome);
    let sum = |part: fn(&SlowReport) -> f64| -> f64 { slow.iter().map(part).sum() };
    // Without any, each share is 0.
    let whole = sum(|commit| commit.total_ms).max(1.0);
    let parts: [fn(&SlowReport) -> f64; 3] = [
        |commit| commit.flush_ms,
        |commit| commit.wait_ms,
        |commit| commit.rest_ms,
    ];
    parts.map(|part| (100.0 * sum(part) / whole).max(0.0))
}

fn slow(outcome: &Outcome) -> &[SlowReport] {
    let commits = outcome.report("db1").commits.as_ref();
    commits.map_or(&[], |commits| &commits.slow)
}
