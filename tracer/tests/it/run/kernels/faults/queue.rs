//! Faults by netem.

use std::net::SocketAddr;
use std::time::Duration;

use tracer::inject::interval;
use tracer_core::report::fault::{FaultKind, FaultReport};
use tracer_core::report::percent::Percent;
use xtask::testbed::netns::{Host, Net};
use xtask::testbed::wait;

use super::{PACKETS, PEER_V4, PEER_V6, assert_as_asked, refusal};
use crate::run::kernels::cell;
use crate::run::kernels::netem::routed;
use crate::support::datagrams::{Arrival, Receiver};
use crate::support::fault::Fault;
use crate::support::storm::{LIMIT, drain};
use crate::support::traffic::{Load, Sink, knock};

/// Sends so many datagrams of so many bytes through the fault. Returns the report
/// and how they arrived: as many as `arrived` makes of the report.
fn through(
    from: &Host,
    to: &Host,
    fault: &[&str],
    (packets, bytes): (u32, usize),
    arrived: impl Fn(&FaultReport) -> u64,
) -> (FaultReport, Vec<Arrival>) {
    let ipv6 = fault.contains(&PEER_V6);
    let receiver = Receiver::open(to, to.address(ipv6)).unwrap();
    receiver.send(from, 1, 100).unwrap();
    receiver.expect(1).unwrap();
    let running = Fault::start(&from.netns, fault).unwrap();
    receiver.send(from, packets, bytes).unwrap();
    // What is late is to arrive before the fault is over, whatever it does.
    let soon = |arrivals: &[Arrival]| arrivals.len() as u64 > u64::from(packets) / 4;
    wait::until(LIMIT, "most datagrams", || {
        Ok(soon(&receiver.arrivals()).then_some(()))
    })
    .unwrap();
    let report = running.finish_one().unwrap();
    assert_eq!(report.seen.unwrap(), u64::from(packets), "{report:?}");
    let mut arrivals = receiver.expect(1 + arrived(&report)).unwrap();
    arrivals.remove(0);
    (report, arrivals)
}

fn families() -> [(&'static str, &'static str); 2] {
    [(PEER_V4, "IPv4"), (PEER_V6, "IPv6")]
}

/// The pair of hosts, unless the kernel has no netem: the tool then says so.
fn with_netem(tag: &str, column: &str) -> Option<Net> {
    let net = Net::pair(tag, "ens160").unwrap();
    match refusal(net.host("primary").unwrap(), &["delay=1ms"]) {
        None => Some(net),
        Some(reason) => {
            assert!(reason.contains("this kernel has none"), "{reason}");
            cell::absent(column, "netem");
            None
        }
    }
}

#[test]
fn loss_by_netem_is_what_is_missing() {
    const COLUMN: &str = "loss by netem";
    let Some(net) = with_netem("qloss", COLUMN) else {
        return;
    };
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    for (peer, variant) in families() {
        let fault = ["loss=50%", "--engine", "netem", "--peer", peer];
        let missing = |report: &FaultReport| u64::from(PACKETS) - report.hit.unwrap();
        let (report, _) = through(from, to, &fault, (PACKETS, 100), missing);
        assert_as_asked(&report);
        assert_eq!(report.hook, "prio");
        cell::exact(COLUMN, variant, report.hit.unwrap());
    }
    // What is lost whole: nothing is told of it, either.
    let cut = Receiver::open(to, to.v4.into()).unwrap();
    let fault = ["partition", "--engine", "netem", "--peer", PEER_V4];
    let running = Fault::start(&from.netns, &fault).unwrap();
    cut.send(from, PACKETS, 100).unwrap();
    let report = running.finish_one().unwrap();
    let all = u64::from(PACKETS);
    assert_eq!((report.seen.unwrap(), report.hit.unwrap()), (all, all));
    cut.expect(0).unwrap();
    let fault = ["loss=30%,correlation=60%", "--engine", "netem"];
    let fault = [&fault[..], &["--peer", PEER_V4]].concat();
    let missing = |report: &FaultReport| u64::from(PACKETS) - report.hit.unwrap();
    let (report, _) = through(from, to, &fault, (PACKETS, 100), missing);
    assert_as_asked(&report);
    cell::exact(COLUMN, "in bursts", report.hit.unwrap());
}

