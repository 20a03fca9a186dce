//! What a server shows, and what becomes of it.

use std::thread;

use serde_json::Value;
use xtask::testbed::postgres::{Frozen, STANDBY};

use crate::postgres::watched::{Lab, Watched};

const DSN: &str = "host=10.0.10.2 user=postgres";
const INSERT: &str = "insert into lab (note) values ('test')";

/// On every version.
pub(crate) fn samples_agree_with_psql(lab: &Lab) {
    let mut tool = Watched::start(lab.primary(), DSN, &[]);
    tool.await_line(&["primary", "timeline 1", STANDBY, "streaming sync"]);
    lab.psql(INSERT);
    let lsn = "select pg_current_wal_lsn()";
    // Idle, but for a snapshot of running transactions now and then.
    let before = lab.psql(lsn);
    tool.await_line(&["streaming sync"]);
    tool.await_line(&["replay 0 B"]);
    let seen = tool.finish();
    let after = lab.psql(lsn);

    let last = seen.last();
    let found = last["wal_lsn"].as_str().unwrap();
    let between = format!("select '{found}'::pg_lsn between '{before}' and '{after}'");
    assert_eq!(lab.psql(&between), "t", "{before} {found} {after}");
    let standby = &last["standbys"][0];
    let own = lab.psql(
        "select json_build_object('pid', pid, 'application_name', application_name,
         'client_addr', host(client_addr), 'client_port', client_port,
         'state', state, 'sync_state', sync_state) from pg_stat_replication",
    );
    let own: Value = serde_json::from_str(&own).unwrap();
    for (name, value) in own.as_object().unwrap() {
        assert_eq!(&standby[name], value, "{name}");
    }
    for lag in ["sent", "write", "flush", "replay"] {
        assert_eq!(standby[format!("{lag}_lag_bytes")], 0, "{standby}");
    }
    assert!(standby["reply_age_ms"].is_number());
    assert_eq!(last["synchronous_standby_names"], STANDBY);
    assert_eq!(last["slots"][0]["name"], STANDBY);
    assert_eq!(last["slots"][0]["active"], true);
    assert_eq!(last["timeline"], 1);
    assert!(last["receiver"].is_null() && last["replay"].is_null());
    let version = lab.psql("show server_version");
    assert_eq!(seen.at("/postgres/server_version"), version.as_str());
    assert!(version.starts_with(&format!("{}.", lab.major)), "{version}");
    assert_eq!(seen.outages(), Vec::<&Value>::new());
    assert_eq!(seen.at("/postgres/standbys/0/name"), STANDBY);
    assert_eq!(seen.stderr, "");
    let offsets = seen.list("/postgres/series").iter();
    let offsets: Vec<f64> = offsets
        .map(|one| one["offset_s"].as_f64().unwrap())
        .collect();
    assert!(offsets.is_sorted(), "{offsets:?}");
    assert!(*offsets.last().unwrap() <= seen.at("/window/duration_s").as_f64().unwrap());
}

#[test]
fn a_standby_that_does_not_reply_has_commits_wait() {
    let lab = Lab::start("pgwait");
    let mut tool = Watched::start(lab.primary(), DSN, &[]);
    tool.await_line(&[" 0 waiting for a standby"]);
    let receiver = lab.receiver();
    let frozen = Frozen::new(receiver).unwrap();
    thread::scope(|scope| {
        let commits = [0, 1].map(|_| scope.spawn(|| lab.psql(INSERT)));
        tool.await_line(&[" 2 waiting for a standby"]);
        drop(frozen);
        for commit in commits {
            commit.join().unwrap();
        }
    });
    tool.await_line(&[" 0 waiting for a standby"]);
    let seen = tool.finish();
    assert_eq!(seen.at("/postgres/sync_rep_waiters_max"), 2);
    let waits = seen.list("/postgres/series").iter().filter(|sample| {
        let mut waits = sample["waits"].as_array().unwrap().iter();
        waits.any(|w| w["type"] == "IPC" && w["event"] == "SyncRep" && w["backends"] == 2)
    });
    assert!(waits.count() > 0);
    // How long the longest of them waits is told wherever somebody does.
    for sample in seen.list("/postgres/series") {
        let longest = sample["sync_rep_longest_ms"].as_f64().unwrap();
        assert_eq!(longest > 0.0, sample["sync_rep_waiters"] != 0, "{sample}");
    }
    let lag = seen.at("/postgres/standbys/0/flush_lag_bytes_max");
    assert!(lag.as_i64().unwrap() > 0, "{lag}");
}

#[test]
fn a_restart_is_a_gap_and_not_the_end() {
    let mut lab = Lab::start("pgdown");
    let mut tool = Watched::start(lab.primary(), DSN, &[]);
    tool.await_line(&["primary"]);
    lab.pair.primary_mut().stop();
    tool.await_line(&["PostgreSQL: no sample for", "10.0.10.2"]);
    lab.restart_primary();
    tool.await_line(&["primary", STANDBY, "streaming sync"]);
    // As after a power cut, of which the server says nothing.
    lab.pair.primary_mut().crash();
    tool.await_line(&["PostgreSQL: no sample for"]);
    lab.restart_primary();
    tool.await_line(&["primary", "timeline 1"]);
    let seen = tool.finish();
    let gaps = seen.outages();
    assert!(gaps.len() >= 2, "{gaps:?}");
    for gap in gaps {
        assert!(gap["end"].is_string(), "{gap}");
        assert!(gap["duration_s"].as_f64() > Some(0.0), "{gap}");
        let (from, length) = (&gap["offset_s"], &gap["duration_s"]);
        let (from, length) = (from.as_f64().unwrap(), length.as_f64().unwrap());
        let inside = seen.list("/postgres/series").iter().filter(|sample| {
            let at = sample["offset_s"].as_f64().unwrap();
            from + 1e-6 < at && at < from + length - 1e-6
        });
        assert_eq!(inside.count(), 0, "there are samples in {gap}");
    }
    assert!(
        seen.warnings()
            .iter()
            .any(|one| one.starts_with("PostgreSQL: "))
    );
}

#[test]
fn a_standby_is_followed_through_its_promotion() {
    let mut lab = Lab::start("pgprom");
    let dsn = "host=10.0.10.3 user=postgres";
    let mut tool = Watched::start(lab.standby(), dsn, &[]);
    tool.await_line(&["standby", "timeline 1", "streaming from 10.0.10.2"]);
    lab.pair.primary_mut().stop();
    tool.await_line(&["receives nothing"]);
    let promoted = lab.pair.standby().value("select pg_promote()");
    assert_eq!(promoted.unwrap().as_deref(), Some("t"));
    tool.await_line(&["primary", "timeline 2"]);
    let seen = tool.finish();
    let roles = seen.list("/postgres/roles").iter();
    let roles: Vec<_> = roles
        .map(|turn| (turn["role"].as_str(), turn["timeline"].as_u64()))
        .collect();
    assert_eq!(roles.first(), Some(&(Some("standby"), Some(1))));
    assert_eq!(roles.last(), Some(&(Some("primary"), Some(2))));
    let first = &seen.list("/postgres/series")[0];
    assert_eq!(first["receiver"]["sender_host"], "10.0.10.2");
    assert_eq!(first["receiver"]["sender_port"], 5432);
    assert_eq!(first["replay"]["paused"], false);
}
