//! Faults by the tool's own program.

use std::net::IpAddr;

use tracer_core::report::fault::FaultReport;
use xtask::testbed::netns::{Host, Net};

use super::{PACKETS, PEER_V4, PEER_V6, assert_as_asked};
use crate::run::kernels::cell;
use crate::support::{
    datagrams::{Receiver, flush},
    fault::Fault,
    kernel::Counters,
    storm::{LIMIT, drain},
    traffic::{Load, Sink},
};
use xtask::testbed::wait;

const LOSS: &str = "loss by bpf";
const PARTITION: &str = "partition by bpf";

/// Sends numbered datagrams through the fault; those that did not arrive are those
/// that it reports. Returns their numbers and the report.
fn lost(from: &Host, to: &Host, on: &Host, fault: &[&str]) -> (Vec<u32>, FaultReport) {
    let ipv6 = fault.contains(&PEER_V6);
    let receiver = Receiver::open(to, to.address(ipv6)).unwrap();
    // Neighbours know each other before the fault.
    receiver.send(from, 1, 100).unwrap();
    receiver.expect(1).unwrap();
    let running = Fault::start(&on.netns, fault).unwrap();
    receiver.send(from, PACKETS, 100).unwrap();
    let report = running.finish_one().unwrap();
    assert_eq!(report.seen.unwrap(), u64::from(PACKETS), "{report:?}");
    let arrived = 1 + u64::from(PACKETS) - report.hit.unwrap();
    let arrivals = receiver.expect(arrived).unwrap();
    let mut missing = vec![true; PACKETS as usize];
    for arrival in &arrivals[1..] {
        missing[arrival.number as usize] = false;
    }
    let numbers = (0..PACKETS).filter(|number| missing[*number as usize]);
    (numbers.collect(), report)
}

#[test]
fn loss_is_what_is_missing() {
    let net = Net::pair("floss", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let mut hooks = Vec::new();
    for (peer, variant) in [(PEER_V4, "IPv4, out"), (PEER_V6, "IPv6, out")] {
        let (missing, report) = lost(from, to, from, &["loss=50%", "--peer", peer]);
        assert_as_asked(&report);
        assert_eq!(missing.len() as u64, report.hit.unwrap());
        hooks.push(report.hook.clone().into_owned());
        cell::exact(LOSS, variant, report.hit.unwrap());
    }
    // The receiver loses what arrives from the sender.
    for (peer, variant) in [("10.0.10.2", "IPv4, in"), ("fd00:10::2", "IPv6, in")] {
        let receiver = Receiver::open(to, to.address(peer.contains(':'))).unwrap();
        receiver.send(from, 1, 100).unwrap();
        receiver.expect(1).unwrap();
        let fault = ["loss=50%", "--direction", "in", "--peer", peer];
        let running = Fault::start(&to.netns, &fault).unwrap();
        receiver.send(from, PACKETS, 100).unwrap();
        // The other family is not meant.
        flush(from, from.address(!peer.contains(':')), to).unwrap();
        let report = running.finish_one().unwrap();
        assert_eq!(report.seen.unwrap(), u64::from(PACKETS), "{report:?}");
        assert_as_asked(&report);
        let arrived = 1 + u64::from(PACKETS) - report.hit.unwrap();
        receiver.expect(arrived).unwrap();
        cell::exact(LOSS, variant, report.hit.unwrap());
    }
    hooks.dedup();
    cell::found("its program hangs on", &hooks.join(", "));
}

#[test]
fn loss_in_bursts_loses_as_much_and_begins_where_the_seed_says() {
    let net = Net::pair("fburst", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let fault = [
        "loss=30%,correlation=60%",
        "--peer",
        PEER_V4,
        "--seed",
        "2026",
    ];
    let (missing, report) = on_one_processor(|| lost(from, to, from, &fault));
    assert_as_asked(&report);
    let after_a_loss = missing.windows(2).filter(|pair| pair[0] + 1 == pair[1]);
    // 0.3 + 0.6 × 0.7 = 0.72 of those that follow a loss, give or take 0.07, which is
    // five standard deviations of the fewest.
    let share = after_a_loss.count() as f64 / missing.len() as f64;
    assert!((share - 0.72).abs() < 0.07, "{share}");
    let (again, _) = on_one_processor(|| lost(from, to, from, &fault));
    assert!(missing == again, "the same seed, and other packets");
    cell::exact(LOSS, "in bursts", report.hit.unwrap());
}

/// Random numbers are those of a processor.
fn on_one_processor<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    use nix::sched::{CpuSet, sched_setaffinity};
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let mut first = CpuSet::new();
                first.set(0).unwrap();
                sched_setaffinity(nix::unistd::Pid::from_raw(0), &first).unwrap();
                work()
            })
            .join()
            .unwrap()
    })
}

