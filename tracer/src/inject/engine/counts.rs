//! What one fault did so far.

use std::iter::Sum;

use tracer_core::report::fault::FaultKind;
use tracer_ebpf::{FaultCounters, Tally};

use crate::inject::{Engine, FaultSpec};
use crate::kernel::tc::Stats;

/// What one fault did, over all CPUs. What nobody counts is [`None`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Segments on the wire that it could have hit.
    pub seen: u64,
    /// Those that it did hit.
    pub hit: Option<u64>,
    /// Bytes of the packets that it hit, headers included.
    pub bytes: Option<u64>,
    /// Packets of the peers that it leaves alone.
    pub passed: u64,
    /// Sum of the squares of the segments of each packet in `seen`.
    pub seen_squares: Option<u64>,
}

impl Counts {
    /// Out of what the program counted and, where netem is there, what that did.
    pub(crate) fn of(
        (fault, engine): (FaultSpec, Engine),
        counters: &FaultCounters,
        queue: Option<Stats>,
    ) -> Self {
        let passed = counters.passed;
        if engine == Engine::Bpf {
            let tally = match fault.kind() {
                FaultKind::Corrupt => counters.corrupt,
                _ => counters.loss,
            };
            return Self::drawn(tally, passed);
        }
        // What the program lost, netem never saw.
        let seen = counters.matched.saturating_sub(counters.loss.hit);
        let all = Self {
            seen,
            hit: Some(seen),
            bytes: Some(
                counters
                    .matched_bytes
                    .saturating_sub(counters.loss.hit_bytes),
            ),
            passed,
            // Lots are drawn a packet: comparable where that is a segment.
            seen_squares: (counters.matched_squares == counters.matched).then_some(seen),
        };
        let some = |hit: Option<u64>| Self {
            hit,
            bytes: None,
            ..all
        };
        match fault {
            FaultSpec::Delay(_) | FaultSpec::Rate(_) => all,
            FaultSpec::Loss(_) | FaultSpec::Partition => {
                some(queue.map(|stats| stats.drops.into()))
            }
            FaultSpec::Reorder(_) => some(queue.map(|stats| stats.requeues.into())),
            FaultSpec::Duplicate(_) => some(Some(counters.repeated)),
            FaultSpec::Corrupt(_) => some(None),
        }
    }

    fn drawn(tally: Tally, passed: u64) -> Self {
        Self {
            seen: tally.seen,
            hit: Some(tally.hit),
            bytes: Some(tally.hit_bytes),
            passed,
            seen_squares: Some(tally.seen_squares),
        }
    }
}

/// Both directions together.
impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts
            .reduce(|sum, next| Self {
                seen: sum.seen + next.seen,
                hit: sum.hit.zip(next.hit).map(|(a, b)| a + b),
                bytes: sum.bytes.zip(next.bytes).map(|(a, b)| a + b),
                passed: sum.passed + next.passed,
                seen_squares: sum.seen_squares.zip(next.seen_squares).map(|(a, b)| a + b),
            })
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netem_counts_what_it_does_and_only_that() {
        let counters = FaultCounters {
            matched: 100,
            matched_bytes: 150_000,
            matched_squares: 100,
            repeated: 7,
            loss: Tally {
                hit: 10,
                hit_bytes: 15_000,
                ..Tally::default()
            },
            ..FaultCounters::default()
        };
        let stats = Stats {
            drops: 5,
            requeues: 9,
            ..Stats::default()
        };
        let of = |text: &str, queue| {
            let counts = Counts::of((text.parse().unwrap(), Engine::Netem), &counters, queue);
            assert_eq!(counts.seen, 90, "{text}");
            counts.hit
        };
        assert_eq!(of("delay=5ms", Some(stats)), Some(90));
        assert_eq!(of("loss=5%", Some(stats)), Some(5));
        assert_eq!(of("loss=5%", None), None);
        assert_eq!(of("reorder=5%", Some(stats)), Some(9));
        assert_eq!(of("duplicate=5%", Some(stats)), Some(7));
        assert_eq!(of("corrupt=5%", Some(stats)), None);
    }
}
