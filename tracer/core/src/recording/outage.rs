//! Times from which there is no sample: they are reported, not filled with zeros.

/// A time without samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SamplingOutage {
    /// The last sample before it, or when it was first tried; ns of
    /// `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// The first sample after it; `None` if there was none any more.
    pub(crate) end_ns: Option<u64>,
    /// Why, in one line; where that changed, the first reason.
    pub(crate) reason: String,
    pub(crate) failures: u64,
}

/// Notes gaps as they come and go.
#[derive(Debug, Default)]
pub(crate) struct SamplingOutages {
    gaps: Vec<SamplingOutage>,
    /// From where a gap would begin.
    since_ns: u64,
    open: bool,
    dropped: u64,
}

/// More gaps than anybody reads: later ones are only counted.
const MAX_GAPS: usize = 10_000;

impl SamplingOutages {
    pub(crate) fn new(now_ns: u64) -> Self {
        Self {
            since_ns: now_ns,
            ..Self::default()
        }
    }

    /// There is a sample. `longest_ns` is how far two may be apart before what lies
    /// between is a gap of its own, for this reason.
    pub(crate) fn sampled(&mut self, at_ns: u64, longest_ns: u64, reason: impl FnOnce() -> String) {
        if self.open {
            if let Some(gap) = self.gaps.last_mut() {
                gap.end_ns = Some(at_ns);
            }
            self.open = false;
        } else if at_ns.saturating_sub(self.since_ns) > longest_ns {
            self.push(SamplingOutage {
                start_ns: self.since_ns,
                end_ns: Some(at_ns),
                reason: reason(),
                failures: 0,
            });
        }
        self.since_ns = at_ns;
    }

    /// There is none. True if that begins a gap.
    pub(crate) fn failed(&mut self, reason: &str) -> bool {
        if self.open {
            if let Some(gap) = self.gaps.last_mut() {
                gap.failures += 1;
            }
            return false;
        }
        self.open = self.push(SamplingOutage {
            start_ns: self.since_ns,
            end_ns: None,
            reason: reason.to_owned(),
            failures: 1,
        });
        true
    }

    fn push(&mut self, gap: SamplingOutage) -> bool {
        if self.gaps.len() >= MAX_GAPS {
            self.dropped += 1;
            return false;
        }
        self.gaps.push(gap);
        true
    }

    /// The gap that lasts at the moment.
    pub(crate) fn current(&self) -> Option<&SamplingOutage> {
        self.gaps.last().filter(|_| self.open)
    }

    /// All of them, and how many more there were.
    pub(crate) fn into_parts(self) -> (Vec<SamplingOutage>, u64) {
        (self.gaps, self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never() -> String {
        unreachable!("no gap was expected")
    }

    #[test]
    fn a_gap_lasts_from_the_last_sample_to_the_next() {
        let mut gaps = SamplingOutages::new(100);
        gaps.sampled(110, 20, never);
        gaps.sampled(120, 20, never);
        assert!(gaps.failed("gone"));
        assert!(!gaps.failed("refused"));
        assert_eq!(gaps.current().map(|gap| gap.failures), Some(2));
        gaps.sampled(190, 20, never);
        assert_eq!(gaps.current(), None);
        assert!(gaps.failed("again"));
        let (gaps, dropped) = gaps.into_parts();
        assert_eq!(dropped, 0);
        let ends: Vec<_> = gaps.iter().map(|g| (g.start_ns, g.end_ns)).collect();
        assert_eq!(ends, [(120, Some(190)), (190, None)]);
        assert_eq!(gaps[0].reason, "gone");
    }

    #[test]
    fn an_answer_that_comes_late_leaves_a_gap_too() {
        let mut gaps = SamplingOutages::new(100);
        gaps.sampled(121, 20, || "slow".to_owned());
        let (gaps, _) = gaps.into_parts();
        assert_eq!((gaps[0].start_ns, gaps[0].end_ns), (100, Some(121)));
    }
}
