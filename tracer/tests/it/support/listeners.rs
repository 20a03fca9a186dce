//! Room for connections by the thousand, none of which is ever accepted.

use std::net::TcpListener;

use anyhow::Result;
use nix::sys::socket::{Backlog, listen};
use xtask::testbed::{knocks, netns::Host};

use crate::support::pair;

/// Listeners for so many, none of which is ever accepted. Both ends know each other's
/// address, for which a SYN would otherwise wait and at last be given up.
pub(crate) fn prepare(from: &Host, to: &Host, count: usize) -> Result<Vec<(TcpListener, usize)>> {
    for (name, value) in [
        ("net.core.somaxconn", "65535"),
        ("net.ipv4.tcp_max_syn_backlog", "65535"),
    ] {
        to.netns.sysctl(name, value)?;
    }
    knocks::introduce(from, to)?;
    let mut left = count;
    let mut listeners = Vec::new();
    while left > 0 {
        let some = left.min(knocks::MOST_KNOCKS);
        let listener = pair::listen(to, to.v4.into())?;
        listen(&listener, Backlog::MAXALLOWABLE)?;
        listeners.push((listener, some));
        left -= some;
    }
    Ok(listeners)
}
