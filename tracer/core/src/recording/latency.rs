//! What became of the requests: how many, how long, and how many not at all.

use std::collections::{BTreeMap, BTreeSet};

use hdrhistogram::Histogram;

use crate::report::quantiles::Quantiles;
use crate::spread::Spread;

/// Latencies are kept apart to a thousandth, from a microsecond on; what takes
/// longer than this counts as this.
const LONGEST_US: u64 = 600_000_000;
const DIGITS: u8 = 3;
/// More reasons than anybody reads.
const MOST_REASONS: usize = 8;
/// After as many intervals, each next one is twice as long, so that a run of any
/// length has a series and fits in memory.
const INTERVALS: usize = 10_000;

/// One interval.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyInterval {
    /// Its end, ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// Requests that were answered in it.
    pub answered: u64,
    /// That failed.
    pub failed: u64,
    /// That were due and could not be started, because every connection was busy
    /// or lost.
    pub not_started: u64,
    /// That were in flight at its end.
    pub outstanding: u64,
    /// How long the oldest of these was due by then, ms.
    pub oldest_ms: Option<f64>,
    /// Latencies of those that were answered.
    pub latency: Quantiles,
    /// The same to be merged with other intervals'.
    pub latencies: Latencies,
}

impl LatencyInterval {
    /// The slowest of its requests, those in flight at its end included, ms; `None` if there
    /// was none: then nothing is known, and not that it was quick.
    pub(crate) fn slowest_ms(&self) -> Option<f64> {
        let worst = self.latency.max_ms.into_iter().chain(self.oldest_ms);
        worst.reduce(f64::max)
    }
}

/// Latencies by how often they occurred, to a hundredth: quantiles of intervals
/// cannot be merged, these can.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Latencies(Vec<(u32, u32)>);

/// Of a latency, as many leading bits are kept apart.
const BITS: u32 = 7;

/// Counts requests of one sort.
#[derive(Debug)]
pub struct LatencyWindow {
    all: Histogram<u64>,
    now: Histogram<u64>,
    answered: u64,
    failed: u64,
    not_started: u64,
    closed: (u64, u64, u64),
    /// When those in flight were due.
    under_way: BTreeSet<(u64, u64)>,
    latest_start_ns: u64,
    reasons: BTreeMap<String, u64>,
    steps: Vec<LatencyInterval>,
    ticks: u64,
}

/// The whole run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Total {
    /// Requests that were answered.
    pub answered: u64,
    /// That failed.
    pub failed: u64,
    /// That could not be started.
    pub not_started: u64,
    /// That were in flight at the end, of which the latency is not known.
    pub outstanding: u64,
    /// How long the oldest of these was due by then, ms.
    pub oldest_ms: Option<f64>,
    /// How late a request was started, at most, ms: the probe's own part.
    pub started_late_ms_max: f64,
    /// Latencies of those that were answered, from when they were due.
    pub latency: Quantiles,
    /// Why requests failed, and how many.
    pub reasons: BTreeMap<String, u64>,
    /// The series.
    pub steps: Vec<LatencyInterval>,
}

impl LatencyWindow {
    /// An empty one; `None` if there is no memory for it.
    #[must_use]
    pub fn new() -> Option<Self> {
        let histogram = || Histogram::new_with_bounds(1, LONGEST_US, DIGITS).ok();
        Some(Self {
            all: histogram()?,
            now: histogram()?,
            answered: 0,
            failed: 0,
            not_started: 0,
            closed: (0, 0, 0),
            under_way: BTreeSet::new(),
            latest_start_ns: 0,
            reasons: BTreeMap::new(),
            steps: Vec::new(),
            ticks: 0,
        })
    }

    /// A request that was due is on its way.
    pub fn start(&mut self, number: u64, due_ns: u64, now_ns: u64) {
        self.under_way.insert((due_ns, number));
        self.latest_start_ns = self.latest_start_ns.max(now_ns.saturating_sub(due_ns));
    }

    /// It was answered.
    pub fn answer(&mut self, number: u64, due_ns: u64, now_ns: u64) {
        self.under_way.remove(&(due_ns, number));
        self.answered += 1;
        let latency_us = now_ns.saturating_sub(due_ns) / 1_000;
        self.all.saturating_record(latency_us.max(1));
        self.now.saturating_record(latency_us.max(1));
    }

