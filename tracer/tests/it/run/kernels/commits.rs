//! Commits of a real server are counted and split under this kernel, too.

use std::time::{Duration, Instant};

use tracer_core::report::commits::{ServerReport, SlowReport};
use tracer_core::report::finding::Cause;
use tracer_core::report::stages::Stage;
use xtask::testbed::{
    netns::Net,
    postgres::{Alone, Connection, Pair, Programs},
};

use super::{cell, faults::refusal};
use crate::support::{
    fault::Fault,
    report::Report,
    rights::{TRACING, root_with},
    tool::Tool,
};

const INSERT: &str = "insert into lab (note) values ('test')";
const INSERTS: u64 = 20;
/// A shorter wait that no reply ended waited for nobody, ms.
const NOBODY_MS: f64 = 0.1;

fn insert(sql: &mut Connection) {
    for _ in 0..INSERTS {
        sql.query(INSERT).unwrap();
        sql.query("select count(*) from lab").unwrap();
    }
}

#[test]
fn commits_are_counted_and_wait_for_a_standby_whose_replies_are_lost() {
    let net = Net::pair("commits", "ens160").unwrap();
    let (primary, standby) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let pair = Pair::start(primary, standby).unwrap();
    let mut sql = pair.primary().connect().unwrap();
    // Nobody else commits.
    sql.query("alter system set autovacuum = off").unwrap();
    sql.query("select pg_reload_conf()").unwrap();

    let arguments = ["--peer", "10.0.10.3", "--netns", primary.netns.name()];
    let commits = ["--commits", "--slow-commit", "1us"];
    let tool = Tool::start(&primary.netns, &[&arguments[..], &commits].concat()).unwrap();
    insert(&mut sql);
    // A reply that is lost is sent again after a timeout, which doubles each time that this
    // one is lost, too: seconds are common, half a minute is not unheard of.
    let fault = Fault::start(&standby.netns, &["corrupt=30%", "--peer", "10.0.10.2"]).unwrap();
    sql.set_limit(Duration::from_secs(150));
    insert(&mut sql);
    let fault = fault.finish_one().unwrap();
    let report = tool.finish().unwrap();

    assert!(fault.hit > Some(0));
    let commits = report.commits.as_ref().unwrap();
    let counted = commits.servers[0].commits;
    // Where the kernel keeps one to itself, that is said.
    assert_eq!(counted + commits.not_counted, 2 * INSERTS, "{commits:?}");
    let slow = &commits.slow;
    assert_eq!(slow.len() as u64, counted);
    for one in slow {
        let sum = one.flush_ms + one.wait_ms + one.rest_ms;
        assert!((sum - one.total_ms).abs() < 1e-6, "{one:?}");
    }
    // Whatever the disk did, a part of the replies was lost: not so many that one
    // waits longer than anybody here does.
    let faulty = &slow[slow.len() / 2..];
    let sum = |part: fn(&SlowReport) -> f64| faulty.iter().map(part).sum::<f64>();
    let (wait, total) = (sum(|one| one.wait_ms), sum(|one| one.total_ms));
    let charged = sum(|one| one.wait_in_recovery_ms.unwrap());
    println!(
        "{INSERTS} commits under the fault: {wait:.1} of {total:.1} ms waiting, {charged:.1} of these while the replication recovered; {:?}",
        report.findings
    );
    assert!(wait > 0.5 * total, "{wait} of {total}");
    cell::found("commits", "counted and split");
    assert_stages(&commits.servers[0], slow);
    cell::found("stages of waits", "measured");
}

/// Each wait is the sum of its stages, and nearly nothing of it is unexplained.
fn assert_stages(server: &ServerReport, slow: &[SlowReport]) {
    let stages = &server.stages;
    assert!(stages.measured, "{stages:?}");
    let [standby] = &stages.standbys[..] else {
        panic!("{stages:?}");
    };
    assert_eq!(standby.remote.address.to_string(), "10.0.10.3");
    for one in slow {
        // So short a wait, if no reply is known to have ended it, was for nobody: the standby
        // had flushed before the primary's own flush was over.
        let Some(split) = one.stages_ms else {
            assert!(one.wait_ms < NOBODY_MS, "{one:?}");
            continue;
        };
        let sum: f64 = Stage::ALL.iter().map(|stage| split.of(*stage)).sum();
        assert!((sum - one.wait_ms).abs() < 0.02, "{one:?}");
    }
    let unexplained =
        |one: &&SlowReport| one.stages_ms.is_some_and(|split| split.unexplained > 0.02);
    let unexplained = slow.iter().filter(unexplained).count();
    // One whose WAL was sent before everything was attached.
    assert!(unexplained <= 1, "{unexplained}: {slow:#?}");
}

