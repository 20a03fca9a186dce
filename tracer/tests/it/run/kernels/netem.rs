//! Every way in which netem makes TCP send again, set by plain `tc`.

use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::Result;
use xtask::testbed::{
    netns::{Host, HostSpec, Net},
    wait,
};

use super::{amount::segments, cell};
use crate::support::{
    exact::{Before, check_connections, check_kinds},
    kernel::{self, Counters},
    storm::{LIMIT, drain, push_until},
    tool::Tool,
    traffic::{Load, Sink},
};

const FLOWS: usize = 16;
pub(super) const CALM: &str = "delay 1ms";

/// What packets go through on their way.
struct Trouble {
    column: &'static str,
    netem: &'static str,
    /// One in so many of a storm's segments is waited for: some troubles cause few.
    one_in: u64,
}

const LOSS: Trouble = Trouble {
    column: "netem loss",
    netem: "delay 1ms loss 5%",
    one_in: 5,
};
const CORRUPT: Trouble = Trouble {
    column: "netem corrupt",
    netem: "delay 1ms corrupt 5%",
    one_in: 5,
};
/// A sender soon learns how late its segments may be, and waits.
const REORDER: Trouble = Trouble {
    column: "netem reorder",
    netem: "delay 20ms reorder 80%",
    one_in: 125,
};
/// Nothing is lost; what was acknowledged within a millisecond is late, once.
const DELAY: Trouble = Trouble {
    column: "netem delay",
    netem: "delay 1s",
    one_in: 125,
};

/// How the sender is set up.
#[derive(Clone, Copy)]
struct Variant {
    ipv6: bool,
    offload: bool,
    sack: bool,
}

impl Variant {
    /// Half of the eight, in which every pair of settings meets.
    fn all() -> impl Iterator<Item = Self> {
        let settings = [(false, false), (false, true), (true, false), (true, true)];
        settings.into_iter().map(|(ipv6, offload)| Self {
            ipv6,
            offload,
            sack: ipv6 == offload,
        })
    }

    fn name(self) -> String {
        [
            if self.ipv6 { "IPv6" } else { "IPv4" },
            if self.offload {
                "offload"
            } else {
                "no offload"
            },
            if self.sack { "SACK" } else { "no SACK" },
        ]
        .join(", ")
    }

    /// For connections that are made from now on.
    fn apply(self, net: &Net) -> Result<()> {
        let sack = if self.sack { "1" } else { "0" };
        for host in net.hosts() {
            host.netns.sysctl("net.ipv4.tcp_sack", sack)?;
        }
        net.host("primary")?.offloads(&["tso", "gso"], self.offload)
    }
}

/// The primary's packets to the standby go by a router. It alone owns them then:
/// what waits in a queue of the sender's own machine, its TCP does not send again.
pub(super) fn routed(tag: &str, first: u8) -> Result<Net> {
    let host = |role, number| HostSpec {
        role,
        number,
        interface: "ens160",
    };
    let hosts = [
        host("primary", first),
        host("standby", first + 1),
        host("router", first + 2),
    ];
    let net = Net::star(tag, &hosts)?;
    let (from, to, router) = (
        net.host("primary")?,
        net.host("standby")?,
        net.host("router")?,
    );
    for (name, value) in [
        ("ipv4.conf.all.forwarding", "1"),
        ("ipv6.conf.all.forwarding", "1"),
        // Nor does it tell that there is a shorter way.
        ("ipv4.conf.all.send_redirects", "0"),
        ("ipv4.conf.ens160.send_redirects", "0"),
    ] {
        router.netns.sysctl(&format!("net.{name}"), value)?;
    }
    from.netns
        .sysctl("net.ipv6.conf.ens160.accept_redirects", "0")?;
    let routes = [false, true].map(|ipv6| {
        let (to, via) = (to.address(ipv6), router.address(ipv6));
        format!("route add {to} via {via}\n")
    });
    from.netns.ip(&routes.concat())?;
    Ok(net)
}

/// Sets netem on a host's interface, in the place of an earlier one, of which
/// nothing stays: a mere change would keep what it does not name.
pub(super) fn set(host: &Host, netem: &str) -> Result<()> {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let handle = format!("{:x}:", NEXT.fetch_add(1, Ordering::Relaxed));
    let place = ["qdisc", "replace", "dev", &host.interface, "root"];
    let netem: Vec<&str> = netem.split(' ').collect();
    let fresh = ["handle", &handle, "netem", "limit", "100000"];
    let arguments = [&place[..], &fresh, &netem].concat();
    host.netns.run("tc", &arguments).map(|_| ())
}

