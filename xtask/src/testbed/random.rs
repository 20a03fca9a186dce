//! Numbers that are drawn: the same ones for the same seed.

use std::time::{SystemTime, UNIX_EPOCH};

/// A seed that nobody has chosen, short enough to be typed.
pub(crate) fn seed_of_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(1, |now| now.as_secs() % 1_000_000)
}

/// A generator ([SplitMix64](https://doi.org/10.1145/2714064.2660195)): no state but a
/// number, and good enough for drawing lots.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The generator of a round: rounds of one seed do not repeat each other.
    pub(crate) fn new(seed: u64, round: u32) -> Self {
        let mut first = Self(seed);
        let mixed = first.next();
        Self(mixed ^ u64::from(round).wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        let width = high.saturating_sub(low).saturating_add(1);
        // What this prefers, it does by a part in billions.
        low + self.next() % width
    }

    /// True in so many of a hundred cases.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.between(0, 99) < percent
    }

    pub(crate) fn pick<T: Copy, const N: usize>(&mut self, of: [T; N]) -> T {
        const { assert!(N > 0, "there is nothing to pick from") };
        let last = u64::try_from(N - 1).unwrap_or_default();
        of[usize::try_from(self.between(0, last)).unwrap_or_default()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_round_give_the_same_numbers() {
        let draw = |seed, round| {
            let mut random = Random::new(seed, round);
            [random.between(0, 1 << 40), random.between(0, 1 << 40)]
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
        assert_ne!(draw(1, 2)[0], draw(1, 2)[1]);
    }

    #[test]
    fn both_ends_are_drawn_and_nothing_beyond() {
        let mut random = Random::new(7, 0);
        let drawn: Vec<u64> = (0..200).map(|_| random.between(3, 6)).collect();
        for number in 3..=6 {
            assert!(drawn.contains(&number), "{number}");
        }
        assert!(drawn.iter().all(|number| (3..=6).contains(number)));
        let hits = (0..1000).filter(|_| random.chance(25)).count();
        assert!((180..320).contains(&hits), "{hits}");
    }
}
