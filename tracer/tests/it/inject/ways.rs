//! A peer that is reached by more than one interface.

use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};

use anyhow::{Context as _, Result};
use nix::net::if_::if_nametoindex;
use xtask::testbed::netns::{Host, Net};

use super::LIMIT;
use super::helper::{counts, only, request, settle};
use crate::support::fault::tracer;
use crate::support::program::{FAILURE, USAGE};

/// An address of the standby that has no interface of its own.
const V4: &str = "10.9.0.3";
const V6: &str = "fd00:9::3";

/// Two hosts with a second cable between them, and addresses beyond both.
fn two_cables(tag: &str) -> Net {
    let net = Net::pair(tag, "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    from.netns
        .ip(&format!(
            "link add ens192 type veth peer name ens192 netns {}\n\
             address add 10.0.20.2/24 dev ens192\n\
             address add fd00:20::2/64 dev ens192 nodad\n\
             address add fe80::2/64 dev ens160 nodad\n\
             address add fe80::2/64 dev ens192 nodad\n\
             link set ens192 up\n",
            to.netns.name()
        ))
        .unwrap();
    to.netns
        .ip(&format!(
            "address add 10.0.20.3/24 dev ens192\n\
             address add fd00:20::3/64 dev ens192 nodad\n\
             address add fe80::3/64 dev ens160 nodad\n\
             address add fe80::3/64 dev ens192 nodad\n\
             link set ens192 up\n\
             address add {V4}/32 dev lo\n\
             address add {V6}/128 dev lo\n"
        ))
        .unwrap();
    net
}

/// What each command says of a fault toward the peer, and its exit code.
fn each_command(
    host: &Host,
    peer: &str,
    more: &[&str],
) -> Vec<(&'static str, Option<i32>, String)> {
    let fault = ["partition", "--peer", peer, "--duration", "1s"];
    let watched = [
        "run",
        "--peer",
        peer,
        "--inject",
        "partition",
        "--for",
        "1s",
    ];
    let watched = [&watched[..], &["--duration", "1s"], more].concat();
    let commands: [(&str, Vec<&str>); 3] = [
        ("inject", [&["inject"], &fault[..], more].concat()),
        (
            "dry run",
            [&["inject", "--dry-run"], &fault[..], more].concat(),
        ),
        ("run", watched),
    ];
    commands
        .into_iter()
        .map(|(name, arguments)| {
            let (status, said) = tracer(&host.netns, &arguments).unwrap();
            (name, status.code(), said)
        })
        .collect()
}

fn assert_refused(host: &Host, peer: &str, words: &[&str]) {
    for (command, code, said) in each_command(host, peer, &[]) {
        assert_eq!(code, Some(FAILURE), "{peer}, {command}: {said}");
        assert_eq!(said.lines().count(), 1, "{peer}, {command}: {said}");
        for word in words {
            assert!(said.contains(word), "{peer}, {command}: {word}: {said}");
        }
    }
    let (_, said) = tracer(&host.netns, &["check", "--peer", peer]).unwrap();
    for word in words {
        assert!(said.contains(word), "{peer}, check: {word}: {said}");
    }
    assert!(!crate::support::fault::is_there(&host.netns).unwrap());
}

fn dry_run(host: &Host, arguments: &[&str]) -> String {
    let fault = ["inject", "--dry-run", "partition", "--duration", "1s"];
    let (status, said) = tracer(&host.netns, &[&fault[..], arguments].concat()).unwrap();
    assert!(status.success(), "{arguments:?}: {said}");
    said
}

const BOTH: [&str; 4] = ["several interfaces", "ens160", "ens192", "--interface"];

#[test]
fn a_route_with_two_next_hops_is_refused() {
    let net = two_cables("wecmp");
    let host = net.host("primary").unwrap();
    let ip = |lines: &str| host.netns.ip(lines).unwrap();
    ip(&format!(
        "route add {V4}/32 nexthop via 10.0.10.3 nexthop via 10.0.20.3\n\
         route add {V6}/128 nexthop via fd00:10::3 nexthop via fd00:20::3\n"
    ));
    assert_refused(host, V4, &[&BOTH[..], &[V4]].concat());
    assert_refused(host, V6, &[&BOTH[..], &[V6]].concat());

    // Who names one is told what that leaves alone, before and after.
    let said = dry_run(host, &["--peer", V4, "--interface", "ens160"]);
    assert!(
        said.contains("left alone: packets that take ens192"),
        "{said}"
    );
    let report = host
        .netns
        .enter(|| {
            let mut fault = request("partition", V4.parse()?);
            fault.interface = Some("ens160".to_owned());
            Ok(fault.prepare()?.start()?.stop())
        })
        .unwrap();
    assert_eq!(report[0].other_interfaces, ["ens192"]);
    let warning = report[0].others_warning().unwrap();
    assert!(
        warning.contains("ens160 alone") && warning.contains("ens192"),
        "{warning}"
    );

    // One that is down is no way.
    ip("link set ens192 down\n");
    assert!(dry_run(host, &["--peer", V4]).contains("ens160"));
}

#[test]
fn next_hops_that_are_objects_are_next_hops() {
    let net = two_cables("wnh");
    let host = net.host("primary").unwrap();
    host.netns
        .ip(&format!(
            "nexthop add id 1 via 10.0.10.3 dev ens160\n\
             nexthop add id 2 via 10.0.20.3 dev ens192\n\
             nexthop add id 3 group 1/2\n\
             route add {V4}/32 nhid 3\n\
             nexthop add id 11 via fd00:10::3 dev ens160\n\
             nexthop add id 12 via fd00:20::3 dev ens192\n\
             nexthop add id 13 group 11/12\n\
             route add {V6}/128 nhid 13\n"
        ))
        .unwrap();
    assert_refused(host, V4, &BOTH);
    assert_refused(host, V6, &BOTH);
    // The kernel then names the object alone.
    host.netns
        .sysctl("net.ipv4.nexthop_compat_mode", "0")
        .unwrap();
    assert_refused(host, V4, &BOTH);
    assert_refused(host, V6, &BOTH);
}

#[test]
fn a_network_of_which_a_part_goes_elsewhere_is_refused() {
    let net = two_cables("wpart");
    let host = net.host("primary").unwrap();
    host.netns
        .ip(&format!(
            "route add 10.9.0.0/16 via 10.0.10.3\nroute add {V4}/32 via 10.0.20.3\n"
        ))
        .unwrap();
    assert_refused(host, "10.9.0.0/16", &BOTH);
    assert!(dry_run(host, &["--peer", V4]).contains("ens192"));
    assert!(dry_run(host, &["--peer", "10.9.1.0/24"]).contains("ens160"));
}

#[test]
fn a_policy_rule_that_may_choose_otherwise_is_refused() {
    let net = two_cables("wrule");
    let host = net.host("primary").unwrap();
    host.netns
        .ip(&format!(
            "route add {V4}/32 via 10.0.10.3\n\
             route add {V4}/32 via 10.0.20.3 table 100\n"
        ))
        .unwrap();
    assert!(dry_run(host, &["--peer", V4]).contains("ens160"));
    for rule in [
        "fwmark 7",
        "uidrange 100-200",
        "ipproto tcp dport 5432",
        "from 10.0.20.0/24",
        "not fwmark 7",
        "to 10.9.0.0/16 sport 5432",
    ] {
        let rule = |verb| format!("rule {verb} {rule} lookup 100\n");
        host.netns.ip(&rule("add")).unwrap();
        assert_refused(host, V4, &[&BOTH[..], &["policy"]].concat());
        host.netns.ip(&rule("del")).unwrap();
    }
    // One for others decides nothing here, and one for all decides it alone.
    host.netns
        .ip("rule add to 192.0.2.0/24 lookup 100\n")
        .unwrap();
    assert!(dry_run(host, &["--peer", V4]).contains("ens160"));
    host.netns
        .ip("rule add to 10.9.0.0/16 lookup 100\n")
        .unwrap();
    assert!(dry_run(host, &["--peer", V4]).contains("ens192"));
}

#[test]
fn a_link_local_peer_needs_its_zone() {
    let net = two_cables("wzone");
    let host = net.host("primary").unwrap();
    let both = ["link-local", "ens160", "ens192", "fe80::3%ens160"];
    assert_refused(host, "fe80::3", &both);
    assert_refused(host, "fe80::/64", &["fe80::%ens160/64"]);
    let zoned = |zone: &str| dry_run(host, &["--peer", &format!("fe80::3%{zone}")]);
    let said = zoned("ens192");
    assert!(
        said.contains("to ens192 by") && said.contains("fe80::3%ens192"),
        "{said}"
    );
    let index = host.netns.enter(|| Ok(if_nametoindex("ens192")?)).unwrap();
    assert!(zoned(&index.to_string()).contains("to ens192 by"));
    assert!(dry_run(host, &["--peer", "fe80::%ens160/64"]).contains("to ens160 by"));
    assert!(dry_run(host, &["--peer", "fe80::3", "--interface", "ens160"]).contains("ens192"));

    for (peer, more, words) in [
        ("fe80::3%ens9", &[][..], "there is no interface ens9"),
        ("fe80::3%999", &[], "there is no interface 999"),
        ("fe80::3%", &[], "no interface behind its %"),
        ("10.0.10.3%ens160", &[], "only link-local addresses"),
        ("fe80::3%ens160", &["--interface", "ens192"], "is on ens160"),
    ] {
        for (command, code, said) in each_command(host, peer, more) {
            assert_eq!(code, Some(USAGE), "{peer}, {command}: {said}");
            assert!(said.contains(words), "{peer}, {command}: {said}");
        }
    }
}

#[test]
fn a_fault_in_a_zone_is_on_that_interface() {
    let net = two_cables("wzoned");
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let listener = to.netns.enter(|| Ok(UdpSocket::bind("[::]:0")?)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let report = from
        .netns
        .enter(|| {
            let mut lost = request("partition", Ipv6Addr::LOCALHOST.into());
            lost.peers = vec!["fe80::3%ens192".parse()?];
            lost.direction = Some(tracer::inject::Directions::Out);
            let fault = lost.prepare()?.start()?;
            assert_eq!(fault.interface().name, "ens192");
            let socket = UdpSocket::bind("[::]:0")?;
            let send = |interface: &str| -> Result<()> {
                let scope = if_nametoindex(interface)?;
                let peer = SocketAddrV6::new("fe80::3".parse()?, port, 0, scope);
                socket.send_to(interface.as_bytes(), peer)?;
                Ok(())
            };
            // The first waits for the neighbour's address.
            settle(LIMIT, "one to be lost", || {
                send("ens192")?;
                Ok(counts(&fault)?.hit.context("no hits")? > 0)
            })?;
            let mut bytes = [0; 16];
            settle(LIMIT, "one to arrive by the other", || {
                send("ens160")?;
                Ok(listener.recv(&mut bytes).is_ok())
            })?;
            assert_eq!(&bytes[..6], b"ens160");
            Ok(only(fault.stop()))
        })
        .unwrap();
    assert_eq!(report.peers, ["fe80::3%ens192"]);
    assert_eq!(report.hit, report.seen);
    assert!(report.removed && report.warning().is_none(), "{report:?}");
    assert_eq!(report.others_warning(), None);
}