/// Whether this kernel has netem at all.
pub(super) fn is_there(host: &Host) -> bool {
    match set(host, CALM) {
        Ok(()) => true,
        Err(error) if format!("{error:#}").contains("qdisc kind is unknown") => false,
        Err(error) => panic!("{error:#}"),
    }
}

fn go_through(tag: &str, trouble: &Trouble) {
    let net = routed(tag, 2).unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let router = net.host("router").unwrap();
    if !is_there(router) {
        return cell::absent(trouble.column, "netem");
    }
    let before = Before::read(from).unwrap();
    let tool = Tool::start(
        &from.netns,
        &["--peer", "10.0.10.3", "--peer", "fd00:10::3"],
    )
    .unwrap();
    let mut parts = Vec::new();
    for variant in Variant::all() {
        variant.apply(&net).unwrap();
        let sink = Sink::open(to, to.address(variant.ipv6)).unwrap();
        let mut load = Load::connect(from, sink.address(), FLOWS).unwrap();
        load.push().unwrap();
        set(router, trouble.netem).unwrap();
        let now = kernel::segments(&from.netns).unwrap();
        push_until(from, &mut load, now + segments() / trouble.one_in).unwrap();
        set(router, CALM).unwrap();
        drain(from).unwrap();
        parts.push((variant.name(), sink, load));
    }
    let connections = drain(from).unwrap();
    let grown = Counters::read(&from.netns).unwrap().since(before.counters);
    let report = tool.finish().unwrap();

    println!("{grown:?}\n{:?}", report.totals);
    report.check();
    report.check_all_selected();
    assert_eq!(report.totals.kernel_retrans_segs.unwrap(), grown.segments);
    check_kinds(&report, &grown);
    check_connections(&report, &before, &connections, FLOWS * parts.len());
    for (name, sink, _load) in parts {
        assert!(sink.intact_bytes().unwrap() > 0);
        let counted = report
            .flows
            .iter()
            .filter(|flow| flow.remote.socket() == sink.address())
            .map(|flow| flow.segments)
            .sum();
        cell::exact(trouble.column, &name, counted);
    }
}

#[test]
fn loss() {
    go_through("netloss", &LOSS);
}

#[test]
fn corrupt() {
    go_through("netbad", &CORRUPT);
}

#[test]
fn reorder() {
    go_through("netswap", &REORDER);
}

#[test]
fn delay() {
    go_through("netlate", &DELAY);
}

/// The timer goes off while the segment still waits in a queue of the sender's
/// own machine: the call fails before anything is counted.
#[test]
fn timers_that_send_nothing() {
    const COLUMN: &str = "timers in vain";
    let net = Net::pair("netvain", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    if !is_there(from) {
        return cell::absent(COLUMN, "netem");
    }
    let sink = Sink::open(to, to.v4.into()).unwrap();
    let mut load = Load::connect(from, sink.address(), FLOWS).unwrap();
    load.push().unwrap();
    drain(from).unwrap();
    let old = Counters::read(&from.netns).unwrap();
    let tool = Tool::start(&from.netns, &["--peer", "10.0.10.3"]).unwrap();
    set(from, "delay 1s").unwrap();
    load.push().unwrap();
    let flows = FLOWS as u64;
    wait::until(LIMIT, "timeouts", || {
        let grown = Counters::read(&from.netns)?.since(old);
        Ok((grown.timeouts >= flows).then_some(()))
    })
    .unwrap();
    set(from, CALM).unwrap();
    drain(from).unwrap();
    let grown = Counters::read(&from.netns).unwrap().since(old);
    let report = tool.finish().unwrap();

    println!("{grown:?}\n{:?}\n{:?}", report.totals, report.gaps);
    report.check();
    check_kinds(&report, &grown);
    let failed = report.totals.failed_events;
    if report.capabilities.retransmit_err {
        assert!(failed >= Some(flows), "{failed:?} failed");
        cell::found(COLUMN, "shown as failed");
    } else {
        assert_eq!(failed, None);
        cell::found(COLUMN, "not shown");
    }
}
