//! The stages of a commit's wait for a standby, one after the other.

use crate::report::stages::Stage;

/// One wait, split: the stages add up to all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitStages {
    /// How long each took, ns, by [`Stage`].
    pub ns: [u64; Stage::COUNT],
}

/// When the stages of a wait ended, ns of `CLOCK_MONOTONIC`; [`None`] if that was not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moments {
    /// The walsender took the WAL.
    pub(crate) taken_ns: Option<u64>,
    /// It was acknowledged.
    pub(crate) acknowledged_ns: Option<u64>,
    /// The reply had arrived, in order.
    pub(crate) arrived_ns: Option<u64>,
    /// The walsender had read it.
    pub(crate) read_ns: Option<u64>,
}

impl WaitStages {
    /// Splits a wait at these moments. What lies between two of them of which one was not
    /// seen is [`Stage::Unexplained`]. What happened before the wait began took none of it:
    /// WAL is sent while its backend still flushes.
    pub(crate) fn new(from_ns: u64, to_ns: u64, moments: &Moments) -> Self {
        let ends = [
            (Stage::Handover, moments.taken_ns),
            (Stage::Acknowledged, moments.acknowledged_ns),
            (Stage::Remote, moments.arrived_ns),
            (Stage::Release, moments.read_ns),
            (Stage::Wakeup, Some(to_ns)),
        ];
        let mut stages = Self::default();
        let mut reached_ns = from_ns;
        let mut all_seen = true;
        for (stage, end_ns) in ends {
            // The end of the wait tells nothing of a release that was not seen.
            let Some(end_ns) = end_ns else {
                all_seen = false;
                continue;
            };
            let end_ns = end_ns.min(to_ns).max(reached_ns);
            let stage = if all_seen { stage } else { Stage::Unexplained };
            stages.ns[stage as usize] += end_ns - reached_ns;
            reached_ns = end_ns;
            all_seen = true;
        }
        stages
    }

    /// How long a stage took, ns.
    #[must_use]
    pub const fn of(&self, stage: Stage) -> u64 {
        self.ns[stage as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(from_ns: u64, to_ns: u64, moments: [Option<u64>; 4]) -> [u64; Stage::COUNT] {
        let [taken_ns, acknowledged_ns, arrived_ns, read_ns] = moments;
        let moments = Moments {
            taken_ns,
            acknowledged_ns,
            arrived_ns,
            read_ns,
        };
        WaitStages::new(from_ns, to_ns, &moments).ns
    }

    #[test]
    fn stages_follow_each_other_and_add_up() {
        let all = split(100, 200, [Some(110), Some(130), Some(170), Some(180)]);
        assert_eq!(all, [10, 20, 40, 10, 20, 0]);
        assert_eq!(all.iter().sum::<u64>(), 100);
    }

    #[test]
    fn what_was_over_before_the_wait_took_none_of_it() {
        let late = split(100, 200, [Some(50), Some(90), Some(150), Some(160)]);
        assert_eq!(late, [0, 0, 50, 10, 40, 0]);
        let released = split(100, 200, [Some(10), Some(20), Some(30), Some(40)]);
        assert_eq!(released, [0, 0, 0, 0, 100, 0]);
    }

    #[test]
    fn what_was_not_seen_is_unexplained_up_to_what_was() {
        assert_eq!(split(100, 200, [None; 4]), [0, 0, 0, 0, 0, 100]);
        let started = split(100, 200, [None, None, Some(170), Some(180)]);
        assert_eq!(started, [0, 0, 0, 10, 20, 70]);
        let cut = split(100, 200, [Some(110), Some(130), None, None]);
        assert_eq!(cut, [10, 20, 0, 0, 0, 70]);
    }

    #[test]
    fn moments_out_of_order_shorten_nothing_below_zero() {
        let odd = split(100, 200, [Some(150), Some(120), Some(999), Some(130)]);
        assert_eq!(odd, [50, 0, 50, 0, 0, 0]);
    }
}
