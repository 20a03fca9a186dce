//! Slow commits that are followed through two hosts.

use serde_json::{Value, json};

use super::*;
use crate::report::commits::CommitsReport;
use crate::report::walreceiver::WalreceiverReport;

mod ways;

const PRIMARY: u32 = 100;
const WALSENDER: u32 = 107;

fn read(json: Value) -> CommitsReport {
    serde_json::from_value(json).unwrap()
}

fn report(commits: CommitsReport) -> Report {
    let mut report = Report::read(include_bytes!("../../../tests/data/db1.json")).unwrap();
    report.commits = Some(commits);
    report
}

fn commits() -> Value {
    json!({
        "start": null, "attached": true, "reason": null, "slow_ms": 100.0, "programs": [],
        "servers": [], "slow": [], "slow_dropped": 0, "slow_lost": 0, "not_counted": 0,
        "program_runs": null, "program_ns_per_run": null,
    })
}

fn quantiles() -> Value {
    json!({ "sum_ms": 0.0, "p50_ms": null, "p95_ms": null, "p99_ms": null, "max_ms": null })
}

fn end(address: &str, port: u16) -> Value {
    json!({ "address": address, "port": port })
}

/// A primary whose slow commits are these: each its position, what it waited for, and how long
/// each stage took.
fn primary(slow: &[(&str, &str, [f64; 6])]) -> Report {
    let names = [
        "handover",
        "acknowledged",
        "remote",
        "release",
        "wakeup",
        "unexplained",
    ];
    let stages: Value = names
        .map(|name| (name.to_owned(), json!({ "sum_ms": 0.0, "p50_ms": null, "p95_ms": null, "p99_ms": null, "max_ms": null, "share": null, "slow_share": null })))
        .into_iter()
        .collect::<serde_json::Map<_, _>>()
        .into();
    let mut all = commits();
    all["servers"] = json!([{
        "pid": PRIMARY, "port": 5432, "netns": null, "version": "15", "program": null,
        "data": null, "commits": 9, "slow": slow.len(), "total": quantiles(),
        "flush": quantiles(), "wait": quantiles(), "rest": quantiles(), "wait_share": null,
        "slow_wait_in_recovery_ms": null, "waiting": 0, "waiting_longest_ms": null,
        "stages": {
            "measured": true, "reason": null, "unreleased": 0, "unreleased_ms": 0.0,
            "unexplained_share": null,
            "standbys": [{
                "walsender_pid": WALSENDER, "remote": end("10.0.10.3", 41_000),
                "logical": false, "waits": 9, "waited_ms": 0.0, "stages": stages,
            }],
        },
    }]);
    let slow = slow.iter().map(|(lsn, awaited, took)| {
        let stages: serde_json::Map<String, Value> = names
            .iter()
            .zip(took)
            .map(|(name, took)| ((*name).to_owned(), json!(took)))
            .collect();
        let wait_ms: f64 = took.iter().sum();
        json!({
            "start": "", "offset_s": 0.0, "pid": 1, "server_pid": PRIMARY, "total_ms": wait_ms,
            "flush_ms": 0.0, "wait_ms": wait_ms, "rest_ms": 0.0, "stages_ms": stages,
            "awaited": awaited, "walsender_pid": WALSENDER, "wait_in_recovery_ms": null,
            "lsn": lsn,
        })
    });
    all["slow"] = slow.collect();
    report(read(all))
}

/// A standby that received so many messages, of which these took longest: each where its WAL
/// ends, of a hundred bytes, and how long each stage took.
fn standby(messages: u64, slowest: &[(&str, [f64; 6])]) -> Report {
    let names = ["read", "write", "flush", "reply", "acknowledged", "apply"];
    let stages = |of: &dyn Fn(usize) -> Value| -> Value {
        let all = names.iter().enumerate();
        let all = all.map(|(at, name)| ((*name).to_owned(), of(at)));
        all.collect::<serde_json::Map<_, _>>().into()
    };
    let slowest: Vec<Value> = slowest
        .iter()
        .map(|(lsn, took)| {
            json!({
                "start": "", "offset_s": 0.0, "lsn": lsn, "bytes": 100,
                "total_ms": took[..5].iter().sum::<f64>(),
                "stages_ms": stages(&|at| json!(took[at])),
            })
        })
        .collect();
    let mut all = commits();
    all["walreceivers"] = json!([{
        "server_pid": 200, "pid": 203, "connections": 1, "local": end("10.0.10.3", 41_000),
        "remote": end("10.0.10.2", 5_432), "measured": true, "reason": null,
        "messages": messages, "bytes": 100 * messages, "from_lsn": "0/3000000",
        "to_lsn": "0/4000000", "stages": stages(&|_| quantiles()), "slowest": slowest,
    }]);
    report(read(all))
}

