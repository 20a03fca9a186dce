//! Standbys of one name, as `pg_basebackup -R` leaves it to all of them.

use std::{collections::BTreeSet, fs, net::SocketAddr, path::Path, process::Command};

use tracer_core::report::standby::StandbyReport;
use xtask::provision::http;
use xtask::testbed::command::{self, Running};
use xtask::testbed::netns::Host;
use xtask::testbed::postgres::Programs;
use xtask::testbed::wait;

use crate::postgres::watched::{LIMIT, Lab, Watched};
use crate::support::program::PROGRAM;

const DSN: &str = "host=10.0.10.2 user=postgres";
const LISTEN: &str = "127.0.0.1:9187";

/// Another one that receives the log, as if it were a standby.
fn receive(host: &Host, folder: &Path) -> Running {
    let mut receivewal = host
        .netns
        .command(Programs::own().unwrap().path("pg_receivewal"));
    receivewal
        .args([
            "-d",
            "host=10.0.10.2 user=postgres application_name=walreceiver",
        ])
        .arg("-D")
        .arg(folder)
        .stderr(fs::File::create(folder.join("log")).unwrap());
    Running::new(receivewal.spawn().unwrap(), "pg_receivewal")
}

fn await_streams(lab: &Lab, count: u32) {
    let streams = "select count(*) from pg_stat_replication \
                   where application_name = 'walreceiver' and state = 'streaming'";
    wait::until(LIMIT, "all to stream", || {
        Ok((lab.psql(streams) == count.to_string()).then_some(()))
    })
    .unwrap();
}

#[test]
fn standbys_of_one_name_are_shown_each() {
    let lab = Lab::start("pgnames");
    lab.psql("alter system set synchronous_standby_names = 'walreceiver'");
    lab.psql("select pg_reload_conf()");
    for text in [
        "alter system set primary_conninfo = 'host=10.0.10.2 user=postgres application_name=walreceiver'",
        "select pg_reload_conf()",
    ] {
        lab.pair.standby().value(text).unwrap();
    }
    await_streams(&lab, 1);
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let beside = receive(lab.standby(), folders[0].path());
    let elsewhere = receive(lab.primary(), folders[1].path());
    await_streams(&lab, 3);

    let mut tool = Watched::start(lab.primary(), DSN, &["--listen", LISTEN]);
    tool.await_line(&["walreceiver (10.0.10.2) streaming"]);
    tool.await_line(&["walreceiver (10.0.10.3:", "streaming sync"]);
    let scraped = lab.primary().netns.enter(|| {
        let address: SocketAddr = LISTEN.parse().unwrap();
        http::get(address, "/metrics", LIMIT)
    });
    // One that comes back is the one that was there.
    drop(elsewhere);
    await_streams(&lab, 2);
    let elsewhere = receive(lab.primary(), folders[1].path());
    await_streams(&lab, 3);
    tool.await_line(&["walreceiver (10.0.10.2) streaming"]);
    let seen = tool.finish();
    drop((beside, elsewhere));

    let standbys = &seen.postgres().standbys;
    let address = |one: &StandbyReport| one.addresses.first().unwrap().clone();
    let mut places: Vec<(String, usize)> = standbys
        .iter()
        .map(|one| (address(one), one.pids.len()))
        .collect();
    places.sort();
    let expected = [("10.0.10.2", 2), ("10.0.10.3", 1), ("10.0.10.3", 1)];
    let expected = expected.map(|(address, pids)| (address.to_owned(), pids));
    assert_eq!(places, expected, "{standbys:?}");
    let ports: BTreeSet<_> = standbys.iter().map(|one| one.port).collect();
    assert_eq!(ports.len(), 3, "{standbys:?}");
    for one in standbys {
        assert_eq!(one.name.as_deref(), Some("walreceiver"));
    }

    // Each has a line wherever people look.
    let report = folders[0].path().join("run.json");
    fs::write(&report, &seen.json).unwrap();
    for format in ["html", "md", "text"] {
        let mut tracer = Command::new(PROGRAM);
        tracer.args(["report", "--format", format]).arg(&report);
        let text = command::output(&mut tracer).unwrap().replace('\\', "");
        for port in ports.iter().flatten() {
            let there = text.contains(&format!("walreceiver (10.0.10.3:{port})"));
            let mut own = standbys.iter().filter(|one| one.port == Some(*port));
            let is_there = address(own.next().unwrap()) == "10.0.10.3";
            assert_eq!(there, is_there, "{format}: {text}");
        }
        assert!(text.contains("walreceiver (10.0.10.2)"), "{format}: {text}");
    }

    // And each a series of its own.
    let body = scraped.unwrap().body;
    let sent: Vec<&str> = body
        .lines()
        .filter(|line| line.starts_with("tracer_standby_lag_bytes{") && line.contains("\"sent\""))
        .collect();
    let labels: BTreeSet<_> = sent
        .iter()
        .filter_map(|line| line.split_once("} "))
        .collect();
    assert_eq!((sent.len(), labels.len()), (3, 3), "{sent:?}");
    for label in ["address=\"10.0.10.2\"", "address=\"10.0.10.3:"] {
        assert!(sent.iter().any(|line| line.contains(label)), "{sent:?}");
    }
}
