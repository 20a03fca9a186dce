//! Every segment is counted, once, and as what it was.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use xtask::testbed::netns::{Host, Net, Queue};

use super::{amount::segments, cell};
use crate::support::{
    exact::{Before, finish},
    storm::{NARROW, WIDE, push_until, push_until_one_is_refused},
    tool::Tool,
    traffic::{Load, Sink},
};

const FLOWS: usize = 48;

/// Where segments are lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// In the sender's own queue: the device refuses them.
    Host,
    /// On the way.
    Wire,
}

impl Loss {
    fn column(self) -> &'static str {
        match self {
            Self::Host => "refused by the host's own queue",
            Self::Wire => "lost on the way",
        }
    }

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

fn storm(tag: &str, loss: Loss, family: Family, congestion_control: &str) {
    let net = Net::pair(tag, "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    from.netns
        .sysctl("net.ipv4.tcp_congestion_control", congestion_control)
        .unwrap();
    let peer = family.peer(to);
    let sink = Sink::open(to, peer).unwrap();
    let mut load = Load::connect(from, family.target(sink.address()), FLOWS).unwrap();
    let before = Before::read(from).unwrap();
    let tool = Tool::start(&from.netns, &["--peer", &peer.to_string()]).unwrap();
    loss.shape(&net, &NARROW).unwrap();
    push_until(from, &mut load, before.counters.segments + segments()).unwrap();
    if loss == Loss::Host {
        // With few segments, the queue may have refused only what was sent for the
        // first time.
        push_until_one_is_refused(from, &mut load, before.counters.refused).unwrap();
    }
    loss.shape(&net, &WIDE).unwrap();
    let (report, grown) = finish(tool, from, &before, FLOWS);
    // On the wire nothing fails; a kernel that is silent about failures lets what
    // no program was shown look like one.
    let failed = report.totals.failed_segments;
    match loss {
        Loss::Host => assert!(failed > 0),
        Loss::Wire => assert!(failed <= report.totals.unseen_segments),
    }
    for flow in &report.flows {
        assert_eq!(flow.remote.socket(), sink.address());
        let process = flow.process.as_ref().unwrap();
        assert_eq!(process.pid, std::process::id());
    }
    assert!(sink.intact_bytes().unwrap() > 0);
    cell::exact(loss.column(), tag, grown.segments);
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
