//! A primary whose every table is published: subscribers get what is the application's.

use xtask::testbed::{
    netns::Net,
    postgres::{Alone, Server},
    wait,
};

use crate::postgres::{
    footprint,
    watched::{LIMIT, Watched},
};

const DSN: &str = "host=10.0.10.2 user=postgres dbname=postgres";
const INSERT: &str = "insert into lab (note) values ('published')";
const COUNT: &str = "select count(*) from lab";

fn value(server: &Server, sql: &str) -> String {
    server.value(sql).unwrap().unwrap_or_default()
}

fn await_value(server: &Server, sql: &str, expected: &str) {
    wait::until(LIMIT, sql, || {
        Ok((value(server, sql) == expected).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", server.log_tail()));
}

#[test]
fn subscribers_see_nothing_of_the_probe() {
    let net = Net::pair("pgpub", "ens160").unwrap();
    let (one, two) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let publisher = Alone::start(one, &[("wal_level", "logical")]).unwrap();
    let subscriber = Alone::start(two, &[]).unwrap();
    let (publisher, subscriber) = (publisher.server(), subscriber.server());
    value(publisher, "create publication everything for all tables");
    let decoded = "select pg_create_logical_replication_slot('decoded', 'test_decoding')";
    value(publisher, decoded);
    let subscribe = format!("create subscription mirror connection '{DSN}' publication everything");
    value(subscriber, &subscribe);
    value(publisher, INSERT);
    await_value(subscriber, COUNT, "1");
    let worker = "select active_pid from pg_replication_slots where slot_name = 'mirror'";
    let (before, worker_before) = (footprint::of(publisher), value(publisher, worker));

    let mut tool = Watched::start(one, DSN, &["--commit-probe", "50"]);
    tool.await_line(&["probe: 5 commits"]);
    value(publisher, INSERT);
    await_value(subscriber, COUNT, "2");
    let seen = tool.finish();
    value(publisher, INSERT);
    await_value(subscriber, COUNT, "3");

    // The worker that applied the first row has applied the last.
    assert_eq!(value(publisher, worker), worker_before);
    assert_eq!(footprint::of(publisher), before);
    let errors = "select sum(apply_error_count) from pg_stat_subscription_stats";
    assert_eq!(value(subscriber, errors), "0");
    let log = subscriber.log_tail();
    assert!(!log.contains("tracer_probe"), "{log}");
    // Nothing of it keeps the log.
    let behind = "select pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) <= 0
        from pg_replication_slots where slot_name = 'mirror'";
    await_value(publisher, behind, "t");

    // Who decodes everything finds messages that are known by their prefix, one a commit.
    let changes = |of: &str| {
        format!(
            "select count(*) from pg_logical_slot_peek_changes('decoded', null, null)
             where data like '{of}'"
        )
    };
    let messages = changes("message: transactional: 1 prefix: tracer_probe, sz: 0 content:%");
    let answered = seen.probe().commits.answered;
    assert_eq!(value(publisher, &messages), answered.to_string());
    assert_eq!(
        value(publisher, &changes("message:%")),
        answered.to_string()
    );
    assert_eq!(value(publisher, &changes("table %")), "3");
    assert_eq!(
        value(publisher, &changes("table public.lab: INSERT:%")),
        "3"
    );
    assert_eq!(seen.warnings(), Vec::<&str>::new());
}
