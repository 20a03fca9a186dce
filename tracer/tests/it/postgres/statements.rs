//! How many statements ran, by a real server's own statistics and by those who ran them.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use tracer_core::report::statements::{Account, Pace, Statements};
use xtask::testbed::wait;

use crate::postgres::watched::{LIMIT, Lab, Seen, Watched};

const DSN: &str = "host=10.0.10.2 user=postgres dbname=postgres";
const WATCHER: &str = "host=10.0.10.2 user=watcher dbname=postgres";
const WRITE: &str = "insert into lab (note) values ('counted')";
const READ: &str = "select count(*) from lab";
/// Neither public nor a plain word.
const SCHEMA: &str = "\"Of others\"";

/// Samples that have both sorts.
fn counted(seen: &Seen) -> Vec<&Statements> {
    let all = seen.postgres().series.iter();
    all.filter_map(|one| one.sample.statements.as_ref())
        .collect()
}

fn account(seen: &Seen) -> &Account {
    seen.postgres().statements.as_ref().unwrap()
}

/// How many writes and reads there were, by samples as by the account of all.
fn sums(seen: &Seen) -> (u64, u64) {
    let all = counted(seen);
    let sum = |sort: fn(&Statements) -> &Pace| {
        for pace in all.iter().map(|one| sort(one)) {
            assert!(pace.calls_per_s >= 0.0, "{pace:?}");
            assert_eq!(pace.mean_ms.is_none(), pace.calls == 0, "{pace:?}");
            assert_ne!(pace.mean_ms, Some(0.0), "{pace:?}");
        }
        all.iter().map(|one| sort(one).calls).sum::<u64>()
    };
    let (writes, reads) = (sum(|one| &one.writes), sum(|one| &one.reads));
    let account = account(seen);
    assert_eq!(account.writes.as_ref().unwrap().calls, writes);
    assert_eq!(account.reads.as_ref().unwrap().calls, reads);
    (writes, reads)
}

/// A run that learns nothing of statements, and why.
fn without(lab: &Lab, dsn: &str) -> String {
    let mut tool = Watched::start(lab.primary(), dsn, &[]);
    tool.await_line(&["primary"]);
    tool.await_line(&["streaming sync"]);
    let seen = tool.finish();
    assert!(counted(&seen).is_empty());
    // Nothing else is missing for it.
    assert!(seen.outages().is_empty(), "{:?}", seen.outages());
    assert_eq!(seen.warnings(), Vec::<&str>::new());
    assert!(!seen.stdout.contains("writes/s"), "{}", seen.stdout);
    let account = account(&seen);
    assert_eq!(account.schema, None);
    assert!(account.writes.is_none() && account.reads.is_none());
    account.reason.clone().unwrap()
}

/// Waits until the tool asks the server anew.
fn await_look(lab: &Lab) {
    let begun = "select query_start from pg_stat_activity where application_name = 'tracer'";
    let before = lab.psql(begun);
    wait::until(LIMIT, "another look", || {
        Ok((lab.psql(begun) != before).then_some(()))
    })
    .unwrap();
}

/// Runs two reads for each write until told to stop, and returns how many writes. What
/// becomes of them is seen by `look`.
fn beside(lab: &Lab, look: impl FnOnce()) -> u64 {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let work = scope.spawn(|| {
            let mut sql = lab.pair.primary().connect().unwrap();
            let mut count = 0;
            while !done.load(Relaxed) {
                for text in [WRITE, READ, READ] {
                    sql.query(text).unwrap();
                }
                count += 1;
            }
            count
        });
        // Also when it fails: the scope ends when the work does.
        let end = Ended(&done);
        look();
        drop(end);
        work.join().unwrap()
    })
}

/// Says so when it is dropped.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn counts_what_runs(lab: &Lab, dsn: &str) -> Seen {
    lab.psql(&format!("select {SCHEMA}.pg_stat_statements_reset()"));
    let mut tool = Watched::start(lab.primary(), dsn, &[]);
    tool.await_line(&["streaming sync"]);
    let count = beside(lab, || {
        tool.await_line(&[" writes/s of ", " reads/s of "]);
    });
    assert!(count > 0);
    tool.await_line(&[", 0 writes/s, 0 reads/s"]);
    let seen = tool.finish();
    // No more and no less: our own looks are not among them.
    assert_eq!(sums(&seen), (count, 2 * count));
    let own = format!(
        "select sum(total_exec_time) / sum(calls) from {SCHEMA}.pg_stat_statements
         where query like 'insert into lab %'"
    );
    let own: f64 = lab.psql(&own).parse().unwrap();
    let account = account(&seen);
    let mean = account.writes.as_ref().unwrap().mean_ms.unwrap();
    assert!((mean / own - 1.0).abs() < 1e-6, "{mean} {own}");
    assert!(
        seen.stdout.contains(&format!(": {count} writes of ")),
        "{}",
        seen.stdout
    );
    assert_eq!(account.schema.as_deref(), Some(SCHEMA));
    assert_eq!(account.reason, None);
    seen
}

/// On every version.
pub(crate) fn statements_are_counted_where_the_extension_is(lab: &mut Lab) {
    let reason = without(lab, DSN);
    assert!(
        reason.contains("no extension pg_stat_statements"),
        "{reason}"
    );
    lab.psql(&format!("create schema {SCHEMA}"));
    lab.psql(&format!(
        "create extension pg_stat_statements schema {SCHEMA}"
    ));
    let reason = without(lab, DSN);
    assert!(reason.contains("shared_preload_libraries"), "{reason}");
    lab.psql("create role watcher login in role pg_monitor");
    lab.psql("alter system set shared_preload_libraries = 'pg_stat_statements'");
    lab.restart_primary();
    let reason = without(lab, WATCHER);
    assert!(reason.contains("permission denied"), "{reason}");

    let seen = counts_what_runs(lab, DSN);
    assert_eq!(account(&seen).without_own_role, Some(false));
    lab.psql(&format!("grant usage on schema {SCHEMA} to watcher"));
    let seen = counts_what_runs(lab, WATCHER);
    assert_eq!(account(&seen).without_own_role, Some(true));
    let exception = ", without role watcher's own";
    assert!(seen.stdout.contains(exception), "{}", seen.stdout);

    // A reset in between is a sample of which nothing is known, and none below zero.
    let mut tool = Watched::start(lab.primary(), DSN, &[]);
    beside(lab, || {
        tool.await_line(&[" writes/s of "]);
        lab.psql(&format!("select {SCHEMA}.pg_stat_statements_reset()"));
        // What is shown may be older: a look that begins after another one has begun
        // since then is the second.
        for _ in 0..3 {
            await_look(lab);
        }
    });
    let seen = tool.finish();
    sums(&seen);
    let series = seen.postgres().series.iter();
    let known: Vec<bool> = series.map(|one| one.sample.statements.is_some()).collect();
    let unknown = known.iter().skip(1).filter(|known| !**known).count();
    assert_eq!(unknown, 1, "{known:?}");
    assert!(!known[0] && known[1], "{known:?}");
}
