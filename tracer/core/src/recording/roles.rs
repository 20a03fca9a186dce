//! What a connection is for: replication and to whom, a client's, the cluster
//! manager's. Pure: from what is known of its ends and of its process.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::recording::peers::{Peers, ReplicationPeer};
use crate::report::process::{Process, Program};
use crate::report::role::{FlowRole, Kind, ToldBy};

const POSTGRES: u16 = 5432;
/// Patroni's REST interface.
const PATRONI: u16 = 8008;
/// etcd's ports for clients and for its own members.
const ETCD: [u16; 2] = [2379, 2380];

/// What a server has said of its connections.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Far ends of its replication connections.
    pub peers: Arc<Peers>,
    /// Ports of servers, in addition to the usual one.
    pub ports: Vec<u16>,
}

impl Known {
    /// The role of a connection.
    #[must_use]
    pub fn role(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        process: Option<&Process>,
    ) -> FlowRole {
        let by_process = process.and_then(by_process);
        if let Some((kind, peer)) = self.by_server(local, remote, process, by_process) {
            return FlowRole {
                kind,
                standby: peer.sends.then(|| peer.name.clone()),
                told_by: Some(ToldBy::Postgres),
            };
        }
        let by_port = || self.by_port(local.port(), remote.port());
        let known = by_process.map(|kind| (kind, Some(ToldBy::Process)));
        let known = known.or_else(|| Some((by_port()?, Some(ToldBy::Port))));
        let (kind, told_by) = known.unwrap_or_default();
        FlowRole {
            kind,
            standby: None,
            told_by,
        }
    }

    fn by_server(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        process: Option<&Process>,
        by_process: Option<Kind>,
    ) -> Option<(Kind, &ReplicationPeer)> {
        let end = |address: SocketAddr| (address.ip(), address.port());
        // The server speaks of its processes as they know themselves: in a container, that
        // is another number than ours, which may be somebody else's there.
        let is_pid = |peer: &ReplicationPeer| {
            process.is_some_and(|process| {
                process.program == Some(Program::Postgres) && process.own_pid == Some(peer.pid)
            })
        };
        // A port that a client has come to use after a standby did.
        let may_be = |kind| {
            matches!(by_process, None | Some(Kind::PostgresOther)) || by_process == Some(kind)
        };
        if let Some(peer) = self.peers.get(&end(remote)) {
            if peer.sends && (is_pid(peer) || may_be(Kind::Walsender)) {
                return Some((Kind::Walsender, peer));
            }
            // Where the standby receives from, its clients may connect to as well.
            if !peer.sends && (is_pid(peer) || by_process == Some(Kind::Walreceiver)) {
                return Some((Kind::Walreceiver, peer));
            }
        }
        self.peers
            .get(&end(local))
            .filter(|peer| peer.sends && may_be(Kind::Walreceiver))
            .map(|peer| (Kind::Walreceiver, peer))
    }

    fn by_port(&self, local: u16, remote: u16) -> Option<Kind> {
        let either = |port: u16| port == local || port == remote;
        if either(POSTGRES) || self.ports.iter().any(|port| either(*port)) {
            Some(Kind::Client)
        } else if either(PATRONI) {
            Some(Kind::Patroni)
        } else if ETCD.into_iter().any(either) {
            Some(Kind::Etcd)
        } else {
            None
        }
    }
}

/// Whether a process sends or receives a server's log.
#[must_use]
pub fn replicates(process: &Process) -> bool {
    by_process(process).is_some_and(Kind::is_replication)
}

fn by_process(process: &Process) -> Option<Kind> {
    Some(match process.program? {
        Program::Postgres => match &process.title {
            Some(title) => by_title(title),
            None => Kind::PostgresOther,
        },
        Program::Patroni => Kind::Patroni,
        Program::Etcd => Kind::Etcd,
        Program::PgReceivewal => Kind::Walreceiver,
    })
}

/// What a PostgreSQL process says it is: `postgres: `, the cluster's name and
/// another `: ` if it has one, then `walsender USER HOST(PORT) …`, `walreceiver …`,
/// `USER DATABASE HOST(PORT) …` or what else it does.
fn by_title(title: &str) -> Kind {
    let title = title.strip_prefix("postgres: ").unwrap_or(title);
    // A cluster's name may hold anything, such as `: `.
    let behind_names = title.match_indices(": ").map(|(at, _)| &title[at + 2..]);
    for text in std::iter::once(title).chain(behind_names) {
        match text.split(' ').next() {
            Some("walsender") => return Kind::Walsender,
            Some("walreceiver") => return Kind::Walreceiver,
            _ => {}
        }
    }
    if title.split(' ').any(is_client) {
        Kind::Client
    } else {
        Kind::PostgresOther
    }
}

/// `10.0.10.3(53916)`, `[local]`.
fn is_client(word: &str) -> bool {
    let port = word
        .strip_suffix(')')
        .and_then(|word| word.rsplit_once('('));
    word == "[local]" || port.is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests;