    /// It failed.
    pub fn fail(&mut self, number: u64, due_ns: u64, reason: &str) {
        self.under_way.remove(&(due_ns, number));
        self.failed += 1;
        if let Some(count) = self.reasons.get_mut(reason) {
            *count += 1;
        } else if self.reasons.len() < MOST_REASONS {
            self.reasons.insert(reason.to_owned(), 1);
        }
    }

    /// It was due and could not be started.
    pub fn skip(&mut self) {
        self.not_started += 1;
    }

    /// Latencies of all that was answered.
    #[must_use]
    pub fn spread(&self) -> Spread {
        let mut spread = Spread::new();
        for one in self.all.iter_recorded() {
            spread.add(one.value_iterated_to(), one.count_since_last_iteration());
        }
        spread
    }

    /// How many failed, and how many could not be started.
    #[must_use]
    pub fn undone(&self) -> (u64, u64) {
        (self.failed, self.not_started)
    }

    /// Requests in flight.
    pub fn outstanding(&self) -> u64 {
        self.under_way.len() as u64
    }

    /// An interval is over.
    pub fn tick(&mut self, at_ns: u64) {
        self.ticks += 1;
        let stride = 1u64 << (self.steps.len() / INTERVALS).min(32);
        if !self.ticks.is_multiple_of(stride) {
            return;
        }
        let counts = (self.answered, self.failed, self.not_started);
        self.steps.push(LatencyInterval {
            at_ns,
            answered: counts.0 - self.closed.0,
            failed: counts.1 - self.closed.1,
            not_started: counts.2 - self.closed.2,
            outstanding: self.outstanding(),
            oldest_ms: self.oldest_ms(at_ns),
            latency: quantiles(&self.now),
            latencies: Latencies::of(&self.now),
        });
        self.closed = counts;
        self.now.reset();
    }

    /// How long the oldest request in flight has been due, ms.
    #[must_use]
    pub fn oldest_ms(&self, now_ns: u64) -> Option<f64> {
        let (due_ns, _) = self.under_way.first()?;
        Some(now_ns.saturating_sub(*due_ns) as f64 / 1e6)
    }

    /// The last interval.
    #[must_use]
    pub fn last(&self) -> Option<&LatencyInterval> {
        self.steps.last()
    }

    /// The whole.
    #[must_use]
    pub fn total(&self, now_ns: u64) -> Total {
        Total {
            answered: self.answered,
            failed: self.failed,
            not_started: self.not_started,
            outstanding: self.outstanding(),
            oldest_ms: self.oldest_ms(now_ns),
            started_late_ms_max: self.latest_start_ns as f64 / 1e6,
            latency: quantiles(&self.all),
            reasons: self.reasons.clone(),
            steps: self.steps.clone(),
        }
    }
}

fn quantiles(histogram: &Histogram<u64>) -> Quantiles {
    if histogram.is_empty() {
        return Quantiles::default();
    }
    let at = |quantile| Some(histogram.value_at_quantile(quantile) as f64 / 1e3);
    Quantiles::of(at, Some(histogram.max() as f64 / 1e3))
}

impl Latencies {
    fn of(histogram: &Histogram<u64>) -> Self {
        let mut counts = BTreeMap::new();
        for bucket in histogram.iter_recorded() {
            let us = u32::try_from(bucket.value_iterated_to()).unwrap_or(u32::MAX);
            let count = u32::try_from(bucket.count_at_value()).unwrap_or(u32::MAX);
            *counts.entry(rounded(us)).or_insert(0u32) += count;
        }
        Self(counts.into_iter().collect())
    }

    /// The quantiles of several intervals together, but for the largest, which
    /// each of them knows to a thousandth.
    pub(crate) fn merged<'a>(steps: impl Iterator<Item = &'a LatencyInterval>) -> Quantiles {
        let mut counts = BTreeMap::new();
        let mut max_ms: Option<f64> = None;
        for step in steps {
            for (us, count) in &step.latencies.0 {
                *counts.entry(*us).or_insert(0u64) += u64::from(*count);
            }
            max_ms = step
                .latency
                .max_ms
                .into_iter()
                .chain(max_ms)
                .reduce(f64::max);
        }
        let all: u64 = counts.values().sum();
        let at = |quantile: f64| {
            let rank = ((quantile * all as f64).ceil() as u64).max(1);
            let mut passed = 0;
            let found = counts.iter().find(|(_, count)| {
                passed += **count;
                passed >= rank
            });
            found.map(|(us, _)| (f64::from(*us) / 1e3).min(max_ms.unwrap_or(f64::MAX)))
        };
        Quantiles::of(at, max_ms)
    }
}

