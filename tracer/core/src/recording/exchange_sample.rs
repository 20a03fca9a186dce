//! A few exchanges of very many, chosen so that two hosts that do not talk choose the same.
//!
//! What is exchanged has a key that both hosts see, and of all keys those are kept whose rank is
//! lowest: a bottom-k sample, coordinated by its hash. What is among the lowest of all that one
//! host has seen is so among what the other has seen of it.

use std::collections::BTreeMap;

use crate::report::exchanges::MAX_EXCHANGES;

/// Where a key stands among all: `splitmix64`, which gives two keys never the same
/// (<https://prng.di.unimi.it/splitmix64.c>). It is part of the contract between two hosts.
const fn rank(key: u64) -> u64 {
    let mut mixed = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// When something happened to what has these keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MomentSample {
    /// By rank, the key and when, ns of `CLOCK_MONOTONIC`; `None` if that was twice.
    kept: BTreeMap<u64, (u64, Option<u64>)>,
}

/// Both directions of one connection of a replication, as one host saw them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExchangeSample {
    /// Messages with WAL, by where their WAL ends.
    pub wal: MomentSample,
    /// Replies, by the TCP sequence number of their first byte.
    pub replies: MomentSample,
}

impl MomentSample {
    /// Whether a key would be kept.
    pub(crate) fn wants(&self, key: u64) -> bool {
        let last = self.kept.last_key_value();
        self.kept.len() < MAX_EXCHANGES || last.is_some_and(|(last, _)| rank(key) <= *last)
    }

    /// Takes in a moment. Of what comes twice it is not known which of the two the other host
    /// saw: sequence numbers begin again, and what was lost is sent again.
    pub(crate) fn add(&mut self, key: u64, time_ns: u64) {
        if !self.wants(key) {
            return;
        }
        let one = self.kept.entry(rank(key));
        one.and_modify(|(_, time_ns)| *time_ns = None)
            .or_insert((key, Some(time_ns)));
        if self.kept.len() > MAX_EXCHANGES {
            self.kept.pop_last();
        }
    }

    /// What is known, by rank: the key and when, ns of `CLOCK_MONOTONIC`.
    pub fn moments(&self) -> impl Iterator<Item = (u64, u64)> {
        let kept = self.kept.values();
        kept.filter_map(|(key, time_ns)| Some((*key, (*time_ns)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(sample: &MomentSample) -> Vec<u64> {
        sample.moments().map(|(key, _)| key).collect()
    }

    #[test]
    fn two_hosts_that_see_nearly_the_same_keep_nearly_the_same() {
        let (mut one, mut other) = (MomentSample::default(), MomentSample::default());
        // One began a little earlier, and missed some.
        for key in 0..20_000 {
            one.add(key * 112, key);
            if key > 500 && key % 10 > 0 {
                other.add(key * 112, key + 7);
            }
        }
        assert_eq!(
            (keys(&one).len(), keys(&other).len()),
            (MAX_EXCHANGES, MAX_EXCHANGES)
        );
        let kept = keys(&other);
        let both = keys(&one).into_iter().filter(|key| kept.contains(key));
        let both: Vec<u64> = both.collect();
        assert!(both.len() > MAX_EXCHANGES * 8 / 10, "{}", both.len());
        // From anywhere in the run.
        let late = both.iter().filter(|key| **key > 10_000 * 112).count();
        assert!((80..150).contains(&late), "{late}");
    }

    #[test]
    fn what_comes_twice_is_not_known() {
        let mut sample = MomentSample::default();
        sample.add(5, 10);
        sample.add(6, 20);
        sample.add(5, 30);
        assert_eq!(sample.moments().collect::<Vec<_>>(), [(6, 20)]);
        // Nor is it when it comes again.
        sample.add(5, 40);
        assert_eq!(keys(&sample), [6]);
    }

    #[test]
    fn the_rank_is_that_of_the_contract() {
        // The first numbers of the reference with these seeds.
        assert_eq!(rank(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(rank(1_234_567), 6_457_827_717_110_365_317);
    }
}
