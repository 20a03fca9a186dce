//! `--listen`: what Prometheus scrapes, while the run goes on.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use xtask::testbed::{
    netns::{Host, Net, Netns},
    wait,
};

use crate::support::{
    program::PROGRAM,
    storm::{LIMIT, NARROW, WIDE, drain, push_until},
    tool::Tool,
    traffic::{Load, Sink},
};

const FLOWS: usize = 4;

/// How many connections the endpoint serves at once, and ...
const ROOM: usize = 16;
/// ... half of the time that it gives each of them.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A port that nobody has there at the moment.
fn free(netns: &Netns) -> SocketAddr {
    netns
        .enter(|| Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?))
        .unwrap()
}

fn connect(netns: &Netns, address: SocketAddr) -> Result<TcpStream> {
    let stream = netns.enter(|| Ok(TcpStream::connect(address)?))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// What is answered to these bytes.
fn ask(netns: &Netns, address: SocketAddr, request: &[u8]) -> Result<String> {
    let mut stream = connect(netns, address)?;
    stream.write_all(request)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Whether the other side has ended it.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    matches!(stream.read(&mut [0]), Ok(0))
}

/// Every series with its value.
fn scrape(netns: &Netns, address: SocketAddr) -> Result<BTreeMap<String, f64>> {
    let request = b"GET /metrics HTTP/1.1\r\nHost: tracer\r\n\r\n";
    let answer = ask(netns, address, request)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no head")?;
    ensure!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    ensure!(head.contains("openmetrics-text"), "{head}");
    ensure!(body.ends_with("# EOF\n"), "{body}");
    let series = body.lines().filter(|line| !line.starts_with('#'));
    series
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').context("no value")?;
            Ok((name.to_owned(), value.parse()?))
        })
        .collect()
}

fn sum(scraped: &BTreeMap<String, f64>, begins: &str, has: &str) -> u64 {
    let there = scraped.iter();
    let there = there.filter(|(name, _)| name.starts_with(begins) && name.contains(has));
    there.map(|(_, value)| *value as u64).sum()
}

/// Sends until much is lost, and then until nothing is.
fn lose(net: &Net, from: &Host, sink: &Sink) {
    let mut load = Load::connect(from, sink.address(), FLOWS).unwrap();
    net.shape_toward("standby", &NARROW).unwrap();
    push_until(from, &mut load, 300).unwrap();
    net.shape_toward("standby", &WIDE).unwrap();
    drain(from).unwrap();
}

/// What is scraped once two looks in a row have found the same, and the kernel as much.
fn settled(netns: &Netns, address: SocketAddr) -> BTreeMap<String, f64> {
    let mut before = (0.0, BTreeMap::new());
    wait::until(LIMIT, "the counters to stand still", || {
        let counters = scrape(netns, address)?;
        let uptime = counters["tracer_uptime_seconds"];
        if uptime <= before.0 {
            return Ok(None);
        }
        let only: BTreeMap<_, _> = counters
            .iter()
            .filter(|(name, _)| name.contains("segments"))
            .map(|(name, value)| (name.clone(), *value))
            .collect();
        let still = only == before.1 && counters["tracer_unexplained_segments"] == 0.0;
        before = (uptime, only);
        Ok(still.then_some(counters))
    })
    .unwrap()
}

