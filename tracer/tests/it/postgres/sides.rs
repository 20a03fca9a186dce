//! One run, seen from both hosts.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use anyhow::Result;
use tracer_core::merge::clock::ClockMethod;
use tracer_core::report::Report;
use tracer_core::report::role::Kind;
use xtask::testbed::{wait, withheld};

use crate::postgres::{
    roles,
    watched::{LIMIT, Lab, Seen, Watched},
};

/// Fewer and longer intervals than elsewhere make smaller reports.
const INTERVAL: [&str; 2] = ["--interval", "500ms"];

/// In the primary's network namespace, where nobody else is.
const LISTEN: &str = "127.0.0.1:9187";

/// Replies of the standby are damaged on its own host; the primary splits commits.
fn both(lab: &Lab, events: &Path) -> (Seen, Seen, String) {
    let server = |pair: &xtask::testbed::postgres::Server| {
        format!("host={} user=postgres", pair.socket_dir().display())
    };
    let one = server(lab.pair.primary());
    let two = server(lab.pair.standby());
    let probe = [
        &["--commits", "--slow-commit", "50ms", "--commit-probe", "20"][..],
        &INTERVAL,
        &["--listen", LISTEN],
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
    db1.await_line(&["commits in flight, since"]);
    db2.await_line(&["is over: "]);
    db1.await_line(&[" 0 waiting for a standby"]);
    let shown = settled(lab).unwrap();
    (db1.finish(), db2.finish(), shown)
}

/// What Prometheus is told once two looks have found the same counts: nothing is damaged
/// or sent again any more.
fn settled(lab: &Lab) -> Result<String> {
    let mut before = (0.0, Vec::new());
    wait::until(LIMIT, "the counters to stand still", || {
        let shown = scrape(lab)?;
        let uptime = value(&shown, "tracer_uptime_seconds");
        if uptime <= before.0 {
            return Ok(None);
        }
        let counts = shown.lines().filter(|line| {
            line.contains("retransmitted_segments_total") || line.contains("checksum_errors_total")
        });
        let counts: Vec<_> = counts.map(str::to_owned).collect();
        let still = counts == before.1;
        before = (uptime, counts);
        Ok(still.then_some(shown))
    })
}

/// The first series whose name begins so.
fn value(shown: &str, begins: &str) -> f64 {
    let mut there = shown.lines().filter(|line| line.starts_with(begins));
    let line = there.next();
    let line = line.unwrap_or_else(|| panic!("no {begins}: {shown}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// What Prometheus would be told, by the primary's host itself.
fn scrape(lab: &Lab) -> Result<String> {
    let mut stream = lab
        .primary()
        .netns
        .enter(|| Ok(TcpStream::connect(LISTEN)?))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: tracer\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// What was over by then is what the report says; what goes on is not more.
fn check_shown(shown: &str, report: &Seen) {
    let value = |begins: &str| value(shown, begins);
    let run = &report.report;
    for (name, count) in [
        ("tracer_checksum_errors_total", run.checksum_errors.selected),
        (
            "tracer_kernel_retransmitted_segments_total",
            run.totals.kernel_retrans_segs,
        ),
    ] {
        assert_eq!(Some(value(name)), count.map(|count| count as f64), "{name}");
    }
    let of_replication = shown.lines().filter(|line| {
        line.starts_with("tracer_retransmitted_segments_total{")
            && line.contains("role=\"walsender\"")
    });
    let segments: f64 = of_replication
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum();
    let sending = roles::flows(report, Kind::Walsender).into_iter();
    let told: u64 = sending.map(|flow| flow.segments).sum();
    assert_eq!(segments, told as f64);
    assert_eq!(value("tracer_postgres_up"), 1.0);
    assert_eq!(value("tracer_postgres_primary"), 1.0);
    let of_standby = "{standby=\"standby\",address=\"10.0.10.3\",sync_state=\"sync\"";
    assert!(
        value(&format!(
            "tracer_standby_lag_bytes{of_standby},stage=\"flush\""
        )) >= 0.0
    );
    assert!(value(&format!("tracer_standby_reply_age_seconds{of_standby}")) < 60.0);
    let probed = value("tracer_probe_latency_seconds_count{request=\"commit\"}");
    assert!(probed > 100.0 && probed <= report.probe().commits.answered as f64);
    // What was slow, was slow here as well.
    let fast = value("tracer_probe_latency_seconds_bucket{le=\"0.1\",request=\"commit\"}");
    assert!(fast < probed, "{fast} of {probed}");
    assert!(
        shown.contains("tracer_commit_seconds_bucket{le="),
        "{shown}"
    );
    assert!(shown.contains("part=\"wait\""), "{shown}");
}

#[test]
fn both_sides_of_one_run_are_one() {
    let lab = Lab::start("pgsides");
    let recorded = tempfile::tempdir().unwrap();
    let events = recorded.path().join("db2.jsonl");
    let (db1, db2, shown) = both(&lab, &events);
    check_shown(&shown, &db1);
    for seen in [&db1, &db2] {
        let report = Report::read(seen.json.as_bytes()).unwrap();
        let again = tracer_core::render::json::render(&report).unwrap();
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
    let merged = tracer_core::merge::merge(reports, ["db1", "db2"]).unwrap();
    assert_eq!(merged.clock.method, ClockMethod::SameBoot);
    let replication = merged.connections.iter().find(|one| {
        let purpose = one.purpose.as_deref().unwrap_or_default();
        purpose == "replication to standby"
    });
    let [primary, standby] = &replication.unwrap().sides;
    assert_eq!(primary.endpoint.port, 5432);
    // Every reply that was damaged on its way was refused at the other end, and for it
    // something was sent again.
    let hit = db2.report.fault().hit.unwrap();
    let refused = |seen: &Seen| seen.report.checksum_errors.kernel_in_csum_errors;
    assert_eq!((refused(&db1), refused(&db2)), (Some(hit), Some(0)));
    // Of these the kernel does not always show the namespace: another lab with the same
    // addresses may have added some.
    let withheld = withheld::hits(hit).unwrap();
    assert!(
        merged.hosts[0].arrived_damaged >= Some(hit - withheld),
        "{:?} of {hit}: {:?} {:?}",
        merged.hosts[0].arrived_damaged,
        db1.report.checksum_errors,
        db1.report.gaps
    );
    assert!(standby.segments > 0, "{standby:?}");
    assert_eq!(standby.segments, db2.report.totals.segments);
    let found = &merged.findings[0];
    assert_eq!(found.host, "db1", "{found:?}");
    let json = serde_json::to_value(&merged).unwrap();
    for pointer in merged.findings.iter().flat_map(|one| &one.finding.evidence) {
        assert!(json.pointer(pointer).is_some(), "{pointer}");
    }
}
