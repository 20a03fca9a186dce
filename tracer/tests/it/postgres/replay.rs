//! Why replay stood on a standby, on real servers that are both asked.

use std::cell::RefCell;
use std::thread;
use std::time::Duration;

use tracer_core::merge::merge;
use tracer_core::merge::model::Merged;
use tracer_core::report::Report;
use tracer_core::report::finding::Cause;
use xtask::testbed::netns::Host;
use xtask::testbed::postgres::Server;
use xtask::testbed::wait;

use crate::postgres::commits::INSERT;
use crate::postgres::watched::{LIMIT, Lab, Watched};

/// Longer than all that is not held up on purpose.
const HELD: Duration = Duration::from_millis(2_400);

/// What both hosts say of this together.
fn asked(lab: &Lab, during: impl FnOnce()) -> Merged {
    let start = |host: &Host, server: &Server| {
        let dsn = format!("host={} user=postgres", server.socket_dir().display());
        Watched::start(host, &dsn, &["--commits", "--netns", host.netns.name()])
    };
    let mut db1 = start(lab.primary(), lab.pair.primary());
    let db2 = start(lab.standby(), lab.pair.standby());
    db1.await_line(&["streaming sync"]);
    during();
    // What was sent last is acknowledged within a delayed acknowledgement.
    lab.psql(INSERT);
    let reports = [db1.finish(), db2.finish()];
    let reports = reports.map(|seen| Report::read(seen.json.as_bytes()).unwrap());
    let merged = merge(reports, ["db1", "db2"]).unwrap();
    let json = serde_json::to_value(&merged).unwrap();
    for pointer in merged.findings.iter().flat_map(|one| &one.finding.evidence) {
        assert!(json.pointer(pointer).is_some(), "{pointer}");
    }
    merged
}

/// A commit that waits for its replay, which is held up by `hold` until `release`.
fn wait_for_replay(lab: &Lab, hold: impl FnOnce(), release: impl FnOnce()) -> Merged {
    asked(lab, || {
        let mut sql = lab.pair.primary().connect().unwrap();
        sql.query("set synchronous_commit = remote_apply").unwrap();
        sql.query(INSERT).unwrap();
        hold();
        thread::scope(|scope| {
            let commit = scope.spawn(|| sql.query(INSERT).unwrap());
            // How long it is held up is what is measured.
            thread::sleep(HELD);
            release();
            commit.join().unwrap();
        });
    })
}

/// Why replay stood, by the standby's own samples.
fn assert_why(merged: &Merged, words: &str) {
    let first = &merged.findings[0].finding;
    assert_eq!(first.cause, Cause::StandbyApply, "{first:?}");
    assert!(
        first.text.contains("samples with WAL to replay"),
        "{first:?}"
    );
    assert!(first.text.contains(words), "{first:?}");
    let is_of_replay = |one: &String| one.starts_with("/reports/1/") && one.ends_with("/replay");
    assert!(first.evidence.iter().any(is_of_replay), "{first:?}");
}

#[test]
fn that_replay_was_paused_is_said_by_the_standby() {
    let lab = Lab::start("pgreplaypause");
    let standby = lab.pair.standby();
    let value = |sql: &str| drop(standby.value(sql).unwrap());
    let merged = wait_for_replay(
        &lab,
        || value("select pg_wal_replay_pause()"),
        || value("select pg_wal_replay_resume()"),
    );
    assert_why(&merged, "replay was paused (pg_wal_replay_pause)");
}

#[test]
fn that_replay_waited_for_a_query_is_said_by_the_standby() {
    let lab = Lab::start("pgreplayquery");
    let mut query = lab.pair.standby().connect().unwrap();
    lab.psql(INSERT);
    wait::until(LIMIT, "the standby to have a row", || {
        let rows = query.value("select count(*) > 0 from lab")?;
        Ok((rows.as_deref() == Some("t")).then_some(()))
    })
    .unwrap();
    let query = RefCell::new(query);
    let merged = wait_for_replay(
        &lab,
        || {
            let mut query = query.borrow_mut();
            query
                .query("begin isolation level repeatable read")
                .unwrap();
            query.query("select count(*) from lab").unwrap();
            lab.psql("delete from lab");
            lab.psql("vacuum lab");
        },
        || drop(query.borrow_mut().query("commit").unwrap()),
    );
    assert_why(&merged, "RecoveryConflictSnapshot");
}
