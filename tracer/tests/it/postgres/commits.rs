//! What commits waited for, by those who committed.

use std::thread;

use nix::sys::signal::{Signal, kill};
use tracer_core::report::commits::{ServerReport, SlowReport};
use tracer_core::report::histogram::PartQuantiles;
use xtask::testbed::{
    netns::{Host, Net},
    postgres::{Alone, Connection, Server},
};

use crate::postgres::watched::{Lab, Seen, Watched};
use crate::support::program::{USAGE, assert_refused, tracer};

pub(crate) const INSERT: &str = "insert into lab (note) values ('test')";
/// So short that every commit is slow.
pub(crate) const ALL: &[&str] = &["--commits", "--slow-commit", "1us"];
/// Nobody else commits.
pub(crate) const QUIET: &[(&str, &str)] = &[("autovacuum", "off")];

pub(crate) fn watch(host: &Host, arguments: &[&str]) -> Watched {
    Watched::without_database(host, arguments, &[])
}

pub(crate) fn pid(server: &Server) -> u32 {
    server.pid().as_raw().cast_unsigned()
}

/// What the report says of a server: tests beside this one have theirs.
pub(crate) fn of(seen: &Seen, server: u32) -> &ServerReport {
    let mut servers = seen.commits().servers.iter();
    let found = servers.find(|one| one.pid == server);
    found.unwrap_or_else(|| panic!("no server {server}: {:?}", seen.commits()))
}

/// Its slow commits, of which each is the sum of its parts.
fn slow(seen: &Seen, server: u32) -> Vec<&SlowReport> {
    let all = seen.commits().slow.iter();
    let all: Vec<_> = all.filter(|one| one.server_pid == server).collect();
    for one in &all {
        let sum = one.flush_ms + one.wait_ms + one.rest_ms;
        assert!((sum - one.total_ms).abs() < 1e-6, "{one:?}");
    }
    all
}

/// Sums and counts of a server agree with each other.
pub(crate) fn check(seen: &Seen, server: u32) -> u64 {
    let found = of(seen, server);
    let (commits, told) = (found.commits, slow(seen, server));
    assert_eq!(found.slow, commits, "{found:?}");
    assert_eq!(told.len() as u64, commits, "{found:?}");
    type Part = fn(&SlowReport) -> f64;
    let parts: [(&PartQuantiles, Part); 4] = [
        (&found.total, |one| one.total_ms),
        (&found.flush, |one| one.flush_ms),
        (&found.wait, |one| one.wait_ms),
        (&found.rest, |one| one.rest_ms),
    ];
    for (of_all, part) in parts {
        let told = told.iter().map(|one| part(one));
        check_ranges(of_all, told.clone());
        let (sum, max) = told.fold((0.0, 0.0), |(sum, max), one| {
            (sum + one, f64::max(max, one))
        });
        assert!((of_all.sum_ms - sum).abs() < 1e-3, "{sum} {of_all:?}");
        if commits > 0 {
            let largest = of_all.part.max_ms.unwrap();
            assert!((largest - max).abs() < 1e-6, "{max} {of_all:?}");
            let part = &of_all.part;
            let quantiles = [part.p50_ms, part.p95_ms, part.p99_ms, part.max_ms];
            assert!(quantiles.is_sorted(), "{quantiles:?}");
        }
    }
    assert_eq!(seen.commits().not_counted, 0);
    assert_eq!(seen.commits().slow_lost, 0);
    commits
}

/// As many are in each range as took as long as that.
fn check_ranges(of_all: &PartQuantiles, told: impl Iterator<Item = f64>) {
    let told: Vec<u64> = told.map(|ms| (ms * 1e6).round() as u64).collect();
    let Some(ranges) = &of_all.ranges else {
        assert!(told.is_empty(), "{of_all:?}");
        return;
    };
    let edges = ranges.from_ns.iter().zip(&ranges.to_ns);
    for ((from_ns, to_ns), count) in edges.zip(&ranges.count) {
        let within = told.iter().filter(|ns| (from_ns..=to_ns).contains(ns));
        assert_eq!(within.count() as u64, *count, "{from_ns} {to_ns} {told:?}");
    }
    assert_eq!(ranges.count.iter().sum::<u64>(), told.len() as u64);
}