#[test]
fn duplicates_come_twice() {
    const COLUMN: &str = "duplicate by netem";
    let Some(net) = with_netem("qtwice", COLUMN) else {
        return;
    };
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    for (peer, variant) in families() {
        let fault = ["duplicate=20%", "--peer", peer];
        let twice = |report: &FaultReport| u64::from(PACKETS) + report.hit.unwrap();
        let (report, arrivals) = through(from, to, &fault, (PACKETS, 100), twice);
        assert_as_asked(&report);
        let mut copies = vec![0; PACKETS as usize];
        for arrival in arrivals {
            copies[arrival.number as usize] += 1;
        }
        let twice = copies.iter().filter(|copies| **copies == 2).count() as u64;
        assert_eq!(twice, report.hit.unwrap());
        cell::exact(COLUMN, variant, twice);
    }
}

#[test]
fn delayed_packets_are_late_and_some_overtake() {
    const DELAY: &str = "delay by netem";
    const REORDER: &str = "reorder by netem";
    const LATE: Duration = Duration::from_millis(100);
    let Some(net) = with_netem("qlate", DELAY) else {
        return cell::absent(REORDER, "netem");
    };
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let all = |_: &FaultReport| u64::from(PACKETS);
    for (peer, variant) in families() {
        let fault = ["delay=100ms", "--peer", peer];
        let (report, arrivals) = through(from, to, &fault, (PACKETS, 100), all);
        assert_eq!(report.hit.unwrap(), u64::from(PACKETS), "{report:?}");
        assert!(arrivals.iter().all(|arrival| arrival.took >= LATE));
        cell::exact(DELAY, variant, report.hit.unwrap());
    }
    let fault = ["delay=100ms", "reorder=25%", "--peer", PEER_V4];
    let receiver = Receiver::open(to, to.v4.into()).unwrap();
    receiver.send(from, 1, 100).unwrap();
    receiver.expect(1).unwrap();
    let running = Fault::start(&from.netns, &fault).unwrap();
    receiver.send(from, PACKETS, 100).unwrap();
    let arrivals = receiver.expect(1 + u64::from(PACKETS)).unwrap();
    let faults = running.finish().unwrap();
    let reorder = &faults[1];
    assert_eq!(reorder.kind, FaultKind::Reorder);
    assert_as_asked(reorder);
    // Who is not late has not waited; on a busy machine some of them took as long.
    let early = arrivals[1..].iter().filter(|one| one.took < LATE).count() as u64;
    assert!(
        early > 0 && early <= reorder.hit.unwrap(),
        "{early}: {reorder:?}"
    );
    let numbers = arrivals[1..].windows(2);
    let overtaken = numbers.filter(|pair| pair[1].number < pair[0].number);
    assert!(overtaken.count() > 0);
    cell::exact(REORDER, "", reorder.hit.unwrap());
}

#[test]
fn a_delay_varies_as_it_was_told() {
    const COLUMN: &str = "delay by netem";
    let Some(net) = with_netem("qvary", COLUMN) else {
        return;
    };
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let fault = "delay=200ms,jitter=20ms,distribution=normal";
    let all = |_: &FaultReport| 1000;
    let fault = [fault, "--peer", PEER_V4];
    let (report, arrivals) = through(from, to, &fault, (1000, 100), all);
    assert_eq!(report.distribution.as_deref(), Some("normal"));
    let took: Vec<f64> = arrivals.iter().map(|one| one.took.as_secs_f64()).collect();
    let mean = took.iter().sum::<f64>() / took.len() as f64;
    let variance = took.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / took.len() as f64;
    // A slow machine adds to both, and takes from neither.
    assert!(mean > 0.195, "mean {mean}");
    assert!(variance.sqrt() > 0.017, "deviation {}", variance.sqrt());
    // Whoever is earlier than the mean overtakes, however late all of them are.
    let pairs = arrivals.windows(2);
    let overtaken = pairs.filter(|pair| pair[1].number < pair[0].number).count();
    assert!(overtaken > 100, "{overtaken} of 1000");
}

#[test]
fn a_slow_link_takes_its_time() {
    const COLUMN: &str = "rate by netem";
    let Some(net) = with_netem("qslow", COLUMN) else {
        return;
    };
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    // 500 of 1,042 bytes with their headers are 4.2 Mbit.
    let fault = ["rate=4mbit", "--peer", PEER_V4];
    let (report, arrivals) = through(from, to, &fault, (500, 1000), |_| 500);
    assert_eq!(report.rate_bits.unwrap(), 4_000_000);
    let took = arrivals[arrivals.len() - 1].at - arrivals[0].at;
    assert!(took > Duration::from_millis(950), "{took:?}");
    cell::exact(COLUMN, "", 500);
}

