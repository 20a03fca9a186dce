//! What waits for a standby are made of, on real servers.

use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracer_core::report::commits::SlowReport;
use tracer_core::report::stages::{ByStage, Stage, StagesReport, StandbyStages};
use xtask::testbed::{
    netns::{Host, Net},
    postgres::Alone,
};

use crate::postgres::commits::{ALL, INSERT, QUIET, of, pid, watch};
use crate::postgres::stopped_at::commit_stopped_at;
use crate::postgres::watched::{Lab, Seen, Watched};

/// Every commit of the servers there, and no other test's.
fn follow(host: &Host) -> Watched {
    let netns = ["--netns", host.netns.name()];
    watch(host, &[ALL, &netns].concat())
}

/// The same for every stage, added up.
fn sum(stages: &ByStage<f64>) -> f64 {
    Stage::ALL.iter().map(|stage| stages.of(*stage)).sum()
}

/// What the report says of the primary's waits.
fn stages<'a>(seen: &'a Seen, lab: &Lab) -> &'a StagesReport {
    let found = &of(seen, pid(lab.pair.primary())).stages;
    assert!(found.measured, "{found:?}");
    found
}

/// Its commits, each of whose waits is the sum of its stages.
fn slow<'a>(seen: &'a Seen, lab: &Lab) -> Vec<&'a SlowReport> {
    let server = pid(lab.pair.primary());
    let all = seen.commits().slow.iter();
    let all: Vec<_> = all.filter(|one| one.server_pid == server).collect();
    for one in &all {
        if let Some(stages) = &one.stages_ms {
            assert!((sum(stages) - one.wait_ms).abs() < 0.02, "{one:?}");
        }
    }
    all
}

/// Every one that waited for longer than a reply takes at least has stages.
fn assert_followed(commits: &[&SlowReport], standby: &StandbyStages) {
    for one in commits {
        assert_eq!(one.stages_ms.is_some(), one.wait_ms >= 0.01, "{one:?}");
    }
    let followed = commits.iter().filter(|one| one.stages_ms.is_some());
    assert_eq!(followed.count() as u64, standby.waits);
}

/// A commit that waits for a second, because this receiver is stopped, and one before it.
fn held_up_by(lab: &Lab, receiver: Pid) -> Seen {
    let mut sql = lab.pair.primary().connect().unwrap();
    let mut tool = follow(lab.primary());
    sql.query(INSERT).unwrap();
    kill(receiver, Signal::SIGSTOP).unwrap();
    thread::scope(|scope| {
        let commit = scope.spawn(|| lab.psql(INSERT));
        tool.await_line(&["1 waiting now, the longest for 1."]);
        kill(receiver, Signal::SIGCONT).unwrap();
        commit.join().unwrap();
    });
    tool.finish()
}

/// The commit that waited longest.
fn longest<'a>(seen: &'a Seen, lab: &Lab) -> &'a SlowReport {
    let commits = slow(seen, lab).into_iter();
    let longest = commits.max_by(|a, b| a.wait_ms.total_cmp(&b.wait_ms));
    longest.unwrap()
}

/// The one standby that ended waits.
fn only<'a>(found: &'a StagesReport, address: &str) -> &'a StandbyStages {
    let [standby] = &found.standbys[..] else {
        panic!("{found:?}");
    };
    assert_eq!(standby.remote.address.to_string(), address);
    assert!(!standby.logical);
    standby
}

#[test]
fn every_part_of_a_wait_has_an_owner() {
    let lab = Lab::start("pgstages");
    let mut sql = lab.pair.primary().connect().unwrap();
    let tool = follow(lab.primary());
    for _ in 0..200 {
        sql.query(INSERT).unwrap();
    }
    let seen = tool.finish();
    let found = stages(&seen, &lab);
    let commits = slow(&seen, &lab);
    let standby = only(found, "10.0.10.3");
    assert_eq!(commits.len(), 200);
    assert_followed(&commits, standby);
    assert!(found.unexplained_share < Some(0.01), "{found:?}");
    assert!(unexplained_share(&commits) < 0.01);
}

/// The share of commits of which more is unexplained than 2 % of their wait and 20 µs.
fn unexplained_share(commits: &[&SlowReport]) -> f64 {
    let is_one = |one: &&&SlowReport| {
        let unexplained = one.stages_ms.map_or(0.0, |stages| stages.unexplained);
        unexplained > f64::max(0.02 * one.wait_ms, 0.02)
    };
    commits.iter().filter(is_one).count() as f64 / commits.len() as f64
}

#[test]
fn whatever_a_commit_waits_for_is_followed() {
    let lab = Lab::start("pgstagemodes");
    let mut sql = lab.pair.primary().connect().unwrap();
    let tool = follow(lab.primary());
    for level in ["remote_write", "on", "remote_apply"] {
        sql.query(&format!("set synchronous_commit = {level}"))
            .unwrap();
        for _ in 0..50 {
            sql.query(INSERT).unwrap();
        }
    }
    // These wait for nobody.
    for level in ["local", "off"] {
        sql.query(&format!("set synchronous_commit = {level}"))
            .unwrap();
        for _ in 0..50 {
            sql.query(INSERT).unwrap();
        }
    }
    let seen = tool.finish();
    let found = stages(&seen, &lab);
    let standby = only(found, "10.0.10.3");
    assert_eq!(found.unreleased, 0, "{found:?}");
    let commits = slow(&seen, &lab);
    assert_eq!(commits.len(), 250);
    // What the standby had done before the commit began to wait was no wait.
    let (awaited, others) = commits.split_at(150);
    assert_followed(awaited, standby);
    assert!(others.iter().all(|one| one.stages_ms.is_none()));
    assert!(standby.waits >= 75, "{found:?}");
    assert!(unexplained_share(awaited) < 0.01, "{awaited:#?}");
}