/// The one that there is.
fn followed(primary: &Report, standby: &Report) -> Journey {
    let found = journeys(primary, "db1", standby);
    let [journey] = &found[..] else {
        panic!("{found:?}");
    };
    journey.clone()
}

/// How long all stages took together, which is what was waited for by those that were followed.
fn sum(journey: &Journey) -> f64 {
    journey.stages().iter().map(|(_, _, ms)| ms).sum()
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

#[test]
fn what_the_standby_did_is_taken_from_what_was_beyond_the_primary() {
    let slow = primary(&[("0/3000064", "flush", [1.0, 30.0, 2_780.0, 2.0, 3.0, 0.5])]);
    let disk = standby(1, &[("0/3000064", [4.0, 6.0, 2_700.0, 5.0, 40.0, 9.0])]);
    let found = followed(&slow, &disk);
    let stages = &found.stages_ms;
    assert_eq!((found.commits, found.joined, found.quick), (1, 1, 0));
    assert!(near(stages.standby_flush, 2_700.0), "{stages:?}");
    // Neither the acknowledgement of the reply nor the replay was waited for.
    assert!(near(stages.between, 2_810.0 - 2_715.0), "{stages:?}");
    assert_eq!(stages.standby_apply, 0.0);
    assert!(near(sum(&found), found.waited_ms), "{found:?}");
}

#[test]
fn what_was_awaited_decides_what_counts() {
    let took = [("0/3000064", [1.0, 2.0, 400.0, 3.0, 4.0, 500.0])];
    let of = |awaited| {
        let slow = primary(&[("0/3000064", awaited, [0.0, 0.0, 1_000.0, 0.0, 0.0, 0.0])]);
        followed(&slow, &standby(1, &took)).stages_ms
    };
    let (write, flush, apply) = (of("write"), of("flush"), of("apply"));
    assert!(
        near(write.between, 997.0) && write.standby_flush == 0.0,
        "{write:?}"
    );
    assert!(
        near(flush.between, 594.0) && flush.standby_apply == 0.0,
        "{flush:?}"
    );
    assert!(
        near(apply.between, 97.0) && apply.standby_reply == 0.0,
        "{apply:?}"
    );
}

#[test]
fn what_was_over_before_the_wait_took_none_of_it() {
    let slow = primary(&[("0/3000064", "flush", [0.0, 0.0, 50.0, 0.0, 100.0, 0.0])]);
    let long = standby(1, &[("0/3000064", [30.0, 30.0, 40.0, 5.0, 1.0, 1.0])]);
    let found = followed(&slow, &long);
    let stages = &found.stages_ms;
    assert!(
        near(stages.standby_reply, 5.0) && near(stages.standby_flush, 40.0),
        "{stages:?}"
    );
    assert!(
        near(stages.standby_write, 5.0) && stages.standby_read == 0.0,
        "{stages:?}"
    );
    assert!(near(sum(&found), found.waited_ms), "{found:?}");
}

#[test]
fn a_message_that_is_not_listed_was_quicker_than_those_that_are() {
    let slow = primary(&[
        ("0/3000064", "flush", [0.0, 700.0, 100.0, 0.0, 0.0, 0.0]),
        // Whether it was received before or after what is known is not known.
        ("0/5000000", "flush", [0.0, 0.0, 800.0, 0.0, 0.0, 0.0]),
        // How long the slowest replay took is not told.
        ("0/3000200", "apply", [0.0, 0.0, 800.0, 0.0, 0.0, 0.0]),
    ]);
    let listed = [("0/3900000", [0.1, 0.1, 2.0, 0.1, 0.1, 1.0])];
    let found = followed(&slow, &standby(500, &listed));
    assert_eq!((found.joined, found.quick), (0, 1));
    let stages = &found.stages_ms;
    assert!(near(stages.unexplained, 2.4), "{stages:?}");
    // Its reply was acknowledged in that time: what is left was on the way to the standby.
    assert!(near(stages.network_out, 797.6), "{stages:?}");
    assert_eq!((found.apart, found.apart_off_by_ms), (1, Some(0.0)));
    // Where all are listed, one that is not was not received.
    assert!(journeys(&slow, "db1", &standby(1, &listed)).is_empty());
}

#[test]
fn what_cannot_be_the_same_is_not_joined() {
    let slow = primary(&[("0/3000064", "flush", [0.0, 0.0, 800.0, 0.0, 0.0, 0.0])]);
    let good = standby(1, &[("0/3000064", [1.0, 1.0, 700.0, 1.0, 1.0, 1.0])]);
    assert_eq!(journeys(&slow, "db1", &good).len(), 1);
    let change = |change: &dyn Fn(&mut WalreceiverReport)| {
        let mut other = good.clone();
        let commits = other.commits.as_mut().unwrap();
        change(&mut commits.walreceivers[0]);
        journeys(&slow, "db1", &other)
    };
    // It came back, and received the same again.
    assert!(change(&|one| one.connections = 2).is_empty());
    assert!(change(&|one| one.local.as_mut().unwrap().port += 1).is_empty());
    assert!(change(&|one| one.remote.as_mut().unwrap().port += 1).is_empty());
    assert!(change(&|one| one.reason = Some("its flushes were not followed".into())).is_empty());
    assert!(change(&|one| one.slowest[0].lsn = "0/3000063".into()).is_empty());
    assert!(change(&|one| one.slowest[0].lsn = "0/30000C8".into()).is_empty());
    assert_eq!(
        change(&|one| one.slowest[0].lsn = "0/30000C7".into()).len(),
        1
    );
    for odd in ["", "/", "0/", "x/y", "0/100000000", "-1/1"] {
        assert!(
            change(&|one| one.slowest[0].lsn = odd.into()).is_empty(),
            "{odd}"
        );
    }
}

#[test]
fn it_is_told_in_a_sentence() {
    let slow = primary(&[
        ("0/3000064", "flush", [1.0, 30.0, 2_780.0, 2.0, 3.0, 0.5]),
        ("0/3100000", "flush", [1.0, 300.0, 2.0, 2.0, 3.0, 0.0]),
    ]);
    let disk = standby(1, &[("0/3000064", [4.0, 6.0, 2_700.0, 5.0, 40.0, 9.0])]);
    assert_eq!(
        followed(&slow, &disk).told(),
        "2 slow commits waited 3.1 s, 1 of them followed through both hosts. Of all the waiting: 86 % for the standby's flush."
    );
}

#[test]
fn one_commit_is_told_beyond_its_host() {
    let slow = primary(&[
        ("0/3000064", "flush", [1.0, 30.0, 2_780.0, 2.0, 3.0, 0.5]),
        ("0/3100000", "flush", [1.0, 300.0, 2.0, 2.0, 3.0, 0.0]),
        ("0/5000000", "flush", [1.0, 300.0, 2.0, 2.0, 3.0, 0.0]),
    ]);
    let listed = [("0/3000064", [4.0, 6.0, 2_700.0, 0.01, 40.0, 9.0])];
    let disk = standby(500, &listed);
    let told = slow.commits.iter().flat_map(|one| &one.slow);
    let told = told.map(|one| of_commit(&slow, &disk, one).map(|one| one.told));
    let told: Vec<Option<String>> = told.collect();
    assert_eq!(
        told,
        [
            Some("on the standby 4.0 ms until the walreceiver had read its WAL, 6.0 ms until it began to flush, 2700.0 ms to flush; 100.0 ms between the hosts, and 0.5 ms are not explained (which way is not known: one of the reports was written by an earlier version)".to_owned()),
            Some("its WAL was on the standby, and its reply on the way back, for 2750.0 ms at most; 0.0 ms on the way to it".to_owned()),
            None,
        ]
    );
}
