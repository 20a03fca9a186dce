//! Every segment is counted, once, and as what it was.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::Result;
use xtask::{
    netns::{Host, Net, Queue},
    wait,
};

use crate::{
    kernel::{self, Connection, Counters, Ends},
    report::{Report, endpoint, number},
    tool::Tool,
    traffic::{Load, Sink},
};

pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// So many that a mistake of one in ten thousand shows.
pub(crate) const SEGMENTS: u64 = 10_000;
const FLOWS: usize = 48;

/// Overflows at once.
pub(crate) const NARROW: Queue = Queue {
    rate_bps: 200_000_000,
    burst_bytes: 20_000,
    limit_bytes: 30_000,
};
/// Never overflows.
pub(crate) const WIDE: Queue = Queue {
    rate_bps: 10_000_000_000,
    burst_bytes: 10_000_000,
    limit_bytes: 1_000_000_000,
};

/// Where segments are lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// In the sender's own queue: the device refuses them.
    Host,
    /// On the way.
    Wire,
}

impl Loss {
    fn shape(self, net: &Net, queue: &Queue) -> Result<()> {
        match self {
            Self::Host => net.host("primary")?.shape(queue),
            Self::Wire => net.shape_toward("standby", queue),
        }
    }
}

/// How the sender writes the peer's address.
#[derive(Clone, Copy)]
enum Family {
    V4,
    V6,
    /// IPv4, through a socket of IPv6.
    Mapped,
}

impl Family {
    fn peer(self, host: &Host) -> IpAddr {
        host.address(matches!(self, Self::V6))
    }

    fn target(self, sink: SocketAddr) -> SocketAddr {
        match (self, sink.ip()) {
            (Self::Mapped, IpAddr::V4(address)) => {
                SocketAddr::new(address.to_ipv6_mapped().into(), sink.port())
            }
            _ => sink,
        }
    }
}

/// Pushes until so many segments more than `base` were retransmitted.
pub(crate) fn push_until(host: &Host, load: &mut Load, segments: u64) -> Result<()> {
    wait::until(LIMIT, "retransmits", || {
        load.push()?;
        Ok((kernel::segments(&host.netns)? >= segments).then_some(()))
    })
}

/// Waits until everything that was sent has arrived.
pub(crate) fn drain(host: &Host) -> Result<HashMap<Ends, Connection>> {
    wait::until(LIMIT, "everything to arrive", || {
        let connections = kernel::connections(&host.netns)?;
        let idle = connections.values().all(|one| one.queued == 0);
        Ok(idle.then_some(connections))
    })
}

fn storm(tag: &str, loss: Loss, family: Family, congestion_control: &str) {
    let net = Net::pair(tag, "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    from.netns
        .sysctl("net.ipv4.tcp_congestion_control", congestion_control)
        .unwrap();
    let peer = family.peer(to);
    let sink = Sink::open(to, peer).unwrap();
    let mut load = Load::connect(from, family.target(sink.address()), FLOWS).unwrap();
    let before = Counters::read(&from.netns).unwrap();
    let tool = Tool::start(&from.netns, &["--peer", &peer.to_string()]).unwrap();
    loss.shape(&net, &NARROW).unwrap();
    push_until(from, &mut load, before.segments + SEGMENTS).unwrap();
    loss.shape(&net, &WIDE).unwrap();
    let connections = drain(from).unwrap();
    let grown = Counters::read(&from.netns).unwrap().since(before);
    let report = tool.finish().unwrap();

    println!("{tag}: {grown:?}\n{}", report.at("/totals"));
    report.check();
    report.check_all_selected();
    assert_eq!(report.number("/totals/kernel_retrans_segs"), grown.segments);
    check_kinds(&report, &grown);
    check_connections(&report, &connections, FLOWS);
    // A segment that is still in the host's queue is refused before it counts.
    let failed = report.number("/totals/failed_segments");
    assert_eq!(failed > 0, loss == Loss::Host, "{failed} failed");
    for flow in report.flows() {
        assert_eq!(endpoint(&flow["remote"]), sink.address());
        assert_eq!(
            number(&flow["process"]["pid"]),
            u64::from(std::process::id())
        );
    }
    assert!(sink.intact_bytes().unwrap() > 0);
}

/// Each kind against the kernel's counter of it. What no program was shown
/// cannot be told by kind, and nothing else may be missing.
pub(crate) fn check_kinds(report: &Report, kernel: &Counters) {
    let unseen = report.number("/totals/unseen_segments");
    let sum = |table: &str, kinds: &[&str]| -> u64 {
        let one = |kind: &&str| report.number(&format!("/totals/{table}/{kind}"));
        kinds.iter().map(one).sum()
    };
    let sent = |kinds: &[&str]| sum("by_kind", kinds) - sum("failed_by_kind", kinds);
    for (counter, kernel, ours) in [
        (
            "TCPTimeouts",
            kernel.timeouts,
            sum("attempts_by_kind", &["rto", "syn"]),
        ),
        ("TCPFastRetrans", kernel.fast, sent(&["fast", "rack"])),
        (
            "TCPSlowStartRetrans",
            kernel.slow_start,
            sent(&["slow_start"]),
        ),
        (
            "TCPSynRetrans",
            kernel.syn,
            sum("by_kind", &["syn", "synack"]),
        ),
    ] {
        assert!(
            ours <= kernel && kernel - ours <= unseen,
            "{counter}: the kernel has {kernel}, we have {ours}, with {unseen} unseen; {}",
            report.at("/totals")
        );
    }
    assert!(sum("attempts_by_kind", &["tlp"]) <= kernel.probes);
}

/// Each flow against the socket's own sums.
pub(crate) fn check_connections(
    report: &Report,
    connections: &HashMap<Ends, Connection>,
    count: usize,
) {
    assert_eq!(connections.len(), count);
    assert_eq!(report.flows().len(), count);
    for flow in report.flows() {
        let ends = (endpoint(&flow["local"]), endpoint(&flow["remote"]));
        let connection = connections[&ends];
        assert_eq!(number(&flow["segments"]), connection.segments, "{ends:?}");
        assert_eq!(number(&flow["bytes"]), connection.bytes, "{ends:?}");
    }
}

#[test]
fn a_storm_on_the_wire_over_ipv4() {
    storm("wire4", Loss::Wire, Family::V4, "bbr");
}

#[test]
fn a_storm_on_the_wire_over_ipv6() {
    storm("wire6", Loss::Wire, Family::V6, "reno");
}

#[test]
fn a_storm_in_the_host_over_ipv4() {
    storm("host4", Loss::Host, Family::V4, "bbr");
}

#[test]
fn a_storm_in_the_host_through_a_socket_of_ipv6() {
    storm("hostm", Loss::Host, Family::Mapped, "bbr");
}