fn query(sql: &mut Connection, text: &str) {
    sql.query(text).unwrap();
}

/// On every version.
pub(crate) fn commits_that_write_are_counted_whatever_else_is_done(lab: &Lab) {
    lab.psql("alter system set autovacuum = off");
    lab.psql("select pg_reload_conf()");
    lab.psql("create table once (id int unique deferrable initially deferred)");
    let primary = pid(lab.pair.primary());
    let mut sql = lab.pair.primary().connect().unwrap();
    let backend = sql.value("select pg_backend_pid()").unwrap().unwrap();
    let backend = lab.pair.primary().process(&backend).unwrap();
    let backend = backend.as_raw().cast_unsigned();
    let mut tool = watch(lab.primary(), ALL);
    for _ in 0..50 {
        query(&mut sql, INSERT);
        query(&mut sql, "select count(*) from lab");
    }
    let mut expected = 50;
    // Each in turn, and how many commits it makes that write.
    for (text, commits) in [
        (&["begin", INSERT, INSERT, "commit"][..], 1),
        (&["begin", "select 1", "commit"], 0),
        (&["begin", INSERT, "rollback"], 0),
        (&["begin", "savepoint a", INSERT, "release a", "commit"], 1),
        (
            &[
                "begin",
                "savepoint a",
                INSERT,
                "rollback to a",
                INSERT,
                "commit",
            ],
            1,
        ),
        (
            &["begin", "savepoint a", "savepoint b", INSERT, "commit"],
            1,
        ),
        (
            &[
                "do $$ begin for i in 1..3 loop insert into lab (note) values ('test'); commit; end loop; end $$",
            ],
            3,
        ),
        (&["insert into once values (1)"], 1),
    ] {
        for text in text {
            query(&mut sql, text);
        }
        expected += commits;
    }
    // One that fails at its very commit, and then one that does not.
    assert!(sql.query("insert into once values (1)").is_err());
    query(&mut sql, INSERT);
    expected += 1;
    tool.await_line(&["commits: "]);
    let seen = tool.finish();

    assert_eq!(check(&seen, primary), expected, "{:?}", seen.commits());
    let told = slow(&seen, primary);
    assert!(told.iter().all(|one| one.pid == backend));
    assert!(told.is_sorted_by_key(|one| one.offset_s.to_bits()));
    // They waited for a disk, and for a standby: both took some of their time.
    let found = of(&seen, primary);
    assert!(found.flush.sum_ms > 0.0 && found.wait.sum_ms > 0.0);
    assert_eq!(found.port, Some(5432));
    assert_eq!(found.version, Some(lab.major.to_string()));
    let lsn = &told.last().unwrap().lsn;
    let known = format!("select '{lsn}'::pg_lsn between '0/1000000' and pg_current_wal_lsn()");
    assert_eq!(lab.psql(&known), "t", "{lsn}");
    // And what they waited for the standby is split.
    let stages = &found.stages;
    assert!(stages.measured, "{stages:?}");
    let [standby] = &stages.standbys[..] else {
        panic!("{stages:?}");
    };
    assert_eq!(standby.remote.address.to_string(), "10.0.10.3");
    let waited = told.iter().filter(|one| one.wait_ms >= 0.01).count() as u64;
    assert_eq!(
        (standby.waits, stages.unreleased),
        (waited, 0),
        "{stages:?}"
    );
    assert!(stages.unexplained_share < Some(0.01), "{stages:?}");
    // A standby commits nothing.
    let standby = of(&seen, pid(lab.pair.standby()));
    assert_eq!(standby.commits, 0);
    assert_eq!(
        (standby.total.part.p50_ms, standby.wait_share),
        (None, None)
    );
    assert!(
        seen.stdout.contains("Commits of PostgreSQL, pid "),
        "{}",
        seen.stdout
    );
    assert!(seen.report.postgres.is_none());
}