#[test]
fn what_is_lost_is_not_told_to_the_local_tcp() {
    let net = Net::pair("ftcp", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let sink = Sink::open(to, to.v4.into()).unwrap();
    let mut load = Load::connect(from, sink.address(), 16).unwrap();
    let failed = || from.netns.counter("TcpExt", "TCPRetransFail").unwrap();
    let (before, failed_before) = (Counters::read(&from.netns).unwrap(), failed());
    let running = Fault::start(&from.netns, &["loss=10%", "--peer", PEER_V4]).unwrap();
    wait::until(LIMIT, "retransmits and payload", || {
        load.push()?;
        let grown = Counters::read(&from.netns)?.since(before);
        Ok((grown.segments > 200 && sink.intact_bytes()? > 2 << 20).then_some(()))
    })
    .unwrap();
    let report = running.finish_one().unwrap();
    drain(from).unwrap();
    assert_as_asked(&report);
    assert_eq!(failed(), failed_before, "the local TCP was told");
    assert!(sink.intact_bytes().unwrap() > 2 << 20);
}

#[test]
fn a_partition_cuts_the_peer_off_and_nobody_else() {
    const FEW: u32 = 2_500;
    let net = Net::pair("fcut", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    // Never the source of what the host sends by itself.
    for other in [
        "address add 10.0.10.33/24 dev ens160",
        "address add fd00:10::33/64 dev ens160 nodad preferred_lft 0",
    ] {
        let arguments: Vec<&str> = other.split(' ').collect();
        to.netns.run("ip", &arguments).unwrap();
    }
    let open = |host, address: &str| Receiver::open(host, address.parse::<IpAddr>().unwrap());
    let cut = [(PEER_V4, "10.0.10.2"), (PEER_V6, "fd00:10::2")];
    let spared = [("10.0.10.33", false), ("fd00:10::33", true)];
    let there = cut.map(|(there, _)| open(to, there).unwrap());
    let back = cut.map(|(_, here)| open(from, here).unwrap());
    let others = spared.map(|(other, _)| open(to, other).unwrap());

    let fault = ["partition", "--peer", PEER_V4, "--peer", PEER_V6];
    let running = Fault::start(&from.netns, &fault).unwrap();
    // Neighbours are asked for anew, and answer.
    from.netns.run("ip", &["neigh", "flush", "all"]).unwrap();
    for receiver in there.iter().chain(&others) {
        receiver.send(from, FEW, 100).unwrap();
    }
    for receiver in &back {
        receiver.send(to, FEW, 100).unwrap();
    }
    for receiver in &others {
        receiver.expect(FEW.into()).unwrap();
    }
    for (other, _) in spared {
        flush(to, other.parse().unwrap(), from).unwrap();
    }
    let faults = running.finish().unwrap();
    assert_eq!(faults.len(), 2, "{faults:?}");
    let all = 2 * u64::from(FEW);
    for (fault, direction) in faults.iter().zip(["out", "in"]) {
        assert_eq!(fault.direction, direction);
        assert_eq!(
            (fault.seen.unwrap(), fault.hit.unwrap()),
            (all, all),
            "{fault:?}"
        );
        assert_eq!(fault.delivered_percent, Some(100.0));
    }
    for receiver in there.iter().chain(&back) {
        receiver.expect(0).unwrap();
    }
    cell::exact(PARTITION, "", 2 * all);
}

#[test]
fn a_port_is_spared_that_was_not_asked_for() {
    let net = Net::pair("fport", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let (hit, spared) = (
        Receiver::open(to, to.v4.into()).unwrap(),
        Receiver::open(to, to.v4.into()).unwrap(),
    );
    let port = hit.address().port().to_string();
    let fault = ["loss=100%", "--peer", PEER_V4, "--port", &port];
    let running = Fault::start(&from.netns, &fault).unwrap();
    hit.send(from, 100, 100).unwrap();
    spared.send(from, 100, 100).unwrap();
    spared.expect(100).unwrap();
    let report = running.finish_one().unwrap();
    assert_eq!((report.seen.unwrap(), report.hit.unwrap()), (100, 100));
    hit.expect(0).unwrap();
}
