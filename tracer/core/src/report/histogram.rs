//! How long things took, from the counters of the kernel programs.

use serde::{Deserialize, Serialize};
use tracer_ebpf::{BUCKETS, Part, ServerCommits, bucket, bucket_start};

use crate::report::quantiles::Quantiles;
use crate::report::ranges::DurationRanges;
use crate::spread::Spread;

/// What a duration may be off by that was divided and multiplied again, as a share of it.
const ROUNDING: f64 = 1e-9;

/// One part of many commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u64; BUCKETS],
    sum_ns: u64,
    longest_ns: u64,
}

/// What is reported of it; numbers are `null` if there were no commits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PartQuantiles {
    /// All of it together.
    pub sum_ms: f64,
    /// From counters of ranges, of which each is a quarter of a doubling wide: between two,
    /// quantiles are up to a tenth off.
    #[serde(flatten)]
    pub part: Quantiles,
    /// These counters; `null` also in a file of an earlier version.
    #[serde(default)]
    pub ranges: Option<DurationRanges>,
}

/// Between which durations one lies that was read from the counters, ms: those of its range,
/// and of the two if it is where they meet.
#[must_use]
pub(crate) fn range_of(ms: f64) -> (f64, f64) {
    let ns = ms * 1e6;
    let [first, last] = [1.0 - ROUNDING, 1.0 + ROUNDING].map(|off| bucket((ns * off) as u64));
    let to_ns = bucket_start(last.saturating_add(1)).saturating_sub(1);
    (bucket_start(first) as f64 / 1e6, to_ns as f64 / 1e6)
}

impl Histogram {
    pub(crate) fn of(sums: &ServerCommits, part: Part) -> Self {
        let index = part as usize;
        Self {
            buckets: sums.buckets[index],
            sum_ns: sums.sums_ns[index],
            longest_ns: sums.longest_ns[index],
        }
    }

    pub(crate) const fn empty() -> Self {
        Self {
            buckets: [0; BUCKETS],
            sum_ns: 0,
            longest_ns: 0,
        }
    }

    /// Takes in one duration, as the kernel programs do.
    pub(crate) fn add(&mut self, ns: u64) {
        if let Some(count) = self.buckets.get_mut(bucket(ns)) {
            *count += 1;
        }
        self.sum_ns = self.sum_ns.saturating_add(ns);
        self.longest_ns = self.longest_ns.max(ns);
    }

