//! One run, seen from both hosts.

use std::{fs, path::Path, thread, time::Duration};

use tracer::{merge::Method, report::Report};

use crate::watched::{Lab, Seen, Watched};

/// Fewer and longer intervals than elsewhere make smaller reports.
const INTERVAL: [&str; 2] = ["--interval", "500ms"];

/// Replies of the standby are damaged on its own host; the primary splits commits.
fn both(lab: &Lab, events: &Path) -> (Seen, Seen) {
    let server = |pair: &xtask::postgres::Server| {
        format!("host={} user=postgres", pair.socket_dir().display())
    };
    let one = server(lab.pair.primary());
    let two = server(lab.pair.standby());
    let probe = [
        &["--commits", "--slow-commit", "50ms", "--commit-probe", "20"][..],
        &INTERVAL,
    ]
    .concat();
    let mut db1 = Watched::start(lab.primary(), &one, &probe);
    db1.await_line(&["streaming sync"]);
    db1.await_line(&["probe: 10 commits"]);
    let fault = [
        &["--peer", "10.0.10.2", "--inject", "corrupt=50%", "--seed"][..],
        &["7", "--after", "5s", "--for", "8s", "--allow-ssh-peer"],
        &INTERVAL,
        &["--events", events.to_str().unwrap()],
    ];
    let mut db2 = Watched::start(lab.standby(), &two, &fault.concat());
    db1.await_line(&["commits under way, since"]);
    db2.await_line(&["is over: "]);
    db1.await_line(&[" 0 waiting for a standby"]);
    thread::sleep(Duration::from_secs(4));
    (db1.finish(), db2.finish())
}

#[test]
fn both_sides_of_one_run_are_one() {
    let lab = Lab::start("pgsides");
    let recorded = tempfile::tempdir().unwrap();
    let events = recorded.path().join("db2.jsonl");
    let (db1, db2) = both(&lab, &events);
    for seen in [&db1, &db2] {
        let report = Report::read(seen.json.as_bytes()).unwrap();
        let again = tracer::sink::json::render(&report).unwrap();
        assert!(seen.json.as_bytes() == again, "read and written again");
    }
    // How the reports that unit tests read were made.
    if let Some(folder) = std::env::var_os("TRACER_KEEP_REPORTS") {
        let folder = Path::new(&folder);
        fs::write(folder.join("db1.json"), &db1.json).unwrap();
        fs::write(folder.join("db2.json"), &db2.json).unwrap();
        fs::copy(&events, folder.join("db2.jsonl")).unwrap();
    }
    let reports = [&db1, &db2].map(|seen| Report::read(seen.json.as_bytes()).unwrap());
    let merged = tracer::merge::merge(reports, ["db1", "db2"]).unwrap();
    assert_eq!(merged.clock.method, Method::SameBoot);
    let replication = merged.connections.iter().find(|one| {
        let purpose = one.purpose.as_deref().unwrap_or_default();
        purpose == "replication to standby"
    });
    let [primary, standby] = &replication.unwrap().sides;
    assert_eq!(primary.endpoint.port, 5432);
    // Every reply that was damaged on its way was refused at the other end, and for it
    // something was sent again.
    let hit = db2.at("/faults/0/hit").as_u64().unwrap();
    assert_eq!(merged.hosts[0].arrived_damaged, Some(hit));
    assert_eq!(merged.hosts[1].arrived_damaged, Some(0));
    assert!(standby.segments > 0, "{standby:?}");
    assert_eq!(
        standby.segments,
        db2.at("/totals/segments").as_u64().unwrap()
    );
    let found = &merged.findings[0];
    assert_eq!(found.host, "db1", "{found:?}");
    let json = serde_json::to_value(&merged).unwrap();
    for pointer in merged.findings.iter().flat_map(|one| &one.finding.evidence) {
        assert!(json.pointer(pointer).is_some(), "{pointer}");
    }
}
