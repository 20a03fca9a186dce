//! Segments that arrived with a bad checksum, by interval: like retransmits, they show when the
//! network was at fault, and they are seen at the other end.

use std::collections::BTreeMap;
use std::mem;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use tracer_ebpf::{Ends, Tuple};

use crate::address::canonical;

/// A connection, as a segment that arrived from its other end names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionEnds {
    /// Who sent it.
    pub remote: SocketAddr,
    /// Where to.
    pub local_port: u16,
}

impl From<&Ends> for ConnectionEnds {
    fn from(ends: &Ends) -> Self {
        let address = canonical(Ipv6Addr::from(ends.remote));
        Self {
            remote: SocketAddr::new(address, ends.remote_port),
            local_port: ends.local_port,
        }
    }
}

/// Counts since the start of the run.
#[derive(Debug, Clone, Default)]
pub struct BySender {
    /// By the peer that sent them: an IP header has a checksum of its own, so that the
    /// sender's address is right.
    pub by_peer: BTreeMap<IpAddr, u64>,
    /// By the connection that their ports name, which may be what is damaged.
    pub by_connection: BTreeMap<ConnectionEnds, u64>,
}

impl BySender {
    /// One more.
    pub fn add(&mut self, tuple: &Tuple) {
        let connection = ConnectionEnds::from(&tuple.ends());
        for count in [
            self.by_peer.entry(connection.remote.ip()).or_default(),
            self.by_connection.entry(connection).or_default(),
        ] {
            *count = count.saturating_add(1);
        }
    }
}

/// What arrived with a bad checksum in one interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadChecksumStep {
    /// End of the interval, ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// Segments with a bad checksum, from the peers that the filter keeps.
    pub segments: u64,
    /// By the peer that sent them; `None` where it is not known of each.
    pub by_peer: Option<BTreeMap<IpAddr, u64>>,
    /// By connection, of as many as that is known of; `None` where it is not known of any.
    pub by_connection: Option<BTreeMap<ConnectionEnds, u64>>,
}

impl BadChecksumStep {
    /// Whether some of them certainly came from this peer.
    pub(crate) fn is_from(&self, peer: IpAddr) -> bool {
        let peers = self.by_peer.as_ref();
        peers.is_some_and(|peers| peers.contains_key(&peer))
    }

    /// How many came from this peer, or may have.
    pub(crate) fn from(&self, peer: IpAddr) -> u64 {
        match &self.by_peer {
            Some(peers) => peers.get(&peer).copied().unwrap_or(0),
            None => self.segments,
        }
    }

    /// How many of a peer's were of these connections, or may have been.
    pub(crate) fn of(&self, peer: IpAddr, connections: &[ConnectionEnds]) -> u64 {
        let own = self
            .by_connection(peer)
            .filter(|(one, _)| connections.contains(one));
        let own: u64 = own.map(|(_, count)| *count).sum();
        own.saturating_add(self.of_unknown(peer))
    }

    /// Of how many of a peer's it is not known which connection they were of.
    pub(crate) fn of_unknown(&self, peer: IpAddr) -> u64 {
        let known: u64 = self.by_connection(peer).map(|(_, count)| *count).sum();
        self.from(peer).saturating_sub(known)
    }

    fn by_connection(&self, peer: IpAddr) -> impl Iterator<Item = (&ConnectionEnds, &u64)> {
        let all = self.by_connection.iter().flatten();
        all.filter(move |(one, _)| one.remote.ip() == peer)
    }
}

/// The intervals in which something did.
#[derive(Debug, Clone, Default)]
pub struct Series {
    counted: u64,
    by_sender: BySender,
    steps: Vec<BadChecksumStep>,
}

impl Series {
    /// Takes in the counts since the start of the run: of all peers, and by sender as far as
    /// that is known. Among the latter there may be another namespace's.
    pub fn update(&mut self, at_ns: u64, counted: u64, by_sender: BySender) {
        let segments = counted.saturating_sub(self.counted);
        let before = mem::replace(&mut self.by_sender, by_sender);
        if segments == 0 {
            return;
        }
        let now = &self.by_sender;
        let is_whole = now.by_peer.values().sum::<u64>() >= counted;
        self.steps.push(BadChecksumStep {
            at_ns,
            segments,
            by_peer: is_whole.then(|| grown(&now.by_peer, &before.by_peer, segments)),
            by_connection: Some(grown(&now.by_connection, &before.by_connection, segments)),
        });
        self.counted = counted;
    }

