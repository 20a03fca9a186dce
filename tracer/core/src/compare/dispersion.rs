//! How unevenly events came over a run, and what that makes of their count.

use std::collections::BTreeMap;

use crate::compare::estimate::Estimate;

/// The quantile of the normal distribution that 2.5 % lie beyond, on either side.
pub(super) const NORMAL_BOUND: f64 = 1.959_963_984_540_054;

/// The variance of the counts of a run's intervals as a share of their mean. It is 1 where
/// events come independently of each other; retransmits come in bursts, and it is more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Dispersion(f64);

impl Dispersion {
    /// Of events of which nothing else is known.
    pub(super) const INDEPENDENT: Self = Self(1.0);

    /// As it was measured; `None` where it was not. Less than independently is taken as that.
    pub(super) fn measured(dispersion: Option<f64>) -> Self {
        let known = dispersion.filter(|one| one.is_finite() && *one > 1.0);
        known.map_or(Self::INDEPENDENT, Self)
    }

    /// `counted`: when events were counted, s from any moment on, and how many; in all, there
    /// was `length_s` for them to come in. Fewer than evenly is taken as evenly.
    pub(super) fn of(
        counted: impl IntoIterator<Item = (f64, u64)>,
        interval_s: f64,
        length_s: f64,
    ) -> Self {
        let mut by_interval: BTreeMap<u64, f64> = BTreeMap::new();
        for (at_s, count) in counted {
            // The end of an interval is read a little late.
            let interval = (at_s / interval_s).round() as u64;
            *by_interval.entry(interval).or_default() += count as f64;
        }
        let intervals = (length_s / interval_s)
            .round()
            .max(by_interval.len() as f64);
        let counts: Vec<f64> = by_interval.into_values().collect();
        Self::of_counts(&counts, intervals)
    }

    /// Likewise, by what was counted in each of a run's intervals, which are of one length.
    pub(super) fn of_intervals(counts: impl IntoIterator<Item = u64>) -> Self {
        let counts: Vec<f64> = counts.into_iter().map(|count| count as f64).collect();
        Self::of_counts(&counts, counts.len() as f64)
    }

    /// `counts` without those that are 0 or with them: there are `intervals` in all.
    fn of_counts(counts: &[f64], intervals: f64) -> Self {
        let sum: f64 = counts.iter().sum();
        if !intervals.is_finite() || intervals < 2.0 || sum <= 0.0 {
            return Self::INDEPENDENT;
        }
        let mean = sum / intervals;
        let squares: f64 = counts.iter().map(|count| count * count).sum();
        let variance = (squares - sum * mean) / (intervals - 1.0);
        let dispersion = variance / mean;
        Self::measured(Some(dispersion))
    }

    /// The count of events, and between which numbers the mean of such runs lies (95 %): the
    /// bounds of Poisson's distribution, by Byar's approximation (to a twentieth from three
    /// events on), for as many fewer events as they come unevenly.
    pub(super) fn estimate(self, count: u64) -> Estimate {
        let value = count as f64;
        let bursts = value / self.0;
        Estimate {
            value,
            at_least: (self.0 * least(bursts)).min(value),
            at_most: Some((self.0 * most(bursts)).max(value)),
            count,
        }
    }
}

/// Byar's bounds: a normal approximation of the cube root.
fn least(events: f64) -> f64 {
    if events <= 0.0 {
        return 0.0;
    }
    let root = 1.0 - 1.0 / (9.0 * events) - NORMAL_BOUND / (3.0 * events.sqrt());
    events * root.max(0.0).powi(3)
}

fn most(events: f64) -> f64 {
    let events = events + 1.0;
    let root = 1.0 - 1.0 / (9.0 * events) + NORMAL_BOUND / (3.0 * events.sqrt());
    events * root.powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exact bounds of Poisson's distribution, from tables.
    #[test]
    fn bounds_of_independent_events_are_those_of_the_tables() {
        for (count, at_least, at_most) in [
            (3, 0.619, 8.767),
            (10, 4.795, 18.390),
            (29, 19.42, 41.65),
            (100, 81.36, 121.63),
            (1_000, 938.97, 1_063.95),
        ] {
            let found = Dispersion::INDEPENDENT.estimate(count);
            let off = |found: f64, exact: f64| (found / exact - 1.0).abs();
            assert!(off(found.at_least, at_least) < 0.05, "{count}: {found:?}");
            let most = found.at_most.unwrap();
            assert!(off(most, at_most) < 0.01, "{count}: {found:?}");
        }
        let none = Dispersion::INDEPENDENT.estimate(0);
        assert_eq!((none.value, none.at_least), (0.0, 0.0));
        assert!((3.6..3.8).contains(&none.at_most.unwrap()), "{none:?}");
    }

    /// So many in each of the first intervals.
    fn burst_of(intervals: u32, count: u64, length_s: f64) -> Dispersion {
        let counted = (1..=intervals).map(|second| (f64::from(second), count));
        Dispersion::of(counted, 1.0, length_s)
    }

    #[test]
    fn what_comes_in_bursts_is_less_certain() {
        let evenly = (1..=100).map(|second| (f64::from(second), 1));
        assert_eq!(Dispersion::of(evenly, 1.0, 100.0), Dispersion::INDEPENDENT);
        let burst = burst_of(10, 10, 100.0);
        let (one, other) = (burst.estimate(100), Dispersion::INDEPENDENT.estimate(100));
        assert!(one.at_least < other.at_least, "{one:?}");
        assert!(one.at_most > other.at_most, "{one:?}");
        // Ten bursts are known as well as ten events, or a little better.
        assert!((40.0..60.0).contains(&one.at_least), "{one:?}");
        // Whoever counts the intervals without any, finds the same.
        let counts = (1..=100).map(|second| if second <= 10 { 10 } else { 0 });
        assert_eq!(Dispersion::of_intervals(counts), burst_of(10, 10, 100.0));
    }

    #[test]
    fn without_intervals_events_are_taken_as_independent() {
        for (interval_s, length_s) in [
            (0.0, 0.0),
            (0.0, 10.0),
            (1.0, f64::INFINITY),
            (f64::NAN, 1.0),
            (10.0, 10.0),
        ] {
            let found = Dispersion::of([(1.0, 7)], interval_s, length_s);
            assert_eq!(found, Dispersion::INDEPENDENT, "{interval_s} {length_s}");
        }
        let none = Dispersion::of([], 1.0, 100.0);
        assert_eq!(none, Dispersion::INDEPENDENT);
    }
}
