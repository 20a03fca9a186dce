//! The commit probe: what it writes, what it measures, and what it leaves.

use std::time::Instant;

use tracer_core::report::latency_probe::{ProbeStepReport, Requests};
use xtask::testbed::postgres::Frozen;

use crate::postgres::{
    commits, footprint,
    watched::{Lab, Watched},
};
use crate::support::program::{USAGE, assert_refused, tracer};

const DSN: &str = "host=10.0.10.2 user=postgres";
/// Transactions that wrote, so far.
const WRITERS: &str = "select pg_snapshot_xmax(pg_current_snapshot())";

/// Counts and quantiles agree with each other.
fn check(requests: &Requests) {
    let all = &requests.latency;
    let quantiles = [all.p50_ms, all.p95_ms, all.p99_ms, all.max_ms];
    assert!(all.p50_ms > Some(0.0), "{quantiles:?}");
    assert!(quantiles.is_sorted(), "{quantiles:?}");
    let series = &requests.series;
    let sum = |count: fn(&ProbeStepReport) -> u64| series.iter().map(count).sum::<u64>();
    assert_eq!(sum(|step| step.answered), requests.answered);
    assert_eq!(sum(|step| step.failed), requests.failed);
    assert_eq!(sum(|step| step.not_started), requests.not_started);
    let largest = series.iter().filter_map(|step| step.latency.max_ms);
    assert_eq!(Some(largest.fold(0.0, f64::max)), all.max_ms);
}

/// On every version.
pub(crate) fn every_commit_is_one_that_waits_and_nothing_is_left(lab: &Lab) {
    let before = footprint::of(lab.pair.primary());
    let writers = || lab.psql(WRITERS).parse::<u64>().unwrap();
    let written = writers();
    // The kernel sees each come to the place where commits wait for a standby. Servers of
    // other tests start meanwhile, of which a warning would tell.
    let here = lab.primary().netns.name();
    let arguments = ["--commit-probe", "50", "--commits", "--netns", here];
    let mut tool = Watched::start(lab.primary(), DSN, &arguments);
    tool.await_line(&["probe: ", " commits, p50 ", " reads, p50 "]);
    tool.await_line(&["probe: 5 commits"]);
    let seen = tool.finish();
    assert_eq!(footprint::of(lab.pair.primary()), before);
    check(&seen.probe().commits);
    check(&seen.probe().reads);
    let probe = seen.probe();
    let measured = &probe.commits;
    let answered = measured.answered;
    // Autovacuum may have had its own.
    let written = writers() - written;
    assert!(written >= answered, "{written} of {measured:?}");
    let waited = commits::of(&seen, commits::pid(lab.pair.primary())).commits;
    assert!(waited >= answered, "{waited} of {measured:?}");
    // On a busy machine, a connection more may come too late for one that is due.
    assert_eq!((measured.failed, measured.outstanding), (0, 0));
    assert_eq!(measured.most_outstanding, 32);
    assert_eq!(probe.rate, 50);
    assert!(probe.removed.is_none() && probe.table.is_none());
    assert!(seen.stdout.contains("probe's commits: "), "{}", seen.stdout);
    assert_eq!(seen.warnings(), Vec::<&str>::new());
}

