//! How long commits of a server usually take, and from when on one is slow by that.

use std::time::Duration;

use tracer_ebpf::{Part, ServerCommits};

use crate::interval::Span;
use crate::recording::evenness::Evenness;
use crate::report::histogram::Histogram;

/// Fewer commits have no median worth the name.
const MIN_COMMITS: u64 = 20;
/// Between two looks, ns: nearly a second, so that one a second is not missed.
const LOOK_NS: u64 = 900_000_000;
/// Of fewer commits between two looks it is not said that they were slow.
const MIN_SLOW_COMMITS: u64 = 3;
/// The most times that are remembered in which commits were slow; what comes then is not.
const MAX_SLOW_TIMES: usize = 1_000;
/// What takes so many times as long as usual is far from it. A choice: a commit that shares its
/// flush with others takes two or three times as long.
const FAR: u64 = 8;
/// What is quicker is not slow, whatever is usual. A choice: a flush of a disk, or a round trip
/// within a data centre, takes less.
const LEAST_SLOW: Duration = Duration::from_millis(10);

/// Learns it as a server goes on. What is usual is the second lowest median of the times that
/// were looked at: what is slow for most of a run is not usual, and neither is a single lucky
/// second.
#[derive(Clone, Debug)]
pub struct UsualCommit {
    seen: Histogram,
    /// When it was looked at last, ns of `CLOCK_MONOTONIC`, and what there was.
    looked: Option<(u64, Histogram)>,
    evenness: Evenness,
    slow_times: Vec<Span>,
    /// The lowest medians, ns.
    lowest_ns: [Option<u64>; 2],
    /// By an earlier report, ns.
    known_ns: Option<u64>,
}

impl UsualCommit {
    /// Begins with nothing, or with what an earlier report says.
    #[must_use]
    pub fn new(known: Option<Duration>) -> Self {
        Self {
            seen: Histogram::empty(),
            looked: None,
            evenness: Evenness::default(),
            slow_times: Vec::new(),
            lowest_ns: [None; 2],
            known_ns: known.and_then(|usual| u64::try_from(usual.as_nanos()).ok()),
        }
    }

    /// Takes in what the server has committed until now, ns of `CLOCK_MONOTONIC`. `asked_ns` as
    /// of [`Self::slow_from_ns`].
    pub fn learn(&mut self, sums: &ServerCommits, now_ns: u64, asked_ns: u64) {
        let all = Histogram::of(sums, Part::Total);
        self.look(&all, now_ns, asked_ns);
        let since = all.since(&self.seen);
        let median_ns = since.quantile(0.5).map(|ns| ns as u64);
        let Some(median_ns) = median_ns.filter(|_| since.count() >= MIN_COMMITS) else {
            return;
        };
        self.seen = all;
        let [first, second] = self.lowest_ns;
        let mut lowest: Vec<u64> = [first, second, Some(median_ns)]
            .into_iter()
            .flatten()
            .collect();
        lowest.sort_unstable();
        self.lowest_ns = [lowest.first().copied(), lowest.get(1).copied()];
    }

    /// Notes whether most commits since the last look were slow.
    fn look(&mut self, all: &Histogram, now_ns: u64, asked_ns: u64) {
        let is_early = |(at_ns, _): &(u64, Histogram)| now_ns.saturating_sub(*at_ns) < LOOK_NS;
        if self.looked.as_ref().is_some_and(is_early) {
            return;
        }
        let before = self.looked.replace((now_ns, *all));
        if let Some((from_ns, before)) = &before {
            let seconds = now_ns.saturating_sub(*from_ns) as f64 / 1e9;
            self.evenness.add(all.since(before).count(), seconds);
        }
        let Some((from_ns, before)) = before.filter(|_| self.usual_ns().is_some()) else {
            return;
        };
        let since = all.since(&before);
        let slow_ns = self.slow_from_ns(asked_ns) as f64;
        let is_slow = since
            .quantile(0.5)
            .is_some_and(|median_ns| median_ns >= slow_ns);
        if since.count() < MIN_SLOW_COMMITS || !is_slow {
            return;
        }
        let span = Span {
            from_ns,
            to_ns: now_ns,
        };
        let is_full = self.slow_times.len() >= MAX_SLOW_TIMES;
        let last = self.slow_times.last_mut();
        if let Some(last) = last.filter(|last| last.to_ns == from_ns) {
            last.to_ns = now_ns;
        } else if !is_full {
            self.slow_times.push(span);
        }
    }

