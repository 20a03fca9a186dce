//! Losses that leave the kernel one way only to repair them.

use std::{io::Write as _, net::TcpStream, thread};

use anyhow::Result;
use xtask::testbed::{
    netns::{Host, Net, Queue},
    wait, withheld,
};

use super::{
    amount::{WHILE_SOON, segments_soon},
    cell,
};
use crate::support::{
    exact::{Before, finish},
    fault,
    kernel::{self, Counters},
    pair,
    storm::{LIMIT, WIDE, drain, push_until},
    tool::Tool,
    traffic::{Load, Sink},
};

const CORRUPTED: &str = "corrupted by the fault";
const CONNECTIONS: u64 = 8;
/// Smaller than any packet: nothing passes.
const SHUT: Queue = Queue {
    rate_bps: 8_000,
    burst_bytes: 1,
    limit_bytes: 1,
};

fn await_counters(host: &Host, what: &str, enough: impl Fn(Counters) -> bool) {
    let read = || Ok(enough(Counters::read(&host.netns)?).then_some(()));
    wait::until(LIMIT, what, read).unwrap();
}

/// Learns the neighbours' addresses, which SYNs would otherwise wait for.
fn acquaint(from: &Host, to: &Host) -> Result<()> {
    let listener = pair::listen(to, to.v4.into())?;
    pair::connect(from, &listener).map(|_| ())
}

