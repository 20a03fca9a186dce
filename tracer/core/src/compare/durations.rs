//! How many of a run's commits, waits or messages were how long, as far as a report shows it.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use crate::compare::estimate::Estimate;
use crate::compare::metric::{Metric, Quantile, Timed};
use crate::compare::model::{ComparedFigure, Subject};
use crate::compare::order_statistics::ranks;
use crate::report::histogram::{PartQuantiles, range_of};
use crate::report::quantiles::Quantiles;

/// What latencies of the probe may be off by, as a share of them.
const PROBE_ROUNDING: f64 = 0.01;

/// Durations of one sort in one run.
#[derive(Debug, Clone)]
pub(super) struct Durations {
    /// As they are reported.
    quantiles: Quantiles,
    /// How many; `None` where the report does not say.
    count: Option<u64>,
    /// What is known of single ones.
    anchors: Vec<Anchor>,
}

/// Between what the duration lies that has this rank, from 1 on, among all in order.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    rank: u64,
    at_least_ms: f64,
    at_most_ms: f64,
}

impl Anchor {
    fn exact(rank: u64, ms: f64) -> Self {
        Self {
            rank,
            at_least_ms: ms,
            at_most_ms: ms,
        }
    }
}

impl Durations {
    /// A part of commits, or a stage; `None` if there was none. `count` is how many there
    /// were, where the report has no counters that say so. `longest`, the longest first, are
    /// all those from some length on.
    pub(super) fn of(part: &PartQuantiles, count: Option<u64>, longest: &[f64]) -> Option<Self> {
        let max_ms = part.part.max_ms?;
        let mut anchors = Vec::new();
        let mut below = 0_u64;
        for (from_ns, to_ns, some) in part.ranges.iter().flat_map(|all| all.each()) {
            // The first and the last of those in a range: the others are between.
            for rank in [below.saturating_add(1), below.saturating_add(some)] {
                anchors.push(Anchor {
                    rank,
                    at_least_ms: from_ns as f64 / 1e6,
                    at_most_ms: to_ns as f64 / 1e6,
                });
            }
            below = below.saturating_add(some);
        }
        let count = match &part.ranges {
            Some(_) => Some(below),
            None => count,
        };
        let mut durations = Self {
            quantiles: part.part,
            count: count.filter(|count| *count > 0),
            anchors,
        };
        durations.add_quantiles(range_of);
        let known = durations.count.into_iter();
        let ranked = known.flat_map(|count| {
            let ranks = (0..count).map(move |above| count.saturating_sub(above));
            ranks.zip(std::iter::once(&max_ms).chain(longest.get(1..).unwrap_or_default()))
        });
        let exact: Vec<_> = ranked.map(|(rank, ms)| Anchor::exact(rank, *ms)).collect();
        durations.anchors.extend(exact);
        Some(durations)
    }

    /// Requests of the probe; `None` if there was none.
    pub(super) fn of_requests(latency: &Quantiles, count: u64) -> Option<Self> {
        let max_ms = latency.max_ms?;
        let mut durations = Self {
            quantiles: *latency,
            count: Some(count).filter(|count| *count > 0),
            anchors: Vec::new(),
        };
        durations.add_quantiles(|ms| {
            let off = ms * PROBE_ROUNDING;
            (ms - off, ms + off)
        });
        if let Some(count) = durations.count {
            durations.anchors.push(Anchor::exact(count, max_ms));
        }
        Some(durations)
    }

    /// What the quantiles that are reported say of single durations; `between` gives the
    /// bounds of one.
    fn add_quantiles(&mut self, between: impl Fn(f64) -> (f64, f64)) {
        let Some(count) = self.count else { return };
        for quantile in [Quantile::P50, Quantile::P95, Quantile::P99] {
            let (Some(share), Some(ms)) = (quantile.share(), quantile.of(&self.quantiles)) else {
                continue;
            };
            // As the kernel programs' counters are read.
            let rank = (share * count as f64).max(1.0).ceil() as u64;
            let (at_least_ms, at_most_ms) = between(ms);
            self.anchors.push(Anchor {
                rank,
                at_least_ms,
                at_most_ms,
            });
        }
    }

    /// What the duration of this rank is at least, ms.
    fn at_least(&self, rank: u64) -> f64 {
        let below = self.anchors.iter().filter(|anchor| anchor.rank <= rank);
        below.map(|anchor| anchor.at_least_ms).fold(0.0, f64::max)
    }

    /// What it is at most, ms.
    fn at_most(&self, rank: u64) -> Option<f64> {
        let above = self.anchors.iter().filter(|anchor| anchor.rank >= rank);
        above.map(|anchor| anchor.at_most_ms).reduce(f64::min)
    }

    /// A quantile, with the bounds (95 %) of what these durations are a sample of; `None` if
    /// it is not reported. Of the largest, the next run may have any larger one.
    pub(super) fn estimate(&self, quantile: Quantile) -> Option<Estimate> {
        let value = quantile.of(&self.quantiles)?;
        let (at_least, at_most) = match (quantile.share(), self.count) {
            (None, _) => (value, None),
            (Some(_), None) => (0.0, None),
            (Some(share), Some(count)) => {
                let (lower, upper) = ranks(count, share);
                let at_least = lower.map_or(0.0, |rank| self.at_least(rank));
                (at_least, upper.and_then(|rank| self.at_most(rank)))
            }
        };
        Some(Estimate {
            value,
            at_least: at_least.min(value),
            at_most: at_most.map(|most| most.max(value)),
            count: self.count.unwrap_or(0),
        })
    }
}

