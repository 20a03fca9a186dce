//! etcd: three members, of which two make a quorum.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::provision::http;
use crate::provision::packages::{self, ETCD_USER};
use crate::testbed::netns::Host;

/// Where a member talks to clients.
pub(super) const PORT: u16 = 2379;

const PEER_PORT: u16 = 2380;

/// A member: its name, and its host.
pub(super) type Peer<'a> = (&'static str, &'a Host);

/// The command that runs a member whose data stand in the folder.
pub(super) fn command(member: Peer, all: &[Peer], data: &Path) -> Result<Command> {
    let (name, host) = member;
    let client = url(host.v4, PORT);
    let peer = url(host.v4, PEER_PORT);
    let cluster: Vec<String> = all
        .iter()
        .map(|(name, host)| format!("{name}={}", url(host.v4, PEER_PORT)))
        .collect();
    let mut etcd = host.netns.command_as(ETCD_USER, packages::program("etcd")?);
    etcd.args(["--name", name])
        .arg("--data-dir")
        .arg(data)
        .args(["--listen-client-urls", &client])
        .args(["--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer])
        .args(["--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &cluster.join(",")])
        .args(["--initial-cluster-state", "new"])
        .args(["--initial-cluster-token", "lab"])
        .args(["--logger", "zap"]);
    Ok(etcd)
}

fn url(address: Ipv4Addr, port: u16) -> String {
    format!("http://{address}:{port}")
}

/// Whether the member has a leader, as it says itself, on its own host.
pub(crate) fn is_healthy(host: &Host) -> Result<bool> {
    let answer = http::get_on(host, PORT, "/health").context("etcd does not answer")?;
    Ok(answer.status == 200 && answer.body.contains("\"true\""))
}