    pub(crate) fn plus(mut self, other: &Self) -> Self {
        for (count, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
        self.sum_ns += other.sum_ns;
        self.longest_ns = self.longest_ns.max(other.longest_ns);
        self
    }

    /// What has come since `earlier`; the longest of all remains.
    pub(crate) fn since(mut self, earlier: &Self) -> Self {
        for (count, before) in self.buckets.iter_mut().zip(&earlier.buckets) {
            *count = count.saturating_sub(*before);
        }
        self.sum_ns = self.sum_ns.saturating_sub(earlier.sum_ns);
        self
    }

    /// Its share in all of it; `None` of nothing.
    #[must_use]
    pub(crate) fn share_of(&self, total: &Self) -> Option<f64> {
        (total.sum_ns() > 0).then(|| self.sum_ns() as f64 / total.sum_ns() as f64)
    }

    /// The same as Prometheus takes it.
    #[must_use]
    pub fn spread(&self) -> Spread {
        Spread::of_buckets(&self.buckets, self.sum_ns)
    }

    /// How many durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    pub(crate) fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// The longest, ns: what was noted, within the last range that has any.
    fn longest(&self) -> Option<u64> {
        let last = self.buckets.iter().rposition(|count| *count > 0)?;
        let (low, high) = (bucket_start(last), bucket_start(last + 1));
        Some(self.longest_ns.clamp(low, high - 1))
    }

    /// What `quantile` of all did not exceed, ns: within a range, they are taken
    /// to be spread evenly.
    pub(crate) fn quantile(&self, quantile: f64) -> Option<f64> {
        let longest = self.longest()? as f64;
        let rank = (quantile * self.count() as f64).max(1.0);
        let mut before = 0.0;
        for (index, count) in self.buckets.iter().enumerate().filter(|(_, n)| **n > 0) {
            let count = *count as f64;
            if before + count >= rank {
                let low = bucket_start(index) as f64;
                let high = (bucket_start(index + 1) as f64).min(longest).max(low);
                return Some(low + (high - low) * (rank - before) / count);
            }
            before += count;
        }
        Some(longest)
    }

    pub(crate) fn quantiles(&self) -> PartQuantiles {
        let at = |quantile| self.quantile(quantile).map(|ns| ns / 1e6);
        PartQuantiles {
            sum_ms: self.sum_ns as f64 / 1e6,
            part: Quantiles::of(at, self.longest().map(|ns| ns as f64 / 1e6)),
            ranges: self.ranges(),
        }
    }

    /// The counters that have any.
    fn ranges(&self) -> Option<DurationRanges> {
        let longest_ns = self.longest()?;
        let mut ranges = DurationRanges::default();
        let counts = self.buckets.iter().enumerate();
        for (index, count) in counts.filter(|(_, count)| **count > 0) {
            ranges.from_ns.push(bucket_start(index));
            ranges
                .to_ns
                .push((bucket_start(index + 1) - 1).min(longest_ns));
            ranges.count.push(*count);
        }
        Some(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        assert_eq!((bucket(0), bucket_start(0)), (0, 0));
        for index in 0..BUCKETS {
            let (low, high) = (bucket_start(index), bucket_start(index + 1));
            assert!(low < high, "{index}");
            assert_eq!((bucket(low), bucket(high - 1)), (index, index));
            // A quarter of its doubling at most, but for the first and the last.
            assert!(index < 4 || index == BUCKETS - 1 || (high - low) * 4 <= low);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        // Longer than anybody waits.
        assert!(bucket_start(BUCKETS - 1) > 1_000_000_000 * 60 * 30);
    }

    #[test]
    fn quantiles_are_within_a_tenth_of_the_truth() {
        let mut found = Histogram::empty();
        for us in 1..=10_000 {
            found.add(us * 1_000);
        }
        for (quantile, truth) in [(0.5, 5.0), (0.95, 9.5), (0.99, 9.9)] {
            let ms = found.quantile(quantile).unwrap() / 1e6;
            assert!((ms - truth).abs() < truth / 10.0, "{quantile}: {ms}");
        }
        let shown = found.quantiles();
        assert_eq!(shown.part.max_ms, Some(10.0));
        assert!((shown.sum_ms - 50_005.0).abs() < 1e-6);
        assert_eq!(found.count(), 10_000);
    }

    #[test]
    fn what_is_reported_holds_the_counters() {
        let mut found = Histogram::empty();
        for ns in [300, 500_000, 510_000, 7_000_000] {
            found.add(ns);
        }
        let ranges = found.quantiles().ranges.unwrap();
        assert_eq!(ranges.count, [1, 2, 1]);
        let expected = [
            (256, 511, 1),
            (458_752, 524_287, 2),
            (6_291_456, 7_000_000, 1),
        ];
        assert_eq!(ranges.each().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_quantile_is_within_its_range_and_on_an_edge_within_both() {
        assert_eq!(range_of(0.5), (0.458_752, 0.524_287));
        assert_eq!(range_of(0.524_288), (0.458_752, 0.655_359));
        assert_eq!(range_of(0.0), (0.0, 0.000_255));
        let mut found = Histogram::empty();
        for us in 1..=1_000 {
            found.add(us * us * 1_000);
        }
        let truth = |quantile: f64| (quantile * 1_000.0).powi(2) / 1e3;
        for quantile in [0.5, 0.95, 0.99] {
            let (from_ms, to_ms) = range_of(found.quantile(quantile).unwrap() / 1e6);
            let ms = truth(quantile);
            assert!((from_ms..=to_ms).contains(&ms), "{from_ms} {ms} {to_ms}");
        }
    }

    #[test]
    fn of_nothing_there_are_no_quantiles() {
        let shown = Histogram::empty().quantiles();
        assert_eq!(shown, PartQuantiles::default());
        let mut one = Histogram::empty();
        one.add(0);
        assert_eq!(one.quantiles().part.max_ms, Some(0.0));
        assert_eq!(one.quantile(0.99), Some(0.0));
    }

    #[test]
    fn the_longest_is_within_its_range_whatever_was_noted() {
        let mut found = Histogram::empty();
        found.add(5_000_000);
        for noted in [0, u64::MAX] {
            found.longest_ns = noted;
            let ms = found.quantiles().part.max_ms.unwrap();
            assert!((4.0..6.0).contains(&ms), "{ms}");
        }
    }

    #[test]
    fn what_came_since_is_the_difference() {
        let mut earlier = Histogram::empty();
        earlier.add(1_000);
        let mut later = earlier;
        later.add(2_000_000);
        let since = later.since(&earlier);
        assert_eq!((since.count(), since.sum_ns()), (1, 2_000_000));
        assert_eq!(earlier.plus(&since).count(), 2);
    }
}
