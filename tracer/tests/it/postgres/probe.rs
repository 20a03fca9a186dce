//! The commit probe: what it writes, what it measures, and what it leaves.

use std::time::Instant;

use serde_json::Value;
use xtask::testbed::postgres::Frozen;

use crate::postgres::{
    commits, footprint,
    watched::{Lab, Seen, Watched},
};
use crate::support::program::{USAGE, assert_refused, tracer};

const DSN: &str = "host=10.0.10.2 user=postgres";
/// Transactions that wrote, so far.
const WRITERS: &str = "select pg_snapshot_xmax(pg_current_snapshot())";

fn count(requests: &Value, what: &str) -> u64 {
    requests[what].as_u64().unwrap()
}

/// Counts and quantiles agree with each other.
fn check(seen: &Seen, sort: &str) {
    let requests = seen.at(&format!("/postgres/probe/{sort}"));
    let quantiles = ["p50_ms", "p95_ms", "p99_ms", "max_ms"];
    let quantiles = quantiles.map(|name| requests[name].as_f64().unwrap());
    assert!(quantiles[0] > 0.0 && quantiles.is_sorted(), "{quantiles:?}");
    let series = requests["series"].as_array().unwrap();
    for what in ["answered", "failed", "not_started"] {
        let steps: u64 = series.iter().map(|step| count(step, what)).sum();
        assert_eq!(steps, count(requests, what), "{what} of {sort}");
    }
    let largest = series.iter().filter_map(|step| step["max_ms"].as_f64());
    assert_eq!(largest.fold(0.0, f64::max), quantiles[3], "{sort}");
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
    check(&seen, "commits");
    check(&seen, "reads");
    let probe = seen.at("/postgres/probe");
    let measured = &probe["commits"];
    let answered = count(measured, "answered");
    // Autovacuum may have had its own.
    let written = writers() - written;
    assert!(written >= answered, "{written} of {measured}");
    let waited = count(
        commits::of(&seen, commits::pid(lab.pair.primary())),
        "commits",
    );
    assert!(waited >= answered, "{waited} of {measured}");
    // On a busy machine, a connection more may come too late for one that is due.
    for what in ["failed", "outstanding"] {
        assert_eq!(count(measured, what), 0, "{what}: {measured}");
    }
    assert_eq!(count(measured, "most_outstanding"), 32);
    assert_eq!(probe["rate"], 50);
    assert!(probe["removed"].is_null() && probe["table"].is_null());
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
    check(&seen, "commits");
    check(&seen, "reads");
    let commits = seen.at("/postgres/probe/commits");
    let longest = commits["max_ms"].as_f64().unwrap();
    let longest_stall = stalled.as_secs_f64() * 1e3;
    assert!(
        longest >= longest_stall - 100.0,
        "{longest} of {longest_stall}"
    );
    assert!(count(commits, "not_started") > 0);
    assert_eq!(count(commits, "most_outstanding"), 32);
    // While no commit could even be started, reads were answered.
    let reads = seen.list("/postgres/probe/reads/series").iter();
    let stalled = commits["series"].as_array().unwrap().iter();
    let beside = reads
        .zip(stalled)
        .filter(|(_, step)| step["outstanding"] == 32);
    assert!(beside.map(|(step, _)| count(step, "answered")).sum::<u64>() > 0);
    assert_eq!(seen.at("/postgres/sync_rep_waiters_max"), 32);
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
    check(&seen, "commits");
    let commits = seen.at("/postgres/probe/commits");
    assert!(count(commits, "not_started") > 0);
    assert!(count(commits, "answered") > 0);
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
    let probe = seen.at("/postgres/probe");
    assert!(probe["begun"].is_null() && probe["commits"]["p50_ms"].is_null());
    assert!(seen.at("/postgres/samples").as_u64() > Some(0));
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
    assert!(tool.finish().at("/postgres/probe/begun").is_null());
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
