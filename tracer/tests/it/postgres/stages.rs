//! What waits for a standby are made of, on real servers.

use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use tracer_core::report::commits::SlowReport;
use tracer_core::report::stages::{ByStage, Stage, StagesReport, StandbyStages};

use crate::postgres::commits::{ALL, INSERT, of, pid, watch};
use crate::postgres::watched::{Lab, Seen};

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
        let Some(stages) = &one.stages_ms else {
            assert!(one.wait_ms < 0.1, "{one:?}");
            continue;
        };
        assert!((sum(stages) - one.wait_ms).abs() < 0.02, "{one:?}");
    }
    all
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
    let mut tool = watch(lab.primary(), ALL);
    // The first says where the stream was.
    sql.query(INSERT).unwrap();
    tool.await_line(&["commits: "]);
    for _ in 0..200 {
        sql.query(INSERT).unwrap();
    }
    let seen = tool.finish();
    let found = stages(&seen, &lab);
    println!("{found:#?}");
    let commits = slow(&seen, &lab);
    for one in commits.iter().take(5) {
        println!("{one:?}");
    }
    let standby = only(found, "10.0.10.3");
    assert!(standby.waits >= 200, "{found:?}");
    assert!(found.unexplained_share < Some(0.01), "{found:?}");
    let explained = |one: &&&SlowReport| {
        let unexplained = one.stages_ms.map_or(0.0, |stages| stages.unexplained);
        unexplained <= f64::max(0.02 * one.wait_ms, 0.02)
    };
    let all = commits.len();
    assert!(commits.iter().filter(explained).count() * 100 >= all * 99);
}

#[test]
fn a_receiver_that_is_stopped_is_the_standby_s() {
    let lab = Lab::start("pgstageremote");
    let receiver = lab.receiver();
    let mut sql = lab.pair.primary().connect().unwrap();
    let mut tool = watch(lab.primary(), ALL);
    sql.query(INSERT).unwrap();
    kill(receiver, Signal::SIGSTOP).unwrap();
    thread::scope(|scope| {
        let commit = scope.spawn(|| lab.psql(INSERT));
        tool.await_line(&["1 waiting now, the longest for 1."]);
        kill(receiver, Signal::SIGCONT).unwrap();
        commit.join().unwrap();
    });
    thread::sleep(Duration::from_millis(1));
    let seen = tool.finish();
    let commits = slow(&seen, &lab);
    let longest = commits
        .iter()
        .max_by(|a, b| a.wait_ms.total_cmp(&b.wait_ms));
    let longest = longest.unwrap();
    println!("{longest:?}");
    let stages = longest.stages_ms.unwrap();
    assert!(stages.remote > 0.9 * longest.wait_ms, "{longest:?}");
}
