//! What the report says that connections are for.

use std::process::Stdio;

use nix::unistd::Pid;
use tracer_core::report::FlowReport;
use tracer_core::report::role::{Kind, ToldBy};
use xtask::testbed::{command::Running, postgres::STANDBY, wait};

use crate::postgres::watched::{LIMIT, Lab, Seen, Watched};

/// The flows of this role.
pub(crate) fn flows(seen: &Seen, role: Kind) -> Vec<&FlowReport> {
    let all = seen.report.flows.iter();
    all.filter(|flow| flow.role.kind == role).collect()
}

/// The one flow of this role, whose standby it is, and how that is known.
fn only(seen: &Seen, role: Kind) -> (&FlowReport, Option<&str>, Option<ToldBy>) {
    let [flow] = flows(seen, role)[..] else {
        panic!("{:?}", seen.report.flows);
    };
    (flow, flow.role.standby.as_deref(), flow.role.told_by)
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
    let (_, standby, told_by) = only(&seen, Kind::Walsender);
    assert_eq!((standby, told_by), (Some(STANDBY), Some(ToldBy::Postgres)));
    let words = format!("replication to {STANDBY} [{sender}]");
    assert!(seen.stdout.contains(&words), "{}", seen.stdout);
    let clients = flows(&seen, Kind::Client);
    let mut there = clients
        .iter()
        .filter(|flow| flow.remote.address == lab.standby().v4);
    let there = there.next().unwrap_or_else(|| panic!("{clients:?}"));
    assert_eq!(there.role.told_by, Some(ToldBy::Process));

    // The primary asked, and the standby traced.
    let mut tool = Watched::start(lab.standby(), dsn, &[]);
    tool.await_line(&["streaming sync"]);
    let seen = tool.finish();
    let (receives, standby, told_by) = only(&seen, Kind::Walreceiver);
    assert_eq!((standby, told_by), (Some(STANDBY), Some(ToldBy::Postgres)));
    let receiver = receives.process.as_ref().unwrap().pid;
    let words = format!("replication from 10.0.10.2 [{receiver}]");
    assert!(seen.stdout.contains(&words), "{}", seen.stdout);
    let of_psql = flow_of(&seen, psql.pid());
    assert_eq!(of_psql.role.kind, Kind::Client);
    assert_eq!(of_psql.role.told_by, Some(ToldBy::Port));

    // The standby asked, and traced.
    let mut tool = Watched::start(lab.standby(), "host=10.0.10.3 user=postgres", &[]);
    tool.await_line(&["streaming from 10.0.10.2"]);
    let seen = tool.finish();
    let (_, _, told_by) = only(&seen, Kind::Walreceiver);
    assert_eq!(told_by, Some(ToldBy::Postgres));

    // Nobody asked.
    let mut tool = Watched::start(lab.primary(), "host=/nonexistent", &[]);
    tool.await_line(&["no sample for"]);
    let seen = tool.finish();
    let (_, standby, told_by) = only(&seen, Kind::Walsender);
    assert_eq!((standby, told_by), (None, Some(ToldBy::Process)));
    let words = format!("replication to 10.0.10.3 [{sender}]");
    assert!(seen.stdout.contains(&words), "{}", seen.stdout);
}

/// The flow of a process.
pub(crate) fn flow_of(seen: &Seen, pid: Pid) -> &FlowReport {
    let pid = pid.as_raw().cast_unsigned();
    let is_its = |flow: &&FlowReport| flow.process.as_ref().is_some_and(|one| one.pid == pid);
    let mut flows = seen.report.flows.iter();
    let found = flows.find(is_its);
    found.unwrap_or_else(|| panic!("no flow of {pid}: {:?}", seen.report.flows))
}