#[test]
fn a_standby_that_does_not_reply_is_what_was_waited_for() {
    let lab = Lab::start("pgcommitwait");
    let receiver = lab.receiver();
    // Beside the sampler, which is another matter.
    let dsn = "host=10.0.10.2 user=postgres";
    let name = lab.primary().netns.name().to_owned();
    let arguments = ["--commits", "--slow-commit", "900ms", "--netns", &name];
    let mut tool = Watched::start(lab.primary(), dsn, &arguments);
    lab.psql(INSERT);
    kill(receiver, Signal::SIGSTOP).unwrap();
    thread::scope(|scope| {
        let commit = scope.spawn(|| lab.psql(INSERT));
        tool.await_line(&["commits: 0/s; 1 waiting now, the longest for 1."]);
        kill(receiver, Signal::SIGCONT).unwrap();
        commit.join().unwrap();
    });
    tool.await_line(&["commits: 0/s"]);
    kill(receiver, Signal::SIGSTOP).unwrap();
    let seen = thread::scope(|scope| {
        // One that waits still when tracer ends.
        let commit = scope.spawn(|| lab.psql(INSERT));
        tool.await_line(&["1 waiting now"]);
        let seen = tool.finish();
        kill(receiver, Signal::SIGCONT).unwrap();
        commit.join().unwrap();
        seen
    });
    let primary = pid(lab.pair.primary());
    let told = slow(&seen, primary);
    let [one] = &told[..] else {
        panic!("{:?}", seen.commits());
    };
    // What was shown as 1.0 s may have been a little less.
    assert!(one.wait_ms >= 950.0, "{one:?}");
    assert!(one.wait_ms > 0.9 * one.total_ms, "{one:?}");
    let found = of(&seen, primary);
    assert!(found.wait_share > Some(0.9), "{found:?}");
    assert_eq!((found.slow, found.waiting), (1, 1));
    assert!(found.waiting_longest_ms > Some(0.0));
    assert!(seen.postgres().samples > 0);
    // Only servers of that namespace are told of.
    assert_eq!(seen.commits().servers.len(), 1);
}