/// The quantiles of what took some time before and after.
pub(super) fn figures(
    timed: Timed,
    of: &Subject,
    durations: &[Option<Durations>; 2],
) -> Vec<ComparedFigure> {
    let figure = |quantile: Quantile| {
        let both = durations.each_ref();
        let both = both.map(|one| one.as_ref().and_then(|one| one.estimate(quantile)));
        ComparedFigure::new(Metric::Took(timed, quantile), of.clone(), both)
    };
    Quantile::ALL.into_iter().filter_map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::histogram::Histogram;

    /// As a report has durations of so many µs.
    fn part(us: impl IntoIterator<Item = u64>) -> PartQuantiles {
        let mut sum = Histogram::empty();
        us.into_iter().for_each(|us| sum.add(us * 1_000));
        sum.quantiles()
    }

    fn without_counters(part: &PartQuantiles) -> PartQuantiles {
        PartQuantiles {
            ranges: None,
            ..part.clone()
        }
    }

    #[test]
    fn the_truth_is_between_the_bounds() {
        // A thousand commits of 1 to 1000 ms.
        let part = part((1..=1_000).map(|ms| ms * 1_000));
        let durations = Durations::of(&part, None, &[]).unwrap();
        for quantile in [Quantile::P50, Quantile::P95, Quantile::P99] {
            // The commit of each rank took as many ms.
            let (lower, upper) = ranks(1_000, quantile.share().unwrap());
            let (lower, upper) = (lower.unwrap() as f64, upper.unwrap() as f64);
            let found = durations.estimate(quantile).unwrap();
            assert!(found.at_least <= lower, "{found:?}");
            assert!(found.at_least > 0.7 * lower, "{found:?}");
            let at_most = found.at_most.unwrap();
            assert!(at_most >= upper, "{found:?}");
            assert!(at_most < 1.3 * upper, "{found:?}");
            assert_eq!(found.count, 1_000);
        }
    }

    #[test]
    fn a_report_without_counters_bounds_by_its_quantiles() {
        let part = without_counters(&part((1..=1_000).map(|ms| ms * 1_000)));
        let durations = Durations::of(&part, Some(1_000), &[]).unwrap();
        let median = durations.estimate(Quantile::P50).unwrap();
        // Below the median nothing is known.
        assert_eq!(median.at_least, 0.0);
        let at_most = median.at_most.unwrap();
        assert!((950.0..1_100.0).contains(&at_most), "{median:?}");
        let p95 = durations.estimate(Quantile::P95).unwrap();
        assert!((400.0..500.0).contains(&p95.at_least), "{p95:?}");
    }

    #[test]
    fn commits_that_are_listed_are_known_exactly() {
        let part = without_counters(&part((1..=1_000).map(|ms| ms * 1_000)));
        let longest: Vec<f64> = (800..=1_000).rev().map(f64::from).collect();
        let durations = Durations::of(&part, Some(1_000), &longest).unwrap();
        let p95 = durations.estimate(Quantile::P95).unwrap();
        let (lower, upper) = ranks(1_000, 0.95);
        assert_eq!(p95.at_least, lower.unwrap() as f64);
        assert_eq!(p95.at_most, upper.map(|rank| rank as f64));
    }

    #[test]
    fn of_few_commits_the_upper_quantiles_have_no_upper_bound() {
        let durations = Durations::of(&part([200; 20]), None, &[]).unwrap();
        let p99 = durations.estimate(Quantile::P99).unwrap();
        assert_eq!(p99.at_most, None);
        let median = durations.estimate(Quantile::P50).unwrap();
        assert!(median.at_most.is_some());
    }

    #[test]
    fn the_largest_bounds_itself_from_below_alone() {
        let durations = Durations::of(&part([100, 300]), None, &[]).unwrap();
        let largest = durations.estimate(Quantile::Largest).unwrap();
        assert_eq!((largest.value, largest.at_least), (0.3, 0.3));
        assert_eq!(largest.at_most, None);
    }

    #[test]
    fn of_an_unknown_number_nothing_is_bounded() {
        let part = without_counters(&part([100, 200, 300]));
        let durations = Durations::of(&part, None, &[]).unwrap();
        let median = durations.estimate(Quantile::P50).unwrap();
        assert_eq!(
            (median.at_least, median.at_most, median.count),
            (0.0, None, 0)
        );
    }

    #[test]
    fn of_none_there_is_nothing() {
        assert!(Durations::of(&PartQuantiles::default(), Some(7), &[]).is_none());
        assert!(Durations::of_requests(&Quantiles::default(), 0).is_none());
    }

    #[test]
    fn latencies_of_the_probe_are_bounded_by_its_quantiles() {
        let latency = Quantiles {
            p50_ms: Some(1.0),
            p95_ms: Some(2.0),
            p99_ms: Some(4.0),
            max_ms: Some(9.0),
        };
        let durations = Durations::of_requests(&latency, 10_000).unwrap();
        let p95 = durations.estimate(Quantile::P95).unwrap();
        assert_eq!(p95.at_least, 0.99);
        let at_most = p95.at_most.unwrap();
        assert!((4.0..4.05).contains(&at_most), "{p95:?}");
    }
}
