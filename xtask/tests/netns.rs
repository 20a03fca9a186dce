//! A real network of namespaces: hosts that talk, lose packets, and vanish.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::Pid;
use xtask::testbed::netns::{Host, Net, Netns, Queue};
use xtask::testbed::wait;

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn hosts_talk_over_both_families() {
    let net = Net::pair("talk", "ens160").unwrap();
    for ipv6 in [false, true] {
        let [from, to] = net.hosts() else {
            unreachable!()
        };
        assert_eq!(send(from, to, to.address(ipv6), 4).unwrap(), 4);
    }
}

#[test]
fn a_full_queue_on_the_switch_loses_segments() {
    let net = Net::pair("loss", "eth0").unwrap();
    let queue = Queue {
        rate_bps: 100_000_000,
        burst_bytes: 20_000,
        limit_bytes: 20_000,
    };
    net.shape_toward("standby", &queue).unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    from.offloads(&["tso", "gso"], false).unwrap();
    assert_eq!(from.netns.counter("Tcp", "RetransSegs").unwrap(), 0);
    assert_eq!(send(from, to, to.v4.into(), 4_000_000).unwrap(), 4_000_000);
    assert!(from.netns.counter("Tcp", "RetransSegs").unwrap() > 0);
}

#[test]
fn everything_vanishes_with_the_net() {
    let net = Net::pair("vanish", "eth0").unwrap();
    let host = net.host("standby").unwrap();
    let path = host.netns.path();
    let mut child = host.netns.command("sleep").arg("60").spawn().unwrap();
    // What is on its way in, but not there yet, is nobody's to end.
    let inside = || {
        let processes = host.netns.processes()?;
        let pid = Pid::from_raw(child.id().cast_signed());
        Ok(processes.contains(&pid).then_some(()))
    };
    wait::until(LIMIT, "the child to be inside", inside).unwrap();
    assert!(path.exists());
    drop(net);
    assert!(!path.exists());
    assert!(!child.wait().unwrap().success());
}

#[test]
fn a_sysctl_stays_in_its_namespace() {
    let net = Net::pair("sysctl", "eth0").unwrap();
    let [one, other] = net.hosts() else {
        unreachable!()
    };
    one.netns.sysctl("net.ipv4.tcp_retries2", "3").unwrap();
    assert_eq!(retries(&one.netns).unwrap(), "3");
    assert_ne!(retries(&other.netns).unwrap(), "3");
    assert!(one.netns.sysctl("kernel.panic", "0").is_err());
}

fn retries(netns: &Netns) -> Result<String> {
    let path = "/proc/sys/net/ipv4/tcp_retries2";
    netns.enter(|| Ok(fs::read_to_string(path)?.trim().to_owned()))
}

/// Sends that many bytes and returns how many arrived.
fn send(from: &Host, to: &Host, address: IpAddr, bytes: usize) -> Result<usize> {
    let listener = to
        .netns
        .enter(|| Ok(TcpListener::bind(SocketAddr::new(address, 0))?))?;
    let target = listener.local_addr()?;
    let sender = from
        .netns
        .enter(|| Ok(TcpStream::connect_timeout(&target, LIMIT)?));
    let mut sender = sender.context("cannot connect")?;
    let (mut receiver, _) = listener.accept()?;
    receiver.set_read_timeout(Some(LIMIT))?;
    sender.set_write_timeout(Some(LIMIT))?;
    thread::scope(|scope| {
        scope.spawn(move || sender.write_all(&vec![7; bytes]));
        let mut arrived = Vec::new();
        receiver.read_to_end(&mut arrived)?;
        Ok(arrived.len())
    })
}