#[test]
fn an_asynchronous_commit_neither_flushes_nor_waits() {
    let net = Net::pair("pgasync", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let settings = [QUIET, &[("synchronous_commit", "off")]].concat();
    let alone = Alone::start(host, &settings).unwrap();
    let mut sql = alone.server().connect().unwrap();
    let tool = watch(host, ALL);
    for _ in 0..30 {
        query(&mut sql, INSERT);
        query(&mut sql, "select 1");
    }
    let seen = tool.finish();
    let server = pid(alone.server());
    assert_eq!(check(&seen, server), 30);
    let found = of(&seen, server);
    assert_eq!(found.flush.sum_ms, 0.0, "{found:?}");
    assert!(
        found.wait.part.max_ms < found.total.part.max_ms,
        "{found:?}"
    );
}

#[test]
fn what_was_prepared_is_committed_apart_from_what_was_done_before() {
    let net = Net::pair("pgprep", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let settings = [QUIET, &[("max_prepared_transactions", "4")]].concat();
    let alone = Alone::start(host, &settings).unwrap();
    let mut sql = alone.server().connect().unwrap();
    let tool = watch(host, ALL);
    // A commit before, of which nothing may be left, and time that is no commit's.
    for text in [
        INSERT,
        "begin",
        INSERT,
        "prepare transaction 'kept'",
        "begin",
        INSERT,
        "prepare transaction 'lost'",
        "select pg_sleep(1)",
        "commit prepared 'kept'",
        "select pg_sleep(1)",
        "rollback prepared 'lost'",
    ] {
        query(&mut sql, text);
    }
    let seen = tool.finish();
    let server = pid(alone.server());
    assert_eq!(check(&seen, server), 4, "{:?}", seen.commits());
    // Each has written its record to the disk, and none has slept.
    for one in slow(&seen, server) {
        assert!(one.flush_ms > 0.0, "{one:?}");
        assert!(one.rest_ms < 900.0, "{one:?}");
    }
}

#[test]
fn servers_are_told_apart_also_those_that_come_later() {
    let net = Net::pair("pgtwo", "ens160").unwrap();
    let (here, there) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let mut one = Alone::start(here, QUIET).unwrap();
    let two = Alone::start(there, QUIET).unwrap();
    let commit = |alone: &Alone, count: u32| {
        let mut sql = alone.server().connect().unwrap();
        for _ in 0..count {
            query(&mut sql, INSERT);
        }
    };
    let everywhere = watch(here, ALL);
    let mut only = watch(there, &[ALL, &["--netns", there.netns.name()]].concat());
    commit(&one, 5);
    commit(&two, 7);
    let before = pid(one.server());
    only.await_line(&["commits: "]);
    one.server_mut().restart(here).unwrap();
    commit(&one, 3);
    let (seen, only) = (everywhere.finish(), only.finish());

    assert_eq!(check(&seen, before), 5);
    assert_eq!(check(&seen, pid(two.server())), 7);
    assert_eq!(check(&seen, pid(one.server())), 3);
    let netns = |server| of(&seen, server).netns.unwrap();
    assert_eq!(netns(before), netns(pid(one.server())));
    assert_ne!(netns(before), netns(pid(two.server())));
    // Both run the same program, of which there is one.
    let programs = &seen.commits().programs;
    assert!(programs.iter().all(|one| one.attached), "{programs:?}");
    assert_eq!(only.commits().servers.len(), 1);
    assert_eq!(check(&only, pid(two.server())), 7);
}

/// More than the kernel programs have places for at a time.
#[test]
fn servers_that_have_ended_leave_their_place_to_others() {
    let net = Net::pair("pgmany", "ens160").unwrap();
    let here = net.host("primary").unwrap();
    let mut alone = Alone::start(here, QUIET).unwrap();
    // More end between two samples than there are places for.
    let tool = watch(here, &[ALL, &["--interval", "60s"]].concat());
    let mut servers = Vec::new();
    for _ in 0..70 {
        alone.server_mut().restart(here).unwrap();
        query(&mut alone.server().connect().unwrap(), INSERT);
        servers.push(pid(alone.server()));
    }
    let seen = tool.finish();
    for server in &servers {
        assert_eq!(check(&seen, *server), 1);
    }
    // What runs comes first.
    let place = |pid: &u32| {
        seen.commits()
            .servers
            .iter()
            .position(|one| one.pid == *pid)
    };
    assert!(place(servers.last().unwrap()) < place(&servers[0]));
}

#[test]
fn without_a_server_it_says_so_and_the_trace_goes_on() {
    let net = Net::pair("pgnone", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let mut tool = watch(host, &["--commits", "--netns", host.netns.name()]);
    tool.await_line(&["commits: not split: no PostgreSQL server ran in net:["]);
    let seen = tool.finish();
    let commits = seen.commits();
    assert!(!commits.attached && commits.start.is_none());
    let reason = commits.reason.as_ref().unwrap();
    assert!(reason.contains("no PostgreSQL server"), "{reason}");
    assert!(commits.servers.is_empty());
    assert!(seen.warnings()[0].starts_with("commits were not split: "));

    // And who did not ask is told nothing.
    let seen = watch(host, &[]).finish();
    assert!(seen.report.commits.is_none());
}

#[test]
fn a_threshold_without_commits_is_wrong_usage() {
    for (arguments, word) in [
        (&["--slow-commit", "1s"][..], "--commits"),
        (&["--commits", "--slow-commit", "soon"], "`soon`"),
    ] {
        let output = tracer(&[&["run", "--all"], arguments].concat());
        assert_refused(&output, USAGE, &[word]);
    }
}
