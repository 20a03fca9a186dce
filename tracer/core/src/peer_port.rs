//! The port that connections with a peer have in common: that of a service, at one end or the
//! other.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// A service of a peer's, or one of this host's that the peer uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerPort {
    /// The other host.
    pub peer: IpAddr,
    /// The port of the service.
    pub port: u16,
    /// Whether the service is on this host.
    pub is_ours: bool,
}

/// How many connections with each peer have each port.
#[derive(Debug, Default)]
pub struct PeerPorts(HashMap<PeerPort, u64>);

impl PeerPorts {
    /// Of connections, each by this host's end and the peer's.
    pub fn of(connections: impl IntoIterator<Item = (SocketAddr, SocketAddr)>) -> Self {
        let mut counts = HashMap::new();
        for (local, remote) in connections {
            for port in both(local, remote) {
                *counts.entry(port).or_insert(0) += 1;
            }
        }
        Self(counts)
    }

    /// The one of a connection's two ports that more connections with this peer have; of two
    /// that are alike the lower one, for ports of clients are high.
    #[must_use]
    pub fn shared(&self, local: SocketAddr, remote: SocketAddr) -> PeerPort {
        let [theirs, ours] = both(local, remote);
        let weight = |port: &PeerPort| {
            let count = self.0.get(port).copied().unwrap_or(0);
            (count, std::cmp::Reverse(port.port))
        };
        match weight(&ours) > weight(&theirs) {
            true => ours,
            false => theirs,
        }
    }
}

fn both(local: SocketAddr, remote: SocketAddr) -> [PeerPort; 2] {
    let peer = remote.ip();
    [(remote.port(), false), (local.port(), true)].map(|(port, is_ours)| PeerPort {
        peer,
        port,
        is_ours,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_more_connections_share_is_the_service_and_alone_the_lower_port() {
        let end = |text: &str| text.parse::<SocketAddr>().unwrap();
        let connection = |local: &str, remote: &str| (end(local), end(remote));
        let all = [
            // A service on a port above those of its clients.
            connection("10.0.0.1:33000", "10.0.0.2:60000"),
            connection("10.0.0.1:33001", "10.0.0.2:60000"),
            connection("10.0.0.1:5432", "10.0.0.3:41000"),
        ];
        let ports = PeerPorts::of(all);
        let shared = all.map(|(local, remote)| {
            let port = ports.shared(local, remote);
            (port.port, port.is_ours)
        });
        assert_eq!(shared, [(60_000, false), (60_000, false), (5432, true)]);
    }
}
