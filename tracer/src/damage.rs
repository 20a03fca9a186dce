//! Segments that arrived damaged, by interval: like retransmits, they tell when the
//! network was at fault, and they are seen at the other end.

/// What arrived damaged in one interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged {
    /// End of the interval, ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// Segments with a wrong checksum, from the peers that the filter keeps.
    pub segments: u64,
}

/// The intervals in which something did.
#[derive(Debug, Clone, Default)]
pub struct Series {
    counted: u64,
    steps: Vec<Damaged>,
}

impl Series {
    /// Takes in the count since the start of the run.
    pub fn update(&mut self, at_ns: u64, counted: u64) {
        let segments = counted.saturating_sub(self.counted);
        if segments > 0 {
            self.steps.push(Damaged { at_ns, segments });
            self.counted = counted;
        }
    }

    /// All of them.
    #[must_use]
    pub fn into_steps(self) -> Vec<Damaged> {
        self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_grew_is_kept() {
        let mut series = Series::default();
        for (at_ns, counted) in [(10, 0), (20, 3), (30, 3), (40, 5)] {
            series.update(at_ns, counted);
        }
        let steps = series.into_steps();
        let steps: Vec<_> = steps.iter().map(|s| (s.at_ns, s.segments)).collect();
        assert_eq!(steps, [(20, 3), (40, 2)]);
    }
}
