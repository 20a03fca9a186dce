//! How long things took, as Prometheus takes it.

use tracer_ebpf::{BUCKETS, Part, ServerCommits, bucket_start};

/// Upper ends of the ranges, µs; what is longer is in a last one without end.
const BOUNDS_US: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];
/// Of the kernel programs' ranges, every so many are one: a doubling.
const TOGETHER: usize = 4;
/// And these are shown: from some 30 µs to more than a minute.
const FIRST: usize = 24;
const LAST: usize = 108;

/// Durations by range.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spread {
    /// Upper ends, s, and how many fell below each and above the one before; the last
    /// has no end.
    pub ranges: Vec<(f64, u64)>,
    /// All of it together, s.
    pub sum_s: f64,
}

impl Spread {
    /// An empty one, with the bounds that are shown.
    pub fn new() -> Self {
        let ends = BOUNDS_US.iter().map(|us| (*us as f64 / 1e6, 0));
        Self {
            ranges: ends.chain([(f64::INFINITY, 0)]).collect(),
            sum_s: 0.0,
        }
    }

    /// Takes in as many of this length.
    pub(crate) fn add(&mut self, us: u64, count: u64) {
        let seconds = us as f64 / 1e6;
        if let Some((_, sum)) = self.ranges.iter_mut().find(|(end, _)| seconds <= *end) {
            *sum += count;
        }
        self.sum_s += seconds * count as f64;
    }

    /// One part of a server's commits: the kernel programs count in ranges of their own,
    /// whose ends are taken as they are.
    #[must_use]
    pub fn of_commits(sums: &ServerCommits, part: Part) -> Self {
        let part = part as usize;
        Self::of_buckets(&sums.buckets[part], sums.sums_ns[part])
    }

    /// Durations as the kernel programs count them.
    pub(crate) fn of_buckets(counts: &[u64; BUCKETS], sum_ns: u64) -> Self {
        let mut ranges = Vec::new();
        let mut from = 0;
        for to in (FIRST..=LAST).step_by(TOGETHER) {
            let count = counts[from..to].iter().sum();
            ranges.push((bucket_start(to) as f64 / 1e9, count));
            from = to;
        }
        ranges.push((f64::INFINITY, counts[from..].iter().sum()));
        Self {
            ranges,
            sum_s: sum_ns as f64 / 1e9,
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.ranges.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_one_range() {
        let mut spread = Spread::new();
        for (us, count) in [(0, 1), (100, 1), (101, 2), (60_000_000, 1), (70_000_000, 3)] {
            spread.add(us, count);
        }
        assert_eq!(spread.count(), 8);
        assert_eq!((spread.ranges[0].1, spread.ranges[1].1), (2, 2));
        assert_eq!(spread.ranges.last(), Some(&(f64::INFINITY, 3)));
        assert!((spread.sum_s - 270.000_302).abs() < 1e-6);
    }

    #[test]
    fn commits_lose_nothing_on_the_way() {
        let mut sums = ServerCommits::NONE;
        for (index, count) in sums.buckets[Part::Wait as usize].iter_mut().enumerate() {
            *count = index as u64;
        }
        let spread = Spread::of_commits(&sums, Part::Wait);
        let all: u64 = sums.buckets[Part::Wait as usize].iter().sum();
        assert_eq!(spread.count(), all);
        assert!(spread.ranges.is_sorted_by(|a, b| a.0 < b.0));
        let (first, last) = (spread.ranges[0].0, spread.ranges[spread.ranges.len() - 2].0);
        assert!(first < 1e-3 && last > 10.0, "{first} {last}");
    }
}