    /// All of them.
    #[must_use]
    pub fn into_steps(self) -> Vec<BadChecksumStep> {
        self.steps
    }
}

/// What has grown, each by no more than all of it.
fn grown<K: Ord + Copy>(
    now: &BTreeMap<K, u64>,
    before: &BTreeMap<K, u64>,
    all: u64,
) -> BTreeMap<K, u64> {
    let grown = now.iter().map(|(key, count)| {
        let before = before.get(key).copied().unwrap_or(0);
        (*key, count.saturating_sub(before).min(all))
    });
    grown.filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_grew_is_kept() {
        let mut series = Series::default();
        let peer = |last: u8| IpAddr::from([10, 0, 10, last]);
        let by_peer = |counts: [u64; 2]| BySender {
            by_peer: BTreeMap::from([(peer(3), counts[0]), (peer(4), counts[1])]),
            ..BySender::default()
        };
        for (at_ns, counted, peers) in [
            (10, 0, [0, 0]),
            (20, 3, [1, 2]),
            (30, 3, [1, 2]),
            (40, 5, [1, 4]),
            (50, 9, [1, 6]),
        ] {
            series.update(at_ns, counted, by_peer(peers));
        }
        let steps = series.into_steps();
        let shown: Vec<_> = steps.iter().map(|s| (s.at_ns, s.segments)).collect();
        assert_eq!(shown, [(20, 3), (40, 2), (50, 4)]);
        let from = |peer| steps.iter().map(|step| step.from(peer)).collect::<Vec<_>>();
        // Of the last ones it is not known of each who sent it.
        assert_eq!(
            (from(peer(3)), from(peer(4))),
            (vec![1, 0, 4], vec![2, 2, 4])
        );
    }
    #[test]
    fn those_of_another_namespace_are_nobody_s_here() {
        let mut series = Series::default();
        let peer = IpAddr::from([10, 0, 10, 3]);
        // The kernel has counted none of the first two here, and one of the next three.
        for (at_ns, counted, seen) in [(10, 0, 2), (20, 1, 5), (30, 1, 6)] {
            let by_peer = BTreeMap::from([(peer, seen)]);
            let by_sender = BySender {
                by_peer,
                ..BySender::default()
            };
            series.update(at_ns, counted, by_sender);
        }
        let steps = series.into_steps();
        let shown: Vec<_> = steps.iter().map(|s| (s.at_ns, s.from(peer))).collect();
        assert_eq!(shown, [(20, 1)]);
    }
    #[test]
    fn each_connection_has_its_own() {
        let tuple = |last: u8, remote_port| Tuple {
            remote: tracer_ebpf::mapped([10, 0, 10, last]),
            remote_port,
            local_port: 5432,
            ..Tuple::default()
        };
        let mut by_sender = BySender::default();
        let mut series = Series::default();
        // A replication's, another connection's of that host, and another host's.
        for (last, port, count) in [(3, 40_000, 2), (3, 40_001, 5), (4, 40_000, 7)] {
            (0..count).for_each(|_| by_sender.add(&tuple(last, port)));
        }
        // There was no room for one more.
        *by_sender
            .by_peer
            .entry(IpAddr::from([10, 0, 10, 3]))
            .or_default() += 1;
        series.update(10, 15, by_sender);
        let steps = series.into_steps();
        let peer = IpAddr::from([10, 0, 10, 3]);
        let connection = |remote: &str| ConnectionEnds {
            remote: remote.parse().unwrap(),
            local_port: 5432,
        };
        let of = |remote: &str| steps[0].of(peer, &[connection(remote)]);
        assert_eq!(steps[0].from(peer), 8);
        assert_eq!(of("10.0.10.3:40000"), 2 + 1);
        assert_eq!(of("10.0.10.3:40009"), 1);
        assert_eq!(steps[0].of_unknown(peer), 1);
    }
}