/// What a kernel wants of who watches functions of other programs has changed, in old
/// kernels too.
#[test]
fn commits_are_split_with_what_the_kernel_wants_for_it() {
    let net = Net::pair("rights", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let alone = Alone::start(host, &[("autovacuum", "off")]).unwrap();
    let mut sql = alone.server().connect().unwrap();
    let mut with = |more: &[&str]| {
        let way = root_with(&[&TRACING[..], more].concat());
        let arguments = ["--peer", "10.0.10.3", "--commits"];
        let tool = Tool::by(&host.netns, &way, &arguments).unwrap();
        insert(&mut sql);
        tool.finish().unwrap()
    };
    let counted = |report: &Report| {
        let servers = &report.commits.as_ref().unwrap().servers;
        let pid = alone.server().pid().as_raw().cast_unsigned();
        let ours = servers.iter().find(|one| one.pid == pid);
        ours.map(|one| one.commits)
    };
    assert_eq!(counted(&with(&["sys_ptrace", "sys_admin"])), Some(INSERTS));
    let report = with(&["sys_ptrace"]);
    let wanted = match counted(&report) {
        Some(INSERTS) => "CAP_PERFMON",
        other => {
            assert_eq!(other, None);
            let reason = report.commits.as_ref().unwrap().reason.as_ref().unwrap();
            let told = "CAP_SYS_ADMIN is missing; run it with sudo";
            assert!(reason.contains(told), "{reason}");
            "CAP_SYS_ADMIN"
        }
    };
    cell::found("commits need", wanted);
}

#[test]
fn commits_are_counted_in_a_pid_namespace() {
    let net = Net::pair("pidns", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let programs = Programs::own().unwrap().apart();
    let alone = Alone::start_with(&programs, host, &[("autovacuum", "off")]).unwrap();
    let mut sql = alone.server().connect().unwrap();
    let target = alone.server().pid().to_string();
    let way = ["nsenter", "--target", &target, "--mount", "--pid", "--"];
    let arguments = ["--peer", "10.0.10.3", "--commits"];
    let tool = Tool::by(&host.netns, &way, &arguments).unwrap();
    insert(&mut sql);
    let report = tool.finish().unwrap();
    let server = &report.commits.as_ref().unwrap().servers[0];
    assert_eq!((server.pid, server.commits), (1, INSERTS));
    cell::found("commits in a PID namespace", "counted");
}

/// So long that it is seen more than once.
const LONG: Duration = Duration::from_secs(6);

#[test]
fn a_slow_network_that_loses_nothing_is_seen_in_its_round_trips() {
    const COLUMN: &str = "a slow network";
    let net = Net::pair("slownet", "ens160").unwrap();
    let (primary, standby) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    if let Some(reason) = refusal(primary, &["delay=1ms"]) {
        assert!(reason.contains("this kernel has none"), "{reason}");
        cell::absent(COLUMN, "netem");
        return;
    }
    let pair = Pair::start(primary, standby).unwrap();
    let mut sql = pair.primary().connect().unwrap();
    let database = format!(
        "--pg=host={} user=postgres",
        pair.primary().socket_dir().display()
    );
    let arguments = ["--peer", "10.0.10.3", "--netns", primary.netns.name()];
    let tool = Tool::start(&primary.netns, &[&arguments[..], &[&database]].concat()).unwrap();
    insert(&mut sql);
    let delay = ["delay=300ms", "--peer", "10.0.10.2"];
    let fault = Fault::start(&standby.netns, &delay).unwrap();
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        sql.query(INSERT).unwrap();
    }
    let report = tool.finish().unwrap();
    fault.finish_one().unwrap();

    let found = &report.findings[0];
    println!("{}", found.text);
    assert_eq!(found.cause, Cause::NetworkDelay, "{found:?}");
    let round_trip = found.size.round_trip_ms.unwrap();
    assert!((150.0..1_000.0).contains(&round_trip), "{found:?}");
    cell::found(COLUMN, "seen in the RTT");
}
