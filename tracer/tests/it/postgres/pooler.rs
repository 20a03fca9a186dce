//! Through a real PgBouncer: what it lends to tracer it gets back as it was.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use xtask::testbed::{
    postgres::{Connection, Frozen, POOLER_PORT, Pooler},
    wait,
};

use crate::postgres::{
    footprint,
    refused::refused,
    watched::{LIMIT, Lab, Watched},
};

const DSN: &str = "host=10.0.10.2 port=6432 user=postgres dbname=postgres";
const INSERT: &str = "insert into lab (note) values ('pooled')";
/// All of a session that outlives a transaction.
const SESSION: &str = "select concat_ws(E'\\n', pg_backend_pid(),
  (select string_agg(concat_ws('=', name, setting, source), E'\\n' order by name)
    from pg_settings where name <> 'transaction_read_only'),
  (select string_agg(name, ' ') from pg_prepared_statements),
  (select string_agg(name, ' ') from pg_cursors),
  (select count(*) from pg_locks where locktype = 'advisory'),
  pg_my_temp_schema(), current_setting('transaction_read_only'))";

fn pooler(lab: &Lab, mode: &str, size: u32) -> Pooler {
    let address = lab.pair.primary().address();
    Pooler::start(lab.primary(), address, mode, size).unwrap()
}

/// Does something as a client of the pooler's.
fn inside<T: Send>(lab: &Lab, work: impl FnOnce() -> T + Send) -> T {
    lab.primary().netns.enter(|| Ok(work())).unwrap()
}

/// Every session that the pooler has to lend, by process.
fn sessions(lab: &Lab, pooler: &Pooler, mode: &str, size: u32) -> Vec<String> {
    inside(lab, || {
        let mut clients: Vec<Connection> = (0..size)
            .map(|_| {
                pooler
                    .connect()
                    .unwrap_or_else(|error| panic!("{error:#}\n{}", pooler.log()))
            })
            .collect();
        let in_turn = |sql: &mut Connection, text: &str| sql.value(text).unwrap();
        let mut found: Vec<String> = clients
            .iter_mut()
            .map(|sql| {
                // Held until all have one.
                if mode != "statement" {
                    in_turn(sql, "begin");
                }
                in_turn(sql, SESSION).unwrap()
            })
            .collect();
        for sql in &mut clients {
            if mode != "statement" {
                in_turn(sql, "commit");
            }
        }
        found.sort();
        found
    })
}

/// An application that goes on writing while something else is done.
fn beside<T>(lab: &Lab, pooler: &Pooler, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let application = scope.spawn(|| {
            inside(lab, || {
                let mut written = 0u64;
                while !done.load(Relaxed) {
                    let mut sql = pooler.connect().unwrap();
                    for _ in 0..5 {
                        sql.query(INSERT).unwrap();
                        written += 1;
                    }
                }
                written
            })
        });
        let end = Ended(&done);
        let outcome = work();
        drop(end);
        assert!(application.join().unwrap() > 0);
        outcome
    })
}

/// Says so when it is dropped, also by a panic.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn as_before(mode: &str, size: u32) {
    let mut lab = Lab::start("pgpool");
    lab.psql("alter system set shared_preload_libraries = 'pg_stat_statements'");
    lab.restart_primary();
    lab.psql("create extension pg_stat_statements");
    let pooler = pooler(&lab, mode, size);
    // The session is somebody else's, and so is what is found in it first.
    inside(&lab, || {
        let mut sql = pooler.connect().unwrap();
        sql.query("create temp table pg_stat_replication (note text)")
            .unwrap();
    });
    let (sessions_before, before) = (
        sessions(&lab, &pooler, mode, size),
        footprint::of(lab.pair.primary()),
    );
    assert_eq!(sessions_before.len(), size as usize);
    let seen = beside(&lab, &pooler, || {
        let mut tool = Watched::start(lab.primary(), DSN, &["--commit-probe", "20"]);
        tool.await_line(&["streaming sync"]);
        tool.await_line(&["probe: ", " commits, p50 ", " reads, p50 "]);
        // The application's writes go on, and so do its reads of others' tables.
        tool.await_line(&["probe: 2 commits"]);
        tool.finish()
    });
    // The same processes, and nothing about them is different.
    assert_eq!(sessions(&lab, &pooler, mode, size), sessions_before);
    assert_eq!(footprint::of(lab.pair.primary()), before);
    inside(&lab, || {
        let mut sql = pooler.connect().unwrap();
        sql.query(INSERT).unwrap();
        assert_eq!(
            sql.value("show application_name").unwrap().as_deref(),
            Some("")
        );
    });
    let commits = &seen.probe().commits;
    assert!(commits.answered > 0, "{commits:?}");
    assert_eq!(commits.failed, 0, "{commits:?}");
    // Each may be the last that the pooler has.
    assert_eq!(commits.most_outstanding, 1);
    assert_eq!(seen.probe().reads.most_outstanding, 1);
    for warning in seen.warnings() {
        assert!(warning.contains("it goes through a pooler"), "{warning}");
    }
    assert!(seen.outages().is_empty(), "{:?}", seen.outages());
    assert_eq!(seen.postgres().sees_all, Some(true));
    // Our own looks were kept from being counted, and nobody else's.
    let statements = seen.postgres().statements.as_ref().unwrap();
    assert_eq!(statements.without_own_role, Some(false));
    let track = inside(&lab, || {
        let mut sql = pooler.connect().unwrap();
        sql.value("show pg_stat_statements.track").unwrap()
    });
    assert_eq!(track.as_deref(), Some("top"));
}

