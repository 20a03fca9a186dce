//! A filter selects; the totals stay whole.

use std::net::SocketAddr;

use tracer_core::report::NamespaceReport;
use xtask::testbed::{netns::Net, wait};

use crate::support::{
    kernel,
    storm::{LIMIT, NARROW, WIDE, drain, push_until},
    tool::Tool,
    traffic::{Load, Sink},
};

const FLOWS: usize = 8;

#[test]
fn peers_and_ports_select() {
    let net = Net::pair("filter", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let open = |ipv6| Sink::open(to, to.address(ipv6)).unwrap();
    let sinks = [open(false), open(false), open(true)];
    let connect = |sink: &Sink| Load::connect(from, sink.address(), FLOWS).unwrap();
    let mut loads: Vec<Load> = sinks.iter().map(connect).collect();
    let [one, other, six] = sinks.each_ref().map(Sink::address);
    let (port, six_port) = (one.port().to_string(), six.port().to_string());

    type Keeps<'a> = &'a dyn Fn(SocketAddr) -> bool;
    let filters: [(&[&str], Keeps); 7] = [
        (&["--all", "--netns", from.netns.name()], &|_| true),
        (&["--peer", "10.0.10.0/24"], &|remote| remote.is_ipv4()),
        (&["--peer", "10.0.10.3", "--peer", "fd00:10::/64"], &|_| {
            true
        }),
        (&["--peer", "::ffff:10.0.10.3"], &|remote| remote.is_ipv4()),
        (&["--all", "--port", &port], &|remote| remote == one),
        (
            &["--peer", "fd00:10::3", "--port", &port, "--port", &six_port],
            &|remote| remote == six,
        ),
        (
            &["--peer", "10.0.10.4/30", "--peer", "fd00:11::/64"],
            &|_| false,
        ),
    ];
    let before = kernel::segments(&from.netns).unwrap();
    let old = kernel::connections(&from.netns).unwrap();
    let tools = filters.map(|(arguments, keeps)| {
        (
            Tool::start(&from.netns, arguments).unwrap(),
            arguments,
            keeps,
        )
    });
    let elsewhere = Tool::start(net.switch(), &["--peer", "10.0.10.3"]).unwrap();
    net.shape_toward("standby", &NARROW).unwrap();
    wait::until(LIMIT, "retransmits", || {
        for load in &mut loads {
            load.push()?;
        }
        Ok((kernel::segments(&from.netns)? >= before + 1_000).then_some(()))
    })
    .unwrap();
    net.shape_toward("standby", &WIDE).unwrap();
    let connections = drain(from).unwrap();
    let grown = kernel::segments(&from.netns).unwrap() - before;
    assert_ne!(one, other);

    for (tool, arguments, keeps) in tools {
        let report = tool.finish().unwrap();
        report.check();
        assert_eq!(report.totals.segments, grown, "{arguments:?}");
        let kept = || connections.iter().filter(|((_, remote), _)| keeps(*remote));
        assert_eq!(report.flows.len(), kept().count(), "{arguments:?}");
        let grown = kept().map(|(ends, connection)| connection.since(old[ends]).segments);
        let segments: u64 = grown.sum();
        assert_eq!(report.selected.segments, segments, "{arguments:?}");
        let never_seen = report.warned("seen");
        assert_eq!(never_seen, kept().count() == 0, "{:?}", report.warnings);
    }

    // The switch has no sockets, but it is told where there are some.
    let report = elsewhere.finish().unwrap();
    report.check();
    assert_eq!(report.totals.segments, 0);
    let warnings = report.warnings.join("\n");
    // Which one is named first is open: other tests use these addresses too.
    for word in ["in other network namespaces (net:[", "--netns all"] {
        assert!(warnings.contains(word), "{word} is not in: {warnings}");
    }
}

#[test]
fn a_small_table_loses_nothing() {
    let net = Net::pair("table", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let sink = Sink::open(to, to.v4.into()).unwrap();
    let mut load = Load::connect(from, sink.address(), FLOWS).unwrap();
    let before = kernel::segments(&from.netns).unwrap();
    let arguments = ["--peer", "10.0.10.3", "--max-flows", "2"];
    let tool = Tool::start(&from.netns, &arguments).unwrap();
    net.shape_toward("standby", &NARROW).unwrap();
    push_until(from, &mut load, before + 1_000).unwrap();
    net.shape_toward("standby", &WIDE).unwrap();
    drain(from).unwrap();
    let grown = kernel::segments(&from.netns).unwrap() - before;
    let report = tool.finish().unwrap();

    report.check();
    report.check_all_selected();
    assert_eq!(report.totals.segments, grown);
    // Two, and one entry for all the rest. What was found in the sums of sockets
    // at the end needs no room in the table, and has no calls.
    let called = || report.flows.iter().filter(|flow| flow.events > 0);
    let told_apart = called().filter(|flow| flow.netns.is_some());
    assert_eq!((called().count(), told_apart.count()), (3, 2));
    assert!(report.warned("--max-flows"), "{:?}", report.warnings);
    assert!(report.gaps.flows_full > 0);
}

#[test]
fn all_namespaces_at_once() {
    let net = Net::pair("all", "ens160").unwrap();
    let (one, other) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let sinks = [(one, other), (other, one)]
        .map(|(from, to)| (from, Sink::open(to, to.v4.into()).unwrap()));
    let mut loads = sinks
        .each_ref()
        .map(|(from, sink)| Load::connect(from, sink.address(), FLOWS).unwrap());
    let count = || [one, other].map(|host| kernel::segments(&host.netns).unwrap());
    let before = count();
    let tool = Tool::start(
        &one.netns,
        &[
            "--netns",
            "all",
            "--peer",
            "10.0.10.2",
            "--peer",
            "10.0.10.3",
        ],
    )
    .unwrap();
    let shape = |queue| {
        for role in ["primary", "standby"] {
            net.shape_toward(role, queue).unwrap();
        }
    };
    shape(&NARROW);
    wait::until(LIMIT, "retransmits from both", || {
        for load in &mut loads {
            load.push()?;
        }
        let grown = count().iter().zip(before).all(|(now, old)| now - old > 500);
        Ok(grown.then_some(()))
    })
    .unwrap();
    shape(&WIDE);
    for host in [one, other] {
        drain(host).unwrap();
    }
    let after = count();
    let report = tool.finish().unwrap();

    report.check_sums();
    let namespaces = &report.namespaces;
    for (index, host) in [one, other].into_iter().enumerate() {
        let named = |entry: &&NamespaceReport| entry.name.as_deref() == Some(host.netns.name());
        let entry = namespaces.iter().find(named).unwrap();
        assert_eq!(entry.segments, after[index] - before[index]);
        assert_eq!(entry.difference, Some(0), "{entry:?}");
    }
}
