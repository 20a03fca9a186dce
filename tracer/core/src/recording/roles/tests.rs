//! Ends and processes, and what they are for.

use crate::recording::roles::*;

const DB1: &str = "10.0.10.2:5432";
const DB2: &str = "10.0.10.3:40396";
const APP: &str = "10.0.10.10:50000";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn process(pid: u32, comm: &str, title: Option<&str>) -> Process {
    Process {
        pid,
        comm: comm.into(),
        title: title.map(Into::into),
        program: Program::by_name(comm.as_bytes()),
        own_pid: Some(pid),
    }
}

fn primary() -> Known {
    let db2 = at(DB2);
    let peer = ReplicationPeer {
        pid: 17,
        name: "db2".into(),
        sends: true,
    };
    Known {
        peers: Arc::new(Peers::from([((db2.ip(), db2.port()), peer)])),
        ports: vec![5433],
    }
}

#[test]
fn titles_tell_what_a_postgres_process_does() {
    for (title, kind) in [
        (
            "postgres: walsender repl 10.0.10.3(40396) streaming 0/3",
            Kind::Walsender,
        ),
        (
            "postgres: 15/main: walsender repl db2(40396) streaming 0/3",
            Kind::Walsender,
        ),
        (
            "postgres: a: b: walreceiver streaming 0/3",
            Kind::Walreceiver,
        ),
        ("postgres: app app 10.0.10.10(50000) idle", Kind::Client),
        (
            "postgres: main: my user my db fd00::10(50000) INSERT",
            Kind::Client,
        ),
        ("postgres: postgres postgres [local] SELECT", Kind::Client),
        ("postgres: checkpointer", Kind::PostgresOther),
        (
            "postgres: main: logical replication launcher",
            Kind::PostgresOther,
        ),
        ("postgres: ", Kind::PostgresOther),
    ] {
        assert_eq!(by_title(title), kind, "{title}");
    }
}

#[test]
fn the_servers_views_name_the_standby_at_both_ends() {
    let known = primary();
    let role = known.role(at(DB1), at(DB2), None);
    assert_eq!(
        (role.kind, role.told_by),
        (Kind::Walsender, Some(ToldBy::Postgres))
    );
    assert_eq!(
        role.words(at(DB2).ip()).as_deref(),
        Some("replication to db2")
    );
    let role = known.role(at(DB2), at(DB1), None);
    assert_eq!(
        (role.kind, role.standby.as_deref()),
        (Kind::Walreceiver, Some("db2"))
    );
    assert_eq!(
        role.words(at(DB1).ip()).as_deref(),
        Some("replication from 10.0.10.2")
    );
}

#[test]
fn a_port_that_was_used_again_is_not_the_standbys() {
    let client = process(
        99,
        "postgres",
        Some("postgres: app app 10.0.10.3(40396) idle"),
    );
    let role = primary().role(at(DB1), at(DB2), Some(&client));
    assert_eq!(
        (role.kind, role.told_by),
        (Kind::Client, Some(ToldBy::Process))
    );
    let young = process(17, "postgres", None);
    let role = primary().role(at(DB1), at(DB2), Some(&young));
    assert_eq!(role.kind, Kind::Walsender);
}

#[test]
fn of_all_that_connects_to_the_primary_only_the_receiver_receives() {
    let db1 = at(DB1);
    let peer = ReplicationPeer {
        pid: 23,
        name: "10.0.10.2".into(),
        sends: false,
    };
    let known = Known {
        peers: Arc::new(Peers::from([((db1.ip(), db1.port()), peer)])),
        ports: Vec::new(),
    };
    let receiver = process(23, "postgres", Some("postgres: walreceiver streaming 0/3"));
    let role = known.role(at(DB2), db1, Some(&receiver));
    assert_eq!((role.kind, role.standby), (Kind::Walreceiver, None));
    let psql = process(24, "psql", None);
    let role = known.role(at(DB2), db1, Some(&psql));
    assert_eq!(
        (role.kind, role.told_by),
        (Kind::Client, Some(ToldBy::Port))
    );
}

#[test]
fn without_a_server_processes_and_ports_tell() {
    let known = Known::default();
    for (local, remote, owner, kind, told_by) in [
        (DB1, APP, None, Kind::Client, Some(ToldBy::Port)),
        (
            APP,
            DB1,
            Some(("java", None)),
            Kind::Client,
            Some(ToldBy::Port),
        ),
        (
            APP,
            "10.0.10.4:2379",
            Some(("patroni", None)),
            Kind::Patroni,
            Some(ToldBy::Process),
        ),
        (
            "10.0.10.4:2380",
            "10.0.10.5:44444",
            None,
            Kind::Etcd,
            Some(ToldBy::Port),
        ),
        (
            APP,
            "10.0.10.2:8008",
            Some(("haproxy", None)),
            Kind::Patroni,
            Some(ToldBy::Port),
        ),
        (APP, "10.0.10.2:22", Some(("ssh", None)), Kind::Other, None),
        (
            APP,
            DB1,
            Some(("pg_receivewal", None)),
            Kind::Walreceiver,
            Some(ToldBy::Process),
        ),
        (
            DB1,
            APP,
            Some(("postgres", None)),
            Kind::PostgresOther,
            Some(ToldBy::Process),
        ),
    ] {
        let owner = owner.map(|(comm, title)| process(1, comm, title));
        let role = known.role(at(local), at(remote), owner.as_ref());
        assert_eq!(
            (role.kind, role.told_by),
            (kind, told_by),
            "{local} {remote}"
        );
    }
    let role = Known {
        ports: vec![6543],
        ..Known::default()
    };
    let role = role.role(at(APP), at("10.0.10.2:6543"), None);
    assert_eq!(role.kind, Kind::Client);
}

#[test]
fn replication_is_told_in_place_of_the_title() {
    let sender = process(
        17,
        "postgres",
        Some("postgres: walsender r db2(40396) streaming 0/3"),
    );
    let role = primary().role(at(DB1), at(DB2), Some(&sender));
    let remote = at(DB2).ip();
    assert_eq!(
        role.with_process(remote, Some(&sender)),
        "replication to db2 [17]"
    );
    assert_eq!(role.with_process(remote, None), "replication to db2");
    let role = Known::default().role(at(DB1), at(DB2), Some(&sender));
    assert_eq!(
        role.with_process(remote, Some(&sender)),
        "replication to 10.0.10.3 [17]"
    );
    let role = Known::default().role(at(DB1), at(APP), None);
    assert_eq!(
        role.with_process(remote, None),
        "client of PostgreSQL, by its port"
    );
    let ssh = process(5, "ssh", None);
    let role = Known::default().role(at(APP), at("10.0.10.2:22"), Some(&ssh));
    assert_eq!(role.with_process(remote, Some(&ssh)), "ssh [5]");
    assert_eq!(role.with_process(remote, None), "-");
}