#[test]
fn a_lost_request_is_probed_for_and_then_timed_out() {
    let net = Net::pair("probe", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let listener = pair::listen(to, to.v4.into()).unwrap();
    let connect = |_| pair::connect(from, &listener).unwrap();
    let (mut clients, _servers): (Vec<TcpStream>, Vec<TcpStream>) =
        (0..CONNECTIONS).map(connect).unzip();
    let before = Before::read(from).unwrap();
    let tool = Tool::start(&from.netns, &["--peer", "10.0.10.3"]).unwrap();
    net.plug("standby", false).unwrap();
    for client in &mut clients {
        client.write_all(b"request").unwrap();
    }
    await_counters(from, "probes and timeouts", |now| {
        let grown = now.since(before.counters);
        grown.probes >= CONNECTIONS && grown.timeouts >= 2 * CONNECTIONS
    });
    net.plug("standby", true).unwrap();
    let (report, grown) = finish(tool, from, &before, clients.len());
    let unseen = report.totals.unseen_segments;
    let ours = &report.totals.by_kind;
    assert_eq!(grown.probes, CONNECTIONS);
    assert!(ours.tlp <= grown.probes && grown.probes - ours.tlp <= unseen);
    // Nothing but these two could happen.
    assert_eq!(ours.tlp + ours.rto + ours.other, grown.segments);
    assert_eq!(ours.other, unseen);
    cell::exact("probes and timeouts", "", grown.segments);
}

#[test]
fn syns_into_the_void() {
    let net = Net::pair("syn", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    acquaint(from, to).unwrap();
    let sink = Sink::open(to, to.v4.into()).unwrap();
    let before = Before::read(from).unwrap();
    let tool = Tool::start(&from.netns, &["--peer", "10.0.10.3"]).unwrap();
    net.plug("standby", false).unwrap();
    let load = thread::scope(|scope| {
        let count = usize::try_from(CONNECTIONS).unwrap();
        let address = sink.address();
        let load = scope.spawn(move || Load::connect(from, address, count));
        await_counters(from, "SYNs", |now| {
            now.since(before.counters).syn >= 2 * CONNECTIONS
        });
        net.plug("standby", true).unwrap();
        load.join().unwrap().unwrap()
    });
    let established = usize::try_from(CONNECTIONS).unwrap();
    let (report, grown) = finish(tool, from, &before, established);
    drop(load);
    let unseen = report.totals.unseen_segments;
    assert_eq!(report.totals.by_kind.syn + unseen, grown.segments);
    cell::exact("SYN", "", grown.segments);
}

#[test]
fn syn_acks_into_the_void() {
    let net = Net::pair("synack", "ens160").unwrap();
    let (client, server) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    acquaint(client, server).unwrap();
    let sink = Sink::open(server, server.v4.into()).unwrap();
    let before = Counters::read(&server.netns).unwrap();
    let tool = Tool::start(&server.netns, &["--peer", "10.0.10.2"]).unwrap();
    net.shape_toward("primary", &SHUT).unwrap();
    let load = thread::scope(|scope| {
        let count = usize::try_from(CONNECTIONS).unwrap();
        let address = sink.address();
        let load = scope.spawn(move || Load::connect(client, address, count));
        await_counters(server, "SYN-ACKs", |now| {
            now.since(before).syn >= 3 * CONNECTIONS
        });
        net.shape_toward("primary", &WIDE).unwrap();
        load.join().unwrap().unwrap()
    });
    drain(server).unwrap();
    let grown = Counters::read(&server.netns).unwrap().since(before);
    let report = tool.finish().unwrap();

    println!("{grown:?}\n{:?}", report.totals);
    report.check_sums();
    report.check_all_selected();
    assert_eq!(report.totals.kernel_retrans_segs.unwrap(), grown.segments);
    // No socket has a sum in which a withheld one could be found.
    let withheld = withheld::hits(grown.syn).unwrap();
    assert!((0..=withheld.cast_signed()).contains(&report.difference()));
    let synacks = report.totals.by_kind.synack;
    assert!(synacks <= grown.syn && grown.syn - synacks <= withheld);
    drop(load);
    cell::exact("SYN-ACK", "", grown.segments);
}

#[test]
fn half_of_the_segments_corrupted() {
    // A network of loss and microseconds is mostly waited for.
    corrupted("fault", false, "corrupt=50%", segments_soon() / 10);
}

#[test]
fn a_storm_of_corrupted_segments_over_ipv4() {
    corrupted("damage4", false, "corrupt=10%", segments_soon());
}

#[test]
fn a_storm_of_corrupted_segments_over_ipv6() {
    corrupted("damage6", true, "corrupt=10%", segments_soon());
}

/// Pushes through a fault until so many segments were sent again.
fn corrupted(tag: &str, ipv6: bool, percentage: &str, segments: u64) {
    let net = Net::pair(tag, "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    // Not every kernel has these; the test then only takes longer.
    for (name, value) in [("tcp_rto_min_us", "5000"), ("tcp_rto_max_ms", "1000")] {
        let _ = from.netns.sysctl(&format!("net.ipv4.{name}"), value);
    }
    let peer = to.address(ipv6).to_string();
    let sink = Sink::open(to, to.address(ipv6)).unwrap();
    let mut load = Load::connect(from, sink.address(), 64).unwrap();
    let dropped = kernel::backlog_drops().unwrap();
    let before = Before::read(from).unwrap();
    let tool = Tool::start(
        &from.netns,
        &["--peer", &peer, "--inject", percentage, "--for", WHILE_SOON],
    )
    .unwrap();
    push_until(from, &mut load, before.counters.segments + segments).unwrap();
    wait::until(LIMIT, "the end of the fault", || {
        Ok((!fault::is_there(&from.netns)?).then_some(()))
    })
    .unwrap();
    let (report, grown) = finish(tool, from, &before, 64);
    let hit = report.fault().hit.unwrap();
    let refused = to.netns.counter("Tcp", "InCsumErrors").unwrap();
    let dropped = kernel::backlog_drops().unwrap() - dropped;
    println!(
        "{hit} corrupted, {refused} discarded for a bad checksum, {dropped} dropped by the machine"
    );
    // Nothing else is between the two ends of a wire that is none.
    assert!(refused <= hit && hit - refused <= dropped);
    assert!(sink.intact_bytes().unwrap() > 0);
    cell::exact(CORRUPTED, tag, grown.segments);
}
