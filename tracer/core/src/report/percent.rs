//! A share of packets.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::fmt;

use serde::{Deserialize, Serialize};

/// How many packets of a hundred, above 0 and at most 100.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64")]
pub struct Percent(f64);

impl Percent {
    /// One packet in 2³², the least that the kernel program can tell from none.
    const MIN_PERCENT: f64 = 100.0 / 4_294_967_296.0;

    /// Every packet.
    pub const ALL: Self = Self(100.0);

    /// [`None`] unless a number of per cent that the kernel program can tell
    /// from 0, up to 100.
    pub fn new(value: f64) -> Option<Self> {
        // Not a number fails both comparisons.
        (Self::MIN_PERCENT..=100.0)
            .contains(&value)
            .then_some(Self(value))
    }

    /// Per cent.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// From 0 to 1.
    pub fn fraction(self) -> f64 {
        self.0 / 100.0
    }

    /// The number that a uniform random `u32` must be below for the packet to
    /// be hit: the nearest to the percentage, and exactly 2³² for 100 %.
    pub fn threshold(self) -> u64 {
        // Not negative and at most 2³², by the bounds of `self`.
        (self.fraction() * 4_294_967_296.0).round() as u64
    }
}

impl TryFrom<f64> for Percent {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        Self::new(value).ok_or_else(|| format!("{value} is not a percentage of packets"))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}%", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_exact_at_the_ends() {
        let threshold = |value| Percent::new(value).unwrap().threshold();
        assert_eq!(threshold(100.0), 1 << 32);
        assert_eq!(threshold(50.0), 1 << 31);
        assert_eq!(threshold(0.5), 21_474_836);
        assert_eq!(threshold(Percent::MIN_PERCENT), 1);
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for value in [0.0, -0.0, -1.0, 100.000_001, 1e-9, f64::NAN, f64::INFINITY] {
            assert_eq!(Percent::new(value), None, "{value}");
        }
    }
}