#[test]
fn nothing_stays_on_the_one_connection_that_is_lent() {
    as_before("transaction", 1);
}

#[test]
fn nothing_stays_on_any_of_four() {
    as_before("transaction", 4);
}

#[test]
fn statements_may_be_pooled_one_by_one() {
    as_before("statement", 1);
}

#[test]
fn what_fails_or_is_given_up_leaves_no_transaction_open() {
    let lab = Lab::start("pgpoollock");
    let pooler = pooler(&lab, "transaction", 1);
    let before = sessions(&lab, &pooler, "transaction", 1);
    let mut tool = Watched::start(lab.primary(), DSN, &[]);
    tool.await_line(&["streaming sync"]);
    let mut lock = lab.pair.primary().connect().unwrap();
    let hold = "begin; lock table pg_catalog.pg_stat_wal_receiver in access exclusive mode";
    lock.query(hold).unwrap();
    // The look fails by its own bound, and the application gets its turn.
    tool.await_line(&["no sample for", "lock timeout"]);
    inside(&lab, || pooler.connect().unwrap().query(INSERT).unwrap());
    lock.query("commit").unwrap();
    tool.await_line(&["streaming sync"]);
    // The tool ends in the middle of a look.
    lock.query(hold).unwrap();
    let stuck = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
    wait::until(LIMIT, "a look that waits", || {
        Ok((lab.psql(stuck) == "1").then_some(()))
    })
    .unwrap();
    tool.finish();
    assert_eq!(lab.psql(stuck), "0");
    lock.query("commit").unwrap();
    assert_eq!(sessions(&lab, &pooler, "transaction", 1), before);
}

#[test]
fn a_commit_that_hangs_gives_its_connection_back_at_the_end() {
    let lab = Lab::start("pgpoolhang");
    let pooler = pooler(&lab, "transaction", 2);
    let before = sessions(&lab, &pooler, "transaction", 2);
    let mut tool = Watched::start(lab.primary(), DSN, &["--commit-probe", "20"]);
    tool.await_line(&["probe: ", " commits, p50 "]);
    let frozen = Frozen::new(lab.receiver()).unwrap();
    // The application's second connection stays its own.
    tool.await_line(&[" 1 waiting for a standby", "1 commits in flight"]);
    inside(&lab, || {
        let mut sql = pooler.connect().unwrap();
        assert_eq!(sql.value("select 1").unwrap().as_deref(), Some("1"));
    });
    let seen = tool.finish();
    let waits = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
    assert_eq!(lab.psql(waits), "0");
    assert_eq!(seen.probe().commits.outstanding, 1);
    drop(frozen);
    assert_eq!(sessions(&lab, &pooler, "transaction", 2), before);
    let warnings = seen.warnings();
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}");
    };
    assert!(warning.contains("through a pooler"), "{warning}");
}

#[test]
fn what_a_pooler_refuses_is_one_line_with_the_remedy() {
    let lab = Lab::start("pgpoolno");
    let _pooler = pooler(&lab, "transaction", 1);
    refused(
        &lab,
        &format!("{DSN} options='-c geqo=off'"),
        &["unsupported startup parameter: options", "PGOPTIONS"],
    );
    let console = format!("host=10.0.10.2 port={POOLER_PORT} user=postgres dbname=pgbouncer");
    refused(&lab, &console, &["console", "dbname="]);
}
