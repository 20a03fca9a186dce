//! Connections: the probe takes few, gives them back when they get scarce, and leaves
//! none behind, also where commits hang.

use std::time::Duration;

use xtask::testbed::{
    netns::{Host, Net},
    postgres::{Alone, Connection, Frozen, Server},
    wait,
};

use crate::postgres::{
    footprint,
    watched::{LIMIT, Lab, Watched},
};

const DSN: &str = "host=10.0.10.2 user=postgres dbname=postgres";
const OURS: &str = "select count(*) from pg_stat_activity where application_name = 'tracer'";

fn value(server: &Server, sql: &str) -> String {
    server.value(sql).unwrap().unwrap_or_default()
}

/// From now on, no commit is answered: the standby that it waits for is dead.
fn hang(server: &Server) {
    value(
        server,
        "alter system set synchronous_standby_names = 'gone'",
    );
    value(server, "select pg_reload_conf()");
}

fn application(host: &Host, server: &Server, count: usize) -> Vec<Connection> {
    let limit = Duration::from_secs(30);
    let connect = |_| Connection::tcp_as("app", server.address(), "app", limit);
    let connected = host.netns.enter(|| (0..count).map(connect).collect());
    connected.unwrap()
}

#[test]
fn the_application_gets_the_connections_that_it_needs() {
    let net = Net::pair("pgfew", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let alone = Alone::start(host, &[("max_connections", "25")]).unwrap();
    let server = alone.server();
    value(server, "create role app login");
    // Of 25, 3 are reserved.
    let few = application(host, server, 5);
    let before = footprint::of(server);
    let mut tool = Watched::start(host, DSN, &["--commit-probe", "20"]);
    tool.await_line(&["probe: 2 commits"]);
    hang(server);
    tool.await_line(&["1 commits in flight", "commits not started"]);
    // One looks, one commits, one reads.
    assert_eq!(value(server, OURS), "3");
    let more = application(host, server, 14);
    // The last ones are the application's.
    wait::until(LIMIT, "the probe to give back what it had", || {
        Ok((value(server, OURS) == "1").then_some(()))
    })
    .unwrap();
    let last = application(host, server, 2);
    let full = host.netns.enter(|| {
        let limit = Duration::from_secs(30);
        Ok(Connection::tcp_as("app", server.address(), "app", limit).err())
    });
    let full = format!("{:#}", full.unwrap().unwrap());
    assert!(full.contains("reserved"), "{full}");
    tool.await_line(&["commits not started"]);
    drop((more, last));
    // There is room again, and a commit waits.
    tool.await_line(&["1 commits in flight"]);
    let seen = tool.finish();
    assert_eq!(footprint::of(server), before);
    drop(few);

    let commits = &seen.probe().commits;
    assert_eq!(commits.most_outstanding, 1);
    let failures = &commits.failures;
    assert_eq!(failures.len(), 1, "{commits:?}");
    assert!(
        failures
            .keys()
            .all(|why| why.contains("few connections left"))
    );
    let warnings = seen.warnings();
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}");
    };
    let words = ["no more than 0 commits", "max_connections", "an eighth"];
    for word in words {
        assert!(warning.contains(word), "{warning}");
    }
}

#[test]
fn connections_that_a_hang_needed_are_given_back_when_it_is_over() {
    let net = Net::pair("pgback", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let alone = Alone::start(host, &[]).unwrap();
    let server = alone.server();
    let before = footprint::of(server);
    let mut tool = Watched::start(host, DSN, &["--commit-probe", "20"]);
    tool.await_line(&["probe: 2 commits"]);
    let ours = || value(server, OURS).parse::<u32>().unwrap();
    let few = ours();
    hang(server);
    tool.await_line(&["commits not started"]);
    let many = ours();
    assert!(many > few + 8, "{many} after {few}");
    value(server, "alter system reset synchronous_standby_names");
    value(server, "select pg_reload_conf()");
    // Within two periods; where commits are slow for another reason, as on a machine that is
    // busy, some of them are needed.
    let limit = Duration::from_secs(100);
    wait::until(limit, "the probe to give back what it had", || {
        Ok((ours() + 8 <= many).then_some(()))
    })
    .unwrap();
    // It goes on with those that are left.
    tool.await_line(&["probe: 2 commits"]);
    let seen = tool.finish();
    assert_eq!(footprint::of(server), before);
    let commits = &seen.probe().commits;
    assert!(commits.most_outstanding > 8, "{commits:?}");
    assert!(commits.failures.is_empty(), "{commits:?}");
}

#[test]
fn a_role_s_own_limit_counts_as_well() {
    let net = Net::pair("pgrole", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    // The probe's commits are commits also where the log serves nobody.
    let settings = [("wal_level", "minimal"), ("max_wal_senders", "0")];
    let alone = Alone::start(host, &settings).unwrap();
    let server = alone.server();
    value(
        server,
        "create role app login connection limit 6 in role pg_monitor",
    );
    let dsn = "host=10.0.10.2 user=app dbname=postgres";
    let mut tool = Watched::start(host, dsn, &["--commit-probe", "20"]);
    tool.await_line(&["the commit probe waits for room", "CONNECTION LIMIT"]);
    assert_eq!(value(server, OURS), "1");
    value(server, "alter role app connection limit 30");
    tool.await_line(&["probe: 2 commits"]);
    let seen = tool.finish();
    // An eighth of 29, one of them for reads.
    assert_eq!(seen.probe().commits.most_outstanding, 2);
    assert_eq!(value(server, OURS), "0");
}

#[test]
fn no_backend_is_left_however_many_commits_hang() {
    let lab = Lab::start("pgleft");
    let folder = lab.pair.primary().socket_dir().display().to_string();
    for dsn in [DSN, &format!("host={folder} user=postgres dbname=postgres")] {
        let before = footprint::of(lab.pair.primary());
        let mut tool = Watched::start(lab.primary(), dsn, &["--commit-probe", "100"]);
        tool.await_line(&["probe: ", " commits, p50 "]);
        let frozen = Frozen::new(lab.receiver()).unwrap();
        tool.await_line(&["32 waiting for a standby", "32 commits in flight"]);
        let seen = tool.finish();
        // At once, while the standby still does not reply.
        assert_eq!(footprint::of(lab.pair.primary()), before);
        drop(frozen);
        assert_eq!(seen.probe().commits.outstanding, 32);
        assert_eq!(seen.probe().commits.failed, 0);
        assert_eq!(seen.warnings(), Vec::<&str>::new());
    }
}

#[test]
fn a_connection_that_the_server_does_not_close_is_told() {
    let lab = Lab::start("pgstuck");
    let mut tool = Watched::start(lab.primary(), DSN, &[]);
    tool.await_line(&["streaming sync"]);
    let pid = lab.psql("select pid from pg_stat_activity where application_name = 'tracer'");
    let process = lab.pair.primary().process(&pid).unwrap();
    let frozen = Frozen::new(process).unwrap();
    let seen = tool.finish();
    let warnings = seen.warnings();
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}");
    };
    let words = [
        "1 of tracer's connections",
        "may still be open",
        "tracer in",
    ];
    for word in words {
        assert!(warning.contains(word), "{warning}");
    }
    drop(frozen);
    wait::until(LIMIT, "the backend to end", || {
        Ok((lab.psql(OURS) == "0").then_some(()))
    })
    .unwrap();
}
