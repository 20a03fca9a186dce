//! Segments that arrived with a bad checksum, by interval: like retransmits, they show when the
//! network was at fault, and they are seen at the other end.

use std::collections::BTreeMap;
use std::mem;
use std::net::IpAddr;

/// What arrived with a bad checksum in one interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadChecksumStep {
    /// End of the interval, ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// Segments with a bad checksum, from the peers that the filter keeps.
    pub segments: u64,
    /// By the peer that sent them: an IP header has a checksum of its own, so that the
    /// sender's address is right. `None` where it is not known of each.
    pub by_peer: Option<BTreeMap<IpAddr, u64>>,
}

impl BadChecksumStep {
    /// Whether some of them may have come from this peer.
    pub(crate) fn may_be_from(&self, peer: IpAddr) -> bool {
        self.from(peer) > 0
    }

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
}

/// The intervals in which something did.
#[derive(Debug, Clone, Default)]
pub struct Series {
    counted: u64,
    by_peer: BTreeMap<IpAddr, u64>,
    steps: Vec<BadChecksumStep>,
}

impl Series {
    /// Takes in the counts since the start of the run: of all peers, and by peer as far as
    /// that is known. Among the latter there may be another namespace's.
    pub fn update(&mut self, at_ns: u64, counted: u64, by_peer: &BTreeMap<IpAddr, u64>) {
        let segments = counted.saturating_sub(self.counted);
        let before = mem::replace(&mut self.by_peer, by_peer.clone());
        if segments == 0 {
            return;
        }
        let before = |peer| before.get(peer).copied().unwrap_or(0);
        let grown = by_peer
            .iter()
            .map(|(peer, count)| (*peer, count.saturating_sub(before(peer)).min(segments)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let is_whole = by_peer.values().sum::<u64>() >= counted;
        self.steps.push(BadChecksumStep {
            at_ns,
            segments,
            by_peer: is_whole.then_some(grown),
        });
        self.counted = counted;
    }

    /// All of them.
    #[must_use]
    pub fn into_steps(self) -> Vec<BadChecksumStep> {
        self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_grew_is_kept() {
        let mut series = Series::default();
        let peer = |last: u8| IpAddr::from([10, 0, 10, last]);
        let by_peer =
            |counts: [u64; 2]| BTreeMap::from([(peer(3), counts[0]), (peer(4), counts[1])]);
        for (at_ns, counted, peers) in [
            (10, 0, [0, 0]),
            (20, 3, [1, 2]),
            (30, 3, [1, 2]),
            (40, 5, [1, 4]),
            (50, 9, [1, 6]),
        ] {
            series.update(at_ns, counted, &by_peer(peers));
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
            series.update(at_ns, counted, &BTreeMap::from([(peer, seen)]));
        }
        let steps = series.into_steps();
        let shown: Vec<_> = steps.iter().map(|s| (s.at_ns, s.from(peer))).collect();
        assert_eq!(shown, [(20, 1)]);
    }
}
