//! How evenly something came over a run.

/// What was counted from one look to the next, added up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Evenness {
    looks: u64,
    seconds: f64,
    counted: f64,
    squares_per_s: f64,
}

impl Evenness {
    /// So many came in so many seconds.
    pub(crate) fn add(&mut self, count: u64, seconds: f64) {
        if seconds <= 0.0 {
            return;
        }
        let count = count as f64;
        self.looks += 1;
        self.seconds += seconds;
        self.counted += count;
        self.squares_per_s += count * count / seconds;
    }

    /// The variance of what came from one look to the next as a share of its mean (Pearson's
    /// statistic by its degrees of freedom): 1 where each came independently of the others, and
    /// more where they came in bursts. `None` if there were none, or fewer than two looks.
    pub(crate) fn dispersion(&self) -> Option<f64> {
        if self.looks < 2 || self.counted <= 0.0 {
            return None;
        }
        let rate = self.counted / self.seconds;
        let deviation = (self.squares_per_s / rate - self.counted).max(0.0);
        Some(deviation / (self.looks - 1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dispersion(counts: &[(u64, f64)]) -> Option<f64> {
        let mut all = Evenness::default();
        for (count, seconds) in counts {
            all.add(*count, *seconds);
        }
        all.dispersion()
    }

    #[test]
    fn the_variance_is_a_share_of_the_mean() {
        // 10 and 30 are 10 from their mean: a variance of 200, by 20.
        assert_eq!(dispersion(&[(10, 1.0), (30, 1.0)]), Some(10.0));
        assert_eq!(dispersion(&[(20, 1.0), (20, 1.0), (20, 1.0)]), Some(0.0));
        // Looks are not equally far apart: three times as many in three times as long is even.
        let found = dispersion(&[(20, 1.0), (60, 3.0)]).unwrap();
        assert!(found < 1e-9, "{found}");
    }

    #[test]
    fn of_nothing_or_one_look_nothing_is_known() {
        assert_eq!(dispersion(&[]), None);
        assert_eq!(dispersion(&[(7, 1.0)]), None);
        assert_eq!(dispersion(&[(0, 1.0), (0, 1.0)]), None);
        assert_eq!(dispersion(&[(7, 1.0), (7, 0.0)]), None);
    }
}
