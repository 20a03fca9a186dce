//! What the report says that connections are for.

use std::process::Stdio;

use serde_json::Value;
use xtask::testbed::{command::Running, postgres::STANDBY, wait};

use crate::postgres::watched::{LIMIT, Lab, Seen, Watched};

/// The flows of this role, and how it is known.
fn flows<'a>(seen: &'a Seen, role: &str) -> Vec<(&'a Value, &'a str)> {
    let all = seen.list("/flows").iter();
    let ours = all.filter(|flow| flow["role"] == role);
    ours.map(|flow| (flow, flow["role_told_by"].as_str().unwrap()))
        .collect()
}

/// On every version.
pub(crate) fn replication_is_named_at_both_ends_and_clients_are_clients(lab: &Lab) {
    let mut psql = lab.standby().netns.command("psql");
    psql.args(["-h", "10.0.10.2", "-U", "postgres", "-Xc"])
        .arg("select pg_sleep(600)")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let psql = Running::new(psql.spawn().unwrap(), "psql");
    let asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    wait::until(LIMIT, "psql to sleep", || {
        Ok((lab.psql(asleep) == "1").then_some(()))
    })
    .unwrap();
    let sender = lab.psql("select pid from pg_stat_replication");
    let sender = lab.pair.primary().process(&sender).unwrap();

    // The primary asked, and traced.
    let dsn = "host=10.0.10.2 user=postgres";
    let mut tool = Watched::start(lab.primary(), dsn, &[]);
    tool.await_line(&["streaming sync"]);
    let seen = tool.finish();
    let [(sends, told_by)] = flows(&seen, "walsender")[..] else {
        panic!("{}", seen.at("/flows"));
    };
    assert_eq!(
        (&sends["standby"], told_by),
        (&Value::from(STANDBY), "postgres")
    );
    let words = format!("replication to {STANDBY} [{sender}]");
    assert!(seen.stdout.contains(&words), "{}", seen.stdout);
    let clients = flows(&seen, "client");
    assert!(
        clients.contains(&(client(&seen, "10.0.10.3"), "process")),
        "{clients:?}"
    );

    // The primary asked, and the standby traced.
    let mut tool = Watched::start(lab.standby(), dsn, &[]);
    tool.await_line(&["streaming sync"]);
    let seen = tool.finish();
    let [(receives, told_by)] = flows(&seen, "walreceiver")[..] else {
        panic!("{}", seen.at("/flows"));
    };
    assert_eq!(
        (&receives["standby"], told_by),
        (&Value::from(STANDBY), "postgres")
    );
    let words = format!(
        "replication from 10.0.10.2 [{}]",
        receives["process"]["pid"]
    );
    assert!(seen.stdout.contains(&words), "{}", seen.stdout);
    let clients = flows(&seen, "client");
    let of_psql = |(flow, _): &&(&Value, &str)| flow["process"]["pid"] == psql.pid().as_raw();
    assert_eq!(clients.iter().find(of_psql).unwrap().1, "port");

    // The standby asked, and traced.
    let mut tool = Watched::start(lab.standby(), "host=10.0.10.3 user=postgres", &[]);
    tool.await_line(&["streaming from 10.0.10.2"]);
    let seen = tool.finish();
    let [(_, told_by)] = flows(&seen, "walreceiver")[..] else {
        panic!("{}", seen.at("/flows"));
    };
    assert_eq!(told_by, "postgres");

    // Nobody asked.
    let mut tool = Watched::start(lab.primary(), "host=/nonexistent", &[]);
    tool.await_line(&["no sample for"]);
    let seen = tool.finish();
    let [(sends, told_by)] = flows(&seen, "walsender")[..] else {
        panic!("{}", seen.at("/flows"));
    };
    assert_eq!((&sends["standby"], told_by), (&Value::Null, "process"));
    let words = format!("replication to 10.0.10.3 [{sender}]");
    assert!(seen.stdout.contains(&words), "{}", seen.stdout);
}

/// The flow from the primary to its client there.
fn client<'a>(seen: &'a Seen, address: &str) -> &'a Value {
    let mut all = seen.list("/flows").iter();
    let ours = |flow: &&Value| flow["remote"]["address"] == address && flow["role"] == "client";
    all.find(ours).unwrap()
}