/// The largest of those that are not kept apart.
fn rounded(us: u32) -> u32 {
    let dropped = (u32::BITS - us.leading_zeros()).saturating_sub(BITS);
    us | ((1 << dropped) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn near(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found - expected).abs() <= expected / 500.0)
    }

    #[test]
    fn latency_counts_from_when_a_request_was_due() {
        let mut tally = LatencyWindow::new().unwrap();
        for number in 0..100 {
            let due = number * 10 * MS;
            // Started late because something held us up: that is part of it.
            tally.start(number, due, due + 3 * MS);
            tally.answer(number, due, due + 3 * MS + (number + 1) * MS);
        }
        let total = tally.total(2_000 * MS);
        assert_eq!((total.answered, total.outstanding), (100, 0));
        assert!(near(total.latency.p50_ms, 53.0), "{:?}", total.latency);
        assert!(near(total.latency.p95_ms, 98.0), "{:?}", total.latency);
        assert!(near(total.latency.max_ms, 103.0), "{:?}", total.latency);
        assert!(near(Some(total.started_late_ms_max), 3.0));
    }

    #[test]
    fn a_stall_shows_while_it_lasts() {
        let mut tally = LatencyWindow::new().unwrap();
        tally.start(0, 0, 0);
        tally.start(1, 500 * MS, 500 * MS);
        tally.skip();
        tally.tick(1_000 * MS);
        let step = tally.last().unwrap();
        assert_eq!(
            (step.answered, step.outstanding, step.not_started),
            (0, 2, 1)
        );
        assert_eq!((step.oldest_ms, step.latency.p50_ms), (Some(1_000.0), None));
        tally.answer(0, 0, 1_500 * MS);
        tally.fail(1, 500 * MS, "gone");
        tally.tick(2_000 * MS);
        let step = tally.last().unwrap();
        assert_eq!((step.answered, step.failed, step.not_started), (1, 1, 0));
        assert!(near(step.latency.max_ms, 1_500.0));
        let total = tally.total(2_000 * MS);
        assert_eq!(total.reasons, BTreeMap::from([("gone".to_owned(), 1)]));
        assert_eq!((total.outstanding, total.oldest_ms), (0, None));
    }

    #[test]
    fn intervals_add_up_to_the_whole_however_long_it_lasts() {
        let mut tally = LatencyWindow::new().unwrap();
        for number in 0..3 * INTERVALS as u64 {
            tally.start(number, number, number);
            tally.answer(number, number, number + MS);
            tally.tick(number);
        }
        let total = tally.total(0);
        assert!(total.steps.len() < 2 * INTERVALS + 1);
        let sum: u64 = total.steps.iter().map(|step| step.answered).sum();
        assert!(total.answered - sum < 2, "{sum}");
    }

    #[test]
    fn intervals_merged_have_the_quantiles_of_the_whole() {
        let mut tally = LatencyWindow::new().unwrap();
        for number in 0..1_000 {
            // Slow ones come together, so that no interval's quantiles are the whole's.
            let latency = if number < 100 { 500 } else { 1 + number % 10 };
            tally.answer(number, 0, latency * MS);
            if number % 50 == 49 {
                tally.tick(number);
            }
        }
        let total = tally.total(0);
        let merged = Latencies::merged(total.steps.iter());
        let close = |a: Option<f64>, b: Option<f64>| (a.unwrap() / b.unwrap() - 1.0).abs() < 0.01;
        assert!(close(merged.p50_ms, total.latency.p50_ms), "{merged:?}");
        assert!(close(merged.p95_ms, total.latency.p95_ms), "{merged:?}");
        assert!(close(merged.p99_ms, total.latency.p99_ms), "{merged:?}");
        assert_eq!(merged.max_ms, total.latency.max_ms);
        let none = Latencies::merged(std::iter::empty());
        assert_eq!(none, Quantiles::default());
    }

    #[test]
    fn reasons_and_latencies_are_bounded() {
        let mut tally = LatencyWindow::new().unwrap();
        for number in 0..100 {
            tally.fail(number, 0, &number.to_string());
        }
        tally.answer(0, 0, u64::MAX);
        let total = tally.total(0);
        assert_eq!((total.failed, total.reasons.len()), (100, MOST_REASONS));
        assert!(near(total.latency.max_ms, LONGEST_US as f64 / 1e3));
    }
}
