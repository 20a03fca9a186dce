//! How many statements ran, by a real server's own statistics and by those who ran them.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use serde_json::Value;
use xtask::testbed::wait;

use crate::postgres::watched::{LIMIT, Lab, Seen, Watched};

const DSN: &str = "host=10.0.10.2 user=postgres dbname=postgres";
const WATCHER: &str = "host=10.0.10.2 user=watcher dbname=postgres";
const WRITE: &str = "insert into lab (note) values ('counted')";
const READ: &str = "select count(*) from lab";
/// Neither public nor a plain word.
const SCHEMA: &str = "\"Of others\"";

/// Samples that have both sorts.
fn counted(seen: &Seen) -> Vec<&Value> {
    let all = seen.list("/postgres/series").iter();
    let all: Vec<&Value> = all.map(|sample| &sample["statements"]).collect();
    let found = all.into_iter().filter(|one| !one.is_null());
    found.collect()
}

fn sum(seen: &Seen, sort: &str) -> u64 {
    let all = counted(seen);
    let calls = all.iter().map(|one| one[sort]["calls"].as_u64().unwrap());
    let sum = calls.sum();
    assert_eq!(seen.at(&format!("/postgres/statements/{sort}/calls")), sum);
    for one in all {
        let pace = &one[sort];
        assert!(pace["calls_per_s"].as_f64().unwrap() >= 0.0, "{pace}");
        assert_eq!(pace["mean_ms"].is_null(), pace["calls"] == 0, "{pace}");
        assert!(pace["mean_ms"].as_f64() != Some(0.0), "{pace}");
    }
    sum
}

/// A run that learns nothing of statements, and why.
fn without(lab: &Lab, dsn: &str) -> String {
    let mut tool = Watched::start(lab.primary(), dsn, &[]);
    tool.await_line(&["primary"]);
    tool.await_line(&["streaming sync"]);
    let seen = tool.finish();
    assert_eq!(counted(&seen), Vec::<&Value>::new());
    // Nothing else is missing for it.
    assert_eq!(seen.outages(), Vec::<&Value>::new());
    assert_eq!(seen.warnings(), Vec::<&str>::new());
    assert!(!seen.stdout.contains("writes/s"), "{}", seen.stdout);
    for of in ["schema", "writes", "reads"] {
        assert!(seen.at(&format!("/postgres/statements/{of}")).is_null());
    }
    let reason = seen.at("/postgres/statements/reason");
    reason.as_str().unwrap().to_owned()
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
    assert_eq!(
        (sum(&seen, "writes"), sum(&seen, "reads")),
        (count, 2 * count)
    );
    let own = format!(
        "select sum(total_exec_time) / sum(calls) from {SCHEMA}.pg_stat_statements
         where query like 'insert into lab %'"
    );
    let own: f64 = lab.psql(&own).parse().unwrap();
    let mean = seen.at("/postgres/statements/writes/mean_ms");
    let mean = mean.as_f64().unwrap();
    assert!((mean / own - 1.0).abs() < 1e-6, "{mean} {own}");
    assert!(
        seen.stdout.contains(&format!(": {count} writes of ")),
        "{}",
        seen.stdout
    );
    assert_eq!(seen.at("/postgres/statements/schema"), SCHEMA);
    assert!(seen.at("/postgres/statements/reason").is_null());
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
    assert_eq!(seen.at("/postgres/statements/without_own_role"), false);
    lab.psql(&format!("grant usage on schema {SCHEMA} to watcher"));
    let seen = counts_what_runs(lab, WATCHER);
    assert_eq!(seen.at("/postgres/statements/without_own_role"), true);
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
    sum(&seen, "writes");
    sum(&seen, "reads");
    let series = seen.list("/postgres/series");
    let known: Vec<bool> = series
        .iter()
        .map(|one| !one["statements"].is_null())
        .collect();
    let unknown = known.iter().skip(1).filter(|known| !**known).count();
    assert_eq!(unknown, 1, "{known:?}");
    assert!(!known[0] && known[1], "{known:?}");
}
