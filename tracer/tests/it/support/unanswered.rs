//! Connections that nobody answers, in number.

use std::{
    net::{SocketAddr, TcpListener},
    os::fd::{AsRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result, ensure};
use libc::linger;
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, connect, listen, setsockopt,
        socket, sockopt::Linger,
    },
};
use xtask::testbed::netns::Host;

use crate::support::pair;

/// A process may have some more descriptors than these.
const A_PROCESS: usize = 10_000;

/// Listeners for so many, none of which is ever accepted. Both ends know each other's
/// address, for which a SYN would otherwise wait and at last be given up.
pub(crate) fn prepare(from: &Host, to: &Host, count: usize) -> Result<Vec<(TcpListener, usize)>> {
    for (name, value) in [
        ("net.core.somaxconn", "65535"),
        ("net.ipv4.tcp_max_syn_backlog", "65535"),
    ] {
        to.netns.sysctl(name, value)?;
    }
    let links = ["02:00:00:00:00:02", "02:00:00:00:00:03"];
    for (one, own, other, others) in [
        (from, links[0], to, links[1]),
        (to, links[1], from, links[0]),
    ] {
        let (peer, interface) = (other.v4, &one.interface);
        one.netns.ip(&format!(
            "link set {interface} address {own}\n\
             neigh replace {peer} lladdr {others} dev {interface} nud permanent\n",
        ))?;
    }
    from.netns
        .sysctl("net.ipv4.ip_local_port_range", "1024 65535")?;
    let mut left = count;
    let mut listeners = Vec::new();
    while left > 0 {
        let some = left.min(A_PROCESS);
        let listener = pair::listen(to, to.v4.into())?;
        listen(&listener, Backlog::MAXALLOWABLE)?;
        listeners.push((listener, some));
        left -= some;
    }
    Ok(listeners)
}

/// Sends a SYN and does not wait for an answer.
pub(crate) fn knock(target: SocketAddr) -> Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None)
        .context("there are no descriptors left")?;
    // Its end is a reset: nothing that could be retransmitted.
    let at_once = linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&socket, Linger, &at_once)?;
    let result = connect(socket.as_raw_fd(), &SockaddrStorage::from(target));
    ensure!(result == Err(Errno::EINPROGRESS), "connect said {result:?}");
    Ok(socket)
}
