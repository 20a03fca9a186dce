//! The settings of netem, in the kernel's encoding.

use std::time::Duration;

use netlink_packet_core::{DefaultNla, NLA_F_NESTED};

use crate::kernel::tc::{Distribution, Object, emitted};

// `TCA_NETEM_…`.
const CORR: u16 = 1;
const DELAY_DIST: u16 = 2;
const REORDER: u16 = 3;
const CORRUPT: u16 = 4;
const LOSS: u16 = 5;
const RATE: u16 = 6;
const RATE64: u16 = 8;
const LATENCY64: u16 = 10;
const JITTER64: u16 = 11;
const PRNG_SEED: u16 = 14;
/// `NETEM_LOSS_GE`.
const GILBERT_ELLIOT: u16 = 2;
/// `struct tc_netem_qopt`, which the attributes follow.
const HEAD: usize = 24;

/// How often, as netem takes it: 2³² − 1 is always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probability(u32);

impl Probability {
    /// Of a share from 0 to 1; what is outside counts as its nearer end.
    #[must_use]
    pub fn from_fraction(fraction: f64) -> Self {
        // Saturates, and NaN is 0.
        Self((fraction * f64::from(u32::MAX)).round() as u32)
    }
}

/// How packets are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Each by a lot of its own.
    Independent(Probability),
    /// In bursts: a good state and a bad one, in which all are lost (the model of
    /// Gilbert).
    Bursts {
        /// From good to bad.
        begins: Probability,
        /// From bad to good.
        ends: Probability,
    },
}

/// What netem does to each packet. What is not set, it does not do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Netem {
    /// How many packets may wait in it.
    pub limit: u32,
    /// How long each waits.
    pub delay: Duration,
    /// By how much that varies.
    pub jitter: Duration,
    /// How it varies; [`None`] for evenly.
    pub distribution: Option<Distribution>,
    /// By how much one delay depends on the one before.
    pub delay_correlation: Probability,
    /// How packets are lost.
    pub loss: Option<Loss>,
    /// How many go twice, and by how much that depends on the packet before.
    pub duplicate: Option<[Probability; 2]>,
    /// How many do not wait, and by how much that depends on the packet before.
    pub reorder: Option<[Probability; 2]>,
    /// How many get a bit flipped, and by how much that depends on the packet
    /// before.
    pub corrupt: Option<[Probability; 2]>,
    /// Bytes a second.
    pub rate: Option<u64>,
    /// Where its random numbers begin (Linux 6.6).
    pub seed: Option<u64>,
}

impl Netem {
    /// As the kernel takes it.
    #[must_use]
    pub fn options(&self) -> Vec<u8> {
        let share = |pair: Option<[Probability; 2]>| pair.unwrap_or_default()[0].0;
        let correlation = |pair: Option<[Probability; 2]>| pair.unwrap_or_default()[1].0;
        let loss = match self.loss {
            Some(Loss::Independent(share)) => share.0,
            _ => 0,
        };
        // Reordering needs a gap: after so many, one may be sent at once.
        let gap = u32::from(self.reorder.is_some());
        let mut options = words(&[0, self.limit, loss, gap, share(self.duplicate), 0]);
        let mut attributes = vec![
            DefaultNla::new(LATENCY64, nanos(self.delay)),
            DefaultNla::new(JITTER64, nanos(self.jitter)),
            DefaultNla::new(
                CORR,
                words(&[self.delay_correlation.0, 0, correlation(self.duplicate)]),
            ),
        ];
        for (kind, pair) in [(REORDER, self.reorder), (CORRUPT, self.corrupt)] {
            if let Some([share, correlation]) = pair {
                attributes.push(DefaultNla::new(kind, words(&[share.0, correlation.0])));
            }
        }
        if let Some(Loss::Bursts { begins, ends }) = self.loss {
            // `struct tc_netem_gemodel`: p, r, how many are lost when bad (h) and
            // when good (k1).
            let model = words(&[begins.0, ends.0, 0, 0]);
            let model = emitted(&[DefaultNla::new(GILBERT_ELLIOT, model)]);
            attributes.push(DefaultNla::new(LOSS | NLA_F_NESTED, model));
        }
        if let Some(rate) = self.rate {
            // What does not fit into the old struct is in the new attribute.
            let old = u32::try_from(rate).unwrap_or(u32::MAX);
            attributes.push(DefaultNla::new(RATE, words(&[old, 0, 0, 0])));
            if rate >= u64::from(u32::MAX) {
                attributes.push(DefaultNla::new(RATE64, rate.to_ne_bytes().to_vec()));
            }
        }
        if let Some(distribution) = self.distribution {
            let table = distribution.table();
            let bytes = table.iter().flat_map(|value| value.to_ne_bytes()).collect();
            attributes.push(DefaultNla::new(DELAY_DIST, bytes));
        }
        if let Some(seed) = self.seed {
            attributes.push(DefaultNla::new(PRNG_SEED, seed.to_ne_bytes().to_vec()));
        }
        options.extend(emitted(&attributes));
        options
    }