#[test]
fn what_netem_corrupts_is_found_by_the_receiver() {
    const COLUMN: &str = "corrupt by netem";
    let Some(net) = with_netem("qbad", COLUMN) else {
        return;
    };
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let tcp = |name| to.netns.counter("Tcp", name).unwrap();
    for (ipv6, (peer, variant)) in [false, true].into_iter().zip(families()) {
        let closed = SocketAddr::new(to.address(ipv6), 1);
        from.netns.enter(|| knock(closed, 1)).unwrap();
        let before = [tcp("InSegs"), tcp("InCsumErrors")];
        let fault = ["corrupt=50%", "--engine", "netem", "--peer", peer];
        let running = Fault::start(&from.netns, &fault).unwrap();
        // SYNs, which a closed port answers: nothing is retransmitted.
        from.netns
            .enter(|| knock(closed, PACKETS as usize))
            .unwrap();
        let report = running.finish_one().unwrap();
        let sent = u64::from(PACKETS);
        assert_eq!(report.seen.unwrap(), sent, "{report:?}");
        assert!(report.hit.is_none(), "netem does not count: {report:?}");
        let discarded = tcp("InCsumErrors") - before[1];
        let missing = sent - (tcp("InSegs") - before[0]);
        println!(
            "{variant}: of {sent} segments TCP discarded {discarded}; {missing} were lost with a corrupted link or network header"
        );
        // One in ten hits something that nobody looks at, such as the sender's own
        // link address.
        let (least, most) = interval(Percent::new(50.0).unwrap(), sent, sent as f64);
        assert!(discarded + missing <= most);
        assert!(discarded + missing >= least * 8 / 10);
        cell::exact(COLUMN, variant, discarded);
    }
}

#[test]
fn what_netem_corrupts_never_reaches_an_application() {
    const COLUMN: &str = "payload corrupted unseen";
    let net = routed("qsafe", 2).unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let router = net.host("router").unwrap();
    if refusal(from, &["delay=1ms"]).is_some() {
        return cell::absent(COLUMN, "netem");
    }
    let mut intact = 0;
    for (ipv6, (peer, _)) in [false, true].into_iter().zip(families()) {
        // On the sender's own interface, and on the way.
        for (on, offloads) in [(from, true), (from, false), (router, true)] {
            from.offloads(&["tx", "tso", "gso"], offloads).unwrap();
            let sink = Sink::open(to, to.address(ipv6)).unwrap();
            let mut load = Load::connect(from, sink.address(), 16).unwrap();
            let errors = || to.netns.counter("Tcp", "InCsumErrors");
            let before = errors().unwrap();
            let fault = ["corrupt=5%", "--engine", "netem", "--peer", peer];
            let running = Fault::start(&on.netns, &fault).unwrap();
            wait::until(LIMIT, "payload, and bad checksums", || {
                load.push()?;
                let enough = sink.intact_bytes()? > 1 << 20 && errors()? > before + 20;
                Ok(enough.then_some(()))
            })
            .unwrap();
            running.finish_one().unwrap();
            drain(from).unwrap();
            intact += sink.intact_bytes().unwrap();
        }
    }
    println!("{intact} bytes arrived, all as they were sent");
    cell::found(COLUMN, "none");
}

#[test]
fn faults_go_together() {
    const COLUMN: &str = "combined";
    let Some(net) = with_netem("qmany", COLUMN) else {
        return;
    };
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let receiver = Receiver::open(to, to.v4.into()).unwrap();
    receiver.send(from, 1, 100).unwrap();
    receiver.expect(1).unwrap();
    let fault = ["delay=20ms", "loss=10%", "duplicate=10%", "--peer", PEER_V4];
    let running = Fault::start(&from.netns, &fault).unwrap();
    receiver.send(from, PACKETS, 100).unwrap();
    wait::until(LIMIT, "most datagrams", || {
        let arrived = receiver.arrivals().len();
        Ok((arrived > PACKETS as usize / 2).then_some(()))
    })
    .unwrap();
    let faults = running.finish().unwrap();
    let [delay, loss, duplicate] = &faults[..] else {
        panic!("{faults:?}")
    };
    let engines = [delay, loss, duplicate].map(|fault| fault.engine.as_ref());
    assert_eq!(engines, ["netem", "bpf", "netem"]);
    let sent = u64::from(PACKETS);
    assert_eq!(loss.seen.unwrap(), sent);
    let left = sent - loss.hit.unwrap();
    assert_eq!((delay.seen.unwrap(), duplicate.seen.unwrap()), (left, left));
    assert_as_asked(loss);
    assert_as_asked(duplicate);
    receiver.expect(1 + left + duplicate.hit.unwrap()).unwrap();
    cell::exact(COLUMN, "", left);
}
