//! Counters of what was retransmitted, by kind, role and peer.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tracer_ebpf::{RetransmitKind, Tuple};

/// The most peers that are kept apart: each has a series for every kind and role that
/// it was seen with.
const MOST_PEERS: usize = 100;
/// The peers beyond, and the role and the peer of what is not known.
const OTHER: &str = "other";

/// One counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The kind of the retransmits.
    pub kind: &'static str,
    /// What the flows are for.
    pub role: String,
    /// Address of the peer, or [`OTHER`].
    pub peer: String,
    /// Segments.
    pub segments: u64,
}

/// The counters. What a flow has retransmitted counts for the role that it had then: no
/// counter ever goes back, whatever is learnt later.
#[derive(Debug, Default)]
pub struct RetransmitTally {
    taken: HashMap<Tuple, [u64; RetransmitKind::COUNT]>,
    peers: BTreeSet<String>,
    sums: BTreeMap<(usize, String, String), u64>,
}

impl RetransmitTally {
    /// Takes in what a flow has retransmitted up to now.
    pub fn take(
        &mut self,
        tuple: Tuple,
        segments: &[u64; RetransmitKind::COUNT],
        role: &str,
        peer: &str,
    ) {
        let taken = self.taken.entry(tuple).or_default();
        if taken == segments {
            return;
        }
        let known = self.peers.contains(peer);
        let peer = if known || self.peers.len() < MOST_PEERS {
            self.peers.insert(peer.to_owned());
            peer
        } else {
            OTHER
        };
        for (kind, (now, before)) in segments.iter().zip(taken.iter_mut()).enumerate() {
            let more = now.saturating_sub(*before);
            if more > 0 {
                let key = (kind, role.to_owned(), peer.to_owned());
                *self.sums.entry(key).or_default() += more;
                *before = *now;
            }
        }
    }

    /// Lets go of a flow: whoever has its ends later begins anew.
    pub fn forget(&mut self, tuple: &Tuple) {
        self.taken.remove(tuple);
    }

    /// The counters, with what flows have retransmitted that had no room of their own:
    /// whose that was, nobody knows.
    #[must_use]
    pub fn counters(&self, overflow: &[u64; RetransmitKind::COUNT]) -> Vec<Sent> {
        let mut sums = self.sums.clone();
        for (kind, segments) in overflow.iter().enumerate().filter(|(_, one)| **one > 0) {
            let key = (kind, OTHER.to_owned(), OTHER.to_owned());
            *sums.entry(key).or_default() += segments;
        }
        let sums = sums.into_iter();
        sums.map(|((kind, role, peer), segments)| Sent {
            kind: RetransmitKind::ALL[kind].name(),
            role,
            peer,
            segments,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(port: u16) -> Tuple {
        Tuple {
            local_port: port,
            ..Tuple::default()
        }
    }

    #[test]
    fn no_counter_goes_back_when_a_role_becomes_known() {
        let mut tally = RetransmitTally::default();
        let mut segments = [0; RetransmitKind::COUNT];
        segments[RetransmitKind::Rto as usize] = 3;
        tally.take(tuple(1), &segments, "other", "10.0.10.2");
        segments[RetransmitKind::Rto as usize] = 5;
        tally.take(tuple(1), &segments, "walsender", "10.0.10.2");
        tally.take(tuple(1), &segments, "walsender", "10.0.10.2");
        let shown: Vec<_> = tally
            .counters(&[0; RetransmitKind::COUNT])
            .into_iter()
            .map(|one| (one.role, one.segments))
            .collect();
        assert_eq!(shown, [("other".into(), 3), ("walsender".into(), 2)]);
    }

    #[test]
    fn peers_beyond_the_bound_are_one() {
        let mut tally = RetransmitTally::default();
        for number in 0..1_000 {
            let mut segments = [0; RetransmitKind::COUNT];
            segments[RetransmitKind::Tlp as usize] = 1;
            tally.take(tuple(number), &segments, "other", &format!("peer {number}"));
        }
        let counters = tally.counters(&[0; RetransmitKind::COUNT]);
        assert_eq!(counters.len(), MOST_PEERS + 1);
        let other = counters.iter().find(|one| one.peer == OTHER);
        assert_eq!(other.unwrap().segments, 1_000 - MOST_PEERS as u64);
    }

    #[test]
    fn what_had_no_flow_of_its_own_is_counted_with_the_others() {
        let mut tally = RetransmitTally::default();
        let mut segments = [0; RetransmitKind::COUNT];
        segments[RetransmitKind::Rto as usize] = 3;
        tally.take(tuple(1), &segments, "walsender", "10.0.10.3");
        tally.take(tuple(2), &segments, OTHER, OTHER);
        let mut overflow = [0; RetransmitKind::COUNT];
        overflow[RetransmitKind::Rto as usize] = 40;
        // However often they are shown.
        for _ in 0..2 {
            let counters = tally.counters(&overflow);
            let shown = counters.iter().map(|one| (one.peer.as_str(), one.segments));
            assert_eq!(shown.collect::<Vec<_>>(), [(OTHER, 43), ("10.0.10.3", 3)]);
        }
    }
}