    /// Whether a netem that is there took the seed, which older kernels ignore.
    #[must_use]
    pub fn has_seed(found: &Object, seed: u64) -> bool {
        found.option(HEAD, PRNG_SEED).as_deref() == Some(&seed.to_ne_bytes())
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn nanos(duration: Duration) -> Vec<u8> {
    let nanos = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    nanos.to_ne_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(netem: &Netem) -> Object {
        let options = netem.options();
        let message = [
            vec![0; 36],
            ((options.len() + 4) as u16).to_ne_bytes().to_vec(),
            2_u16.to_ne_bytes().to_vec(),
            options,
        ]
        .concat();
        Object::parse(&message).unwrap()
    }

    #[test]
    fn shares_end_where_the_kernels_do() {
        let share = |fraction| Probability::from_fraction(fraction).0;
        assert_eq!((share(0.0), share(1.0)), (0, u32::MAX));
        assert_eq!(share(0.5), 1 << 31);
        assert_eq!((share(-1.0), share(2.0), share(f64::NAN)), (0, u32::MAX, 0));
    }

    #[test]
    fn everything_is_where_the_kernel_looks_for_it() {
        let half = Probability::from_fraction(0.5);
        let netem = Netem {
            limit: 1000,
            delay: Duration::from_millis(100),
            duplicate: Some([half, Probability::default()]),
            reorder: Some([half, half]),
            corrupt: Some([half, Probability::default()]),
            loss: Some(Loss::Bursts {
                begins: half,
                ends: half,
            }),
            rate: Some(125_000),
            seed: Some(7),
            ..Netem::default()
        };
        let found = object(&netem);
        assert_eq!(
            found.options[..HEAD],
            words(&[0, 1000, 0, 1, half.0, 0])[..]
        );
        let option = |kind| found.option(HEAD, kind);
        assert_eq!(option(LATENCY64).unwrap(), 100_000_000_i64.to_ne_bytes());
        assert_eq!(option(REORDER).unwrap(), words(&[half.0, half.0]));
        assert_eq!(option(CORRUPT).unwrap(), words(&[half.0, 0]));
        assert_eq!(option(LOSS).unwrap()[4..], words(&[half.0, half.0, 0, 0]));
        assert_eq!(option(RATE).unwrap(), words(&[125_000, 0, 0, 0]));
        assert_eq!(option(RATE64), None);
        assert!(Netem::has_seed(&found, 7) && !Netem::has_seed(&found, 8));
    }

    #[test]
    fn fast_links_are_told_in_64_bits() {
        let netem = Netem {
            rate: Some(12_500_000_000),
            ..Netem::default()
        };
        let found = object(&netem);
        let rate = found.option(HEAD, RATE64).unwrap();
        assert_eq!(rate, 12_500_000_000_u64.to_ne_bytes());
    }
}