    /// The times in which most commits were slow, in order.
    #[must_use]
    pub fn slow_times(&self) -> &[Span] {
        &self.slow_times
    }

    /// How unevenly they came: the variance of their number from one look to the next as a
    /// share of its mean; `None` if that is not known.
    #[must_use]
    pub fn dispersion(&self) -> Option<f64> {
        self.evenness.dispersion()
    }

    /// How long one usually takes, ns; `None` if that is not known yet.
    #[must_use]
    pub fn usual_ns(&self) -> Option<u64> {
        self.known_ns.or(self.lowest_ns[1])
    }

    /// From when on one is slow, ns: as was asked, or what is far from usual.
    #[must_use]
    pub fn slow_from_ns(&self, asked_ns: u64) -> u64 {
        let least_ns = u64::try_from(LEAST_SLOW.as_nanos()).unwrap_or(u64::MAX);
        let far_ns = self
            .usual_ns()
            .map(|ns| ns.saturating_mul(FAR).max(least_ns));
        far_ns.map_or(asked_ns, |far_ns| far_ns.min(asked_ns))
    }
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::bucket;

    use super::*;

    const MS: u64 = 1_000_000;
    const S: u64 = 1_000 * MS;
    const ASKED: u64 = 100 * MS;

    /// So many more commits that took so long.
    fn commit(sums: &mut ServerCommits, count: u64, ns: u64) {
        let total = Part::Total as usize;
        sums.buckets[total][bucket(ns)] += count;
        sums.sums_ns[total] += count * ns;
        sums.longest_ns[total] = sums.longest_ns[total].max(ns);
        sums.commits += count;
    }

    #[test]
    fn what_is_far_from_usual_is_slow() {
        let (mut usual, mut sums) = (UsualCommit::new(None), ServerCommits::NONE);
        assert_eq!(usual.slow_from_ns(ASKED), ASKED);
        for _ in 0..3 {
            commit(&mut sums, 50, MS / 2);
            usual.learn(&sums, 0, ASKED);
        }
        assert_eq!(usual.slow_from_ns(ASKED), 10 * MS);
        assert_eq!(usual.slow_times(), []);
        // From then on, most are slow; of one that is alone, nothing is said.
        for second in 1..30 {
            let count = if second == 7 { 1 } else { 50 };
            commit(&mut sums, count, 40 * MS);
            usual.learn(&sums, second * S, ASKED);
        }
        let times = [(1, 6), (7, 29)].map(|(from_s, to_s)| Span {
            from_ns: from_s * S,
            to_ns: to_s * S,
        });
        assert_eq!(usual.slow_times(), times);
        assert_eq!(usual.slow_from_ns(ASKED), 10 * MS);
        assert!(usual.usual_ns() < Some(MS));
    }

    #[test]
    fn a_slow_server_is_slow_by_its_own_measure_and_never_later_than_was_asked() {
        let (mut usual, mut sums) = (UsualCommit::new(None), ServerCommits::NONE);
        for _ in 0..2 {
            commit(&mut sums, 50, 4 * MS);
            usual.learn(&sums, 0, ASKED);
        }
        let from_ns = usual.slow_from_ns(ASKED);
        assert!((26 * MS..=38 * MS).contains(&from_ns), "{from_ns}");
        assert_eq!(usual.slow_from_ns(20 * MS), 20 * MS);
    }

    #[test]
    fn a_few_commits_or_one_lucky_second_say_nothing() {
        let (mut usual, mut sums) = (UsualCommit::new(None), ServerCommits::NONE);
        for _ in 0..10 {
            commit(&mut sums, 1, MS / 10);
            usual.learn(&sums, 0, ASKED);
        }
        assert_eq!(usual.usual_ns(), None);
        commit(&mut sums, 10, MS / 10);
        usual.learn(&sums, 0, ASKED);
        assert_eq!(usual.usual_ns(), None, "one median");
    }

    #[test]
    fn what_an_earlier_report_says_holds() {
        let mut usual = UsualCommit::new(Some(Duration::from_millis(2)));
        let mut sums = ServerCommits::NONE;
        for _ in 0..5 {
            commit(&mut sums, 50, 40 * MS);
            usual.learn(&sums, 0, ASKED);
        }
        assert_eq!(usual.slow_from_ns(ASKED), 16 * MS);
    }
}