#[test]
fn a_walsender_that_comes_back_is_followed_from_its_first_message_on() {
    let lab = Lab::start("pgstageback");
    lab.psql("alter system set wal_sender_timeout = '10s'");
    let mut sql = lab.pair.primary().connect().unwrap();
    let tool = follow(lab.primary());
    sql.query(INSERT).unwrap();
    lab.psql("select pg_terminate_backend(pid) from pg_stat_replication");
    for _ in 0..20 {
        sql.query(INSERT).unwrap();
    }
    let seen = tool.finish();
    let found = stages(&seen, &lab);
    let standby = only(found, "10.0.10.3");
    assert!((20..=21).contains(&standby.waits), "{found:?}");
    let walsender = lab.psql("select pid from pg_stat_replication");
    let walsender = lab.pair.primary().process(&walsender).unwrap();
    assert_eq!(standby.walsender_pid, walsender.as_raw().cast_unsigned());
    let commits = slow(&seen, &lab);
    // One waited while there was no standby: its WAL may have been sent, and sent again.
    let later = &commits[2..];
    assert!(unexplained_share(later) < 0.06, "{later:#?}");
}

#[test]
fn a_server_that_is_started_again_is_followed() {
    let mut lab = Lab::start("pgstageagain");
    let tool = follow(lab.primary());
    lab.restart_primary();
    // It waits until the standby is back.
    lab.psql(INSERT);
    let mut sql = lab.pair.primary().connect().unwrap();
    // Of a server that nobody knew, where things are is asked when its first commit waits.
    for _ in 0..100 {
        sql.query(INSERT).unwrap();
        thread::sleep(Duration::from_millis(2));
    }
    let seen = tool.finish();
    let standby = only(stages(&seen, &lab), "10.0.10.3");
    assert!(standby.waits > 0, "{standby:?}");
}

#[test]
fn of_two_that_are_needed_the_slower_one_decides() {
    let lab = Lab::of_three("pgstagequorum");
    lab.psql("alter system set synchronous_standby_names = 'ANY 2 (*)'");
    lab.psql("select pg_reload_conf()");
    let other = lab.other().1;
    let receiver = other.value("select pid from pg_stat_wal_receiver");
    let receiver = other.process(&receiver.unwrap().unwrap()).unwrap();
    let seen = held_up_by(&lab, receiver);
    let longest = longest(&seen, &lab);
    let found = stages(&seen, &lab);
    let mut standbys = found.standbys.iter();
    let decided = standbys.find(|one| Some(one.walsender_pid) == longest.walsender_pid);
    let decided = decided.unwrap_or_else(|| panic!("{longest:?} {found:?}"));
    assert_eq!(decided.remote.address.to_string(), "10.0.10.4");
    assert!(
        longest.stages_ms.unwrap().remote > 0.9 * longest.wait_ms,
        "{longest:?}"
    );
}

#[test]
fn without_a_standby_no_wait_has_stages() {
    let net = Net::pair("pgstagealone", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let alone = Alone::start(host, QUIET).unwrap();
    let mut sql = alone.server().connect().unwrap();
    let tool = follow(host);
    for _ in 0..50 {
        sql.query(INSERT).unwrap();
    }
    let seen = tool.finish();
    let found = &of(&seen, pid(alone.server())).stages;
    assert!(found.measured, "{found:?}");
    assert_eq!(
        (found.standbys.len(), found.unreleased),
        (0, 0),
        "{found:?}"
    );
    assert_eq!(found.unexplained_share, None);
}

/// A backend that is kept from a processor looks as if it had waited.
#[test]
fn what_stands_still_without_a_standby_waits_for_none() {
    let net = Net::pair("pgstagestill", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let alone = Alone::start(host, QUIET).unwrap();
    let tool = follow(host);
    commit_stopped_at("SyncRepWaitForLSN", &alone, Duration::from_millis(50));
    let seen = tool.finish();
    let found = of(&seen, pid(alone.server()));
    assert!(found.wait.part.max_ms >= Some(50.0), "{found:?}");
    let stages = &found.stages;
    assert!(stages.measured, "{stages:?}");
    assert_eq!(
        (stages.standbys.len(), stages.unreleased),
        (0, 0),
        "{stages:?}"
    );
}

#[test]
fn a_receiver_that_is_stopped_is_the_standby_s() {
    let lab = Lab::start("pgstageremote");
    let receiver = lab.receiver();
    let seen = held_up_by(&lab, receiver);
    let longest = longest(&seen, &lab);
    let stages = longest.stages_ms.unwrap();
    assert!(stages.remote > 0.9 * longest.wait_ms, "{longest:?}");
}