#[test]
fn what_is_scraped_is_what_the_report_says() {
    let net = Net::pair("listen", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let sink = Sink::open(to, to.v4.into()).unwrap();
    let address = free(&from.netns);
    let listen = address.to_string();
    let arguments = [
        "--peer",
        "10.0.10.3",
        "--interval",
        "100ms",
        "--listen",
        &listen,
    ];
    let tool = Tool::start(&from.netns, &arguments).unwrap();
    let at_first = scrape(&from.netns, address).unwrap();
    assert_eq!(sum(&at_first, "tracer_retransmitted_segments_total", ""), 0);
    lose(&net, from, &sink);
    let scraped = settled(&from.netns, address);
    let report = tool.finish().unwrap();
    report.check();
    for (kind, segments) in report.totals.by_kind.each() {
        let kind = kind.name();
        let label = format!("kind=\"{kind}\"");
        for counter in [
            "tracer_retransmitted_segments_total",
            "tracer_all_retransmitted",
        ] {
            assert_eq!(sum(&scraped, counter, &label), segments, "{label}");
        }
    }
    let all = report.totals.segments;
    assert!(all >= 300, "{all}");
    let of_peer = sum(
        &scraped,
        "tracer_retransmitted_segments",
        "peer=\"10.0.10.3\"",
    );
    assert_eq!(of_peer, all);
    let kernel = sum(&scraped, "tracer_kernel_retransmitted_segments_total", "");
    assert_eq!(kernel, report.totals.kernel_retrans_segs.unwrap());
    assert!(!scraped.contains_key("tracer_fault_active"));
}

#[test]
fn what_flows_without_room_send_again_is_shown_with_the_others() {
    let net = Net::pair("listenfull", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let sink = Sink::open(to, to.v4.into()).unwrap();
    let address = free(&from.netns);
    let listen = address.to_string();
    let peer = ["--peer", "10.0.10.3", "--max-flows", "2"];
    let arguments = [&peer[..], &["--interval", "100ms", "--listen", &listen]];
    let tool = Tool::start(&from.netns, &arguments.concat()).unwrap();
    lose(&net, from, &sink);
    let scraped = settled(&from.netns, address);
    let report = tool.finish().unwrap();
    report.check();
    let of = |labels| sum(&scraped, "tracer_retransmitted_segments_total", labels);
    assert_eq!(of(""), report.totals.segments);
    assert!(of("role=\"other\",peer=\"other\"") > 0, "{scraped:?}");
    let full = "tracer_gaps_total{what=\"flows_full\"}";
    assert!(scraped[full] > 0.0);
}

/// Whoever is slow, says nonsense or comes too often: the run goes on, and others are
/// answered.
#[test]
fn hostile_clients_hold_up_nothing() {
    let netns = Netns::new("hostile", "alone").unwrap();
    netns.run("ip", &["link", "set", "lo", "up"]).unwrap();
    let address = free(&netns);
    let listen = address.to_string();
    let arguments = ["--all", "--interval", "100ms", "--listen", &listen];
    let tool = Tool::start(&netns, &arguments).unwrap();
    // Ten that never finish their request.
    let mut slow: Vec<TcpStream> = (0..10).map(|_| connect(&netns, address).unwrap()).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").unwrap();
    }
    let begun = Instant::now();
    for (request, status) in [
        (&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], "404"),
        (
            b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            "405",
        ),
        (b"\x16\x03\x01\x00\xff nonsense\r\n\r\n", "400"),
    ] {
        let answer = ask(&netns, address, request).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
    // More than a request may have is not read.
    let mut long = connect(&netns, address).unwrap();
    let mut refused = false;
    let _ = long.write_all(b"GET /metrics HTTP/1.1\r\nX: ");
    for _ in 0..1_000 {
        match long.write_all(&[b'x'; 4096]) {
            Ok(()) => {}
            Err(error) => {
                let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
                refused = kinds.contains(&error.kind());
                break;
            }
        }
    }
    assert!(refused);
    let uptime = || scrape(&netns, address).map(|all| all["tracer_uptime_seconds"]);
    let first = uptime().unwrap();
    wait::until(LIMIT, "the next look", || {
        Ok((uptime()? > first).then_some(()))
    })
    .unwrap();
    // All places taken: whoever comes now is sent away, until they run out of time.
    let mut more: Vec<TcpStream> = (0..20).map(|_| connect(&netns, address).unwrap()).collect();
    let beyond = more.len() - ROOM;
    let sent_away = wait::until(AT_ONCE, "those beyond to be sent away", || {
        let closed = more.iter_mut().map(is_closed).filter(|closed| *closed);
        let closed = closed.count();
        Ok((closed >= beyond).then_some(closed))
    })
    .unwrap();
    assert!(sent_away < more.len(), "nobody else was let in");
    assert!(begun.elapsed() < LIMIT);
    wait::until(LIMIT, "room again", || Ok(uptime().ok().map(drop))).unwrap();
    drop((slow, more));
    let begun = Instant::now();
    tool.signal(Signal::SIGINT).unwrap();
    let ended = tool.ended().unwrap();
    ended.report().unwrap().check();
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_address_that_cannot_be_had_fails_at_once() {
    let netns = Netns::new("taken", "alone").unwrap();
    netns.run("ip", &["link", "set", "lo", "up"]).unwrap();
    let taken = netns
        .enter(|| Ok(TcpListener::bind("127.0.0.1:0")?))
        .unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("run.json");
    for (listen, code) in [(address.as_str(), 1), ("127.0.0.1", 2), ("localhost:1", 2)] {
        let mut command = netns.command(PROGRAM);
        command.args(["run", "--all", "--listen", listen, "--json"]);
        let output = command.arg(&json).output().unwrap();
        let line = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{line}");
        assert!(
            line.contains("--listen") && line.lines().count() == 1,
            "{line}"
        );
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