#[test]
fn a_stall_is_measured_in_full_beside_reads_that_go_on() {
    let lab = Lab::start("pgstall");
    let mut tool = Watched::start(lab.primary(), DSN, &["--commit-probe", "100"]);
    tool.await_line(&["probe: ", " commits, p50 "]);
    let receiver = lab.receiver();
    let frozen = Frozen::new(receiver).unwrap();
    let stopped = Instant::now();
    // All that may wait do, and what comes then finds no connection.
    tool.await_line(&[
        "32 waiting for a standby",
        "32 commits in flight",
        "commits not started",
    ]);
    tool.await_line(&["32 waiting for a standby", " reads, p50 "]);
    let stalled = stopped.elapsed();
    drop(frozen);
    tool.await_line(&[" 0 waiting for a standby", "probe: ", " commits, p50 "]);
    tool.await_line(&["probe: 10 commits"]);
    let seen = tool.finish();
    check(&seen.probe().commits);
    check(&seen.probe().reads);
    let commits = &seen.probe().commits;
    let longest = commits.latency.max_ms.unwrap();
    let longest_stall = stalled.as_secs_f64() * 1e3;
    assert!(
        longest >= longest_stall - 100.0,
        "{longest} of {longest_stall}"
    );
    assert!(commits.not_started > 0);
    assert_eq!(commits.most_outstanding, 32);
    // While no commit could even be started, reads were answered.
    let reads = seen.probe().reads.series.iter();
    let beside = reads
        .zip(&commits.series)
        .filter(|(_, step)| step.outstanding == 32);
    assert!(beside.map(|(step, _)| step.answered).sum::<u64>() > 0);
    assert_eq!(seen.postgres().sync_rep_waiters_max, Some(32));
}

#[test]
fn a_restart_costs_commits_and_does_not_end_the_probe() {
    let mut lab = Lab::start("pgprobedown");
    let mut tool = Watched::start(lab.primary(), DSN, &["--commit-probe", "20"]);
    tool.await_line(&["probe: 2 commits"]);
    lab.pair.primary_mut().stop();
    tool.await_line(&["probe: 0 commits", "2 commits not started"]);
    lab.restart_primary();
    tool.await_line(&["primary", "probe: 2 commits"]);
    let seen = tool.finish();
    check(&seen.probe().commits);
    let commits = &seen.probe().commits;
    assert!(commits.not_started > 0);
    assert!(commits.answered > 0);
}

#[test]
fn any_role_may_probe_and_one_that_may_not_is_told_so() {
    let lab = Lab::start("pgprobeno");
    lab.psql("create role watcher login password 's3cr3t-of-the-probe' in role pg_monitor");
    lab.allow("host all watcher all password");
    let dsn = "host=10.0.10.2 user=watcher dbname=postgres password=s3cr3t-of-the-probe";
    let arguments = ["--commit-probe", "10", "-vv"];
    let mut tool = Watched::start(lab.primary(), dsn, &arguments);
    tool.await_line(&["probe: 1 commits"]);
    assert_eq!(tool.finish().warnings(), Vec::<&str>::new());

    lab.psql("revoke execute on function pg_logical_emit_message(boolean, text, text) from public");
    let mut tool = Watched::start(lab.primary(), dsn, &arguments);
    tool.await_line(&["streaming sync"]);
    tool.await_line(&["the commit probe cannot commit", "permission denied"]);
    let seen = tool.finish();
    let probe = seen.probe();
    assert!(probe.begun.is_none() && probe.commits.latency.p50_ms.is_none());
    assert!(seen.postgres().samples > 0);
    let warnings = seen.warnings();
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}");
    };
    assert!(warning.contains("pg_logical_emit_message"), "{warning}");
    assert!(
        !seen.everything().contains("s3cr3t"),
        "{}",
        seen.everything()
    );

    let mut tool = Watched::start(
        lab.standby(),
        "host=10.0.10.3 user=postgres",
        &["--commit-probe", "10"],
    );
    tool.await_line(&["the commit probe cannot commit", "is a standby"]);
    assert!(tool.finish().probe().begun.is_none());
}

#[test]
fn a_probe_that_cannot_be_meant_is_wrong_usage() {
    for (arguments, word) in [
        (&["--commit-probe", "5"][..], "--pg"),
        (
            &["--pg", "host=db1", "--commit-probe-cleanup"],
            "makes no table",
        ),
        (
            &["--pg", "host=db1", "--commit-probe", "0"],
            "from 1 to 1000",
        ),
        (&["--pg", "host=db1", "--commit-probe", "fast"], "`fast`"),
    ] {
        let output = tracer(&[&["run", "--all"], arguments].concat());
        assert_refused(&output, USAGE, &[word]);
    }
}
