//! Whether what was delivered is what was asked for, give or take chance.

use super::Percent;

/// Two-sided quantile of the standard normal distribution that one run in a
/// hundred thousand exceeds by chance: a warning must mean something.
const Z: f64 = 4.417_173_413_469_021;

/// What a lot drawn once a packet did to segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Segments that the lot was drawn for.
    pub seen: u64,
    /// Segments that it fell on.
    pub hit: u64,
    /// Sum of the squares of the segments of each packet; equal to `seen` if
    /// every packet was one segment, which makes the distribution binomial.
    pub seen_squares: u64,
}

impl Sample {
    /// Whether the hits are further from the requested share than chance
    /// explains ([`Z`]). Never true of nothing seen.
    pub fn is_off(&self, requested: Percent) -> bool {
        let (low, high) = interval(requested, self.seen, self.seen_squares);
        self.hit < low || self.hit > high
    }
}

/// The least and the most segments of `seen` that a lot of this share hits, but
/// for one run in a hundred thousand. Normal approximation of the sum of one lot a
/// packet, weighted by its segments, with half a segment for continuity; for
/// packets of one segment this is the binomial interval. Exact at 100 %.
pub fn interval(share: Percent, seen: u64, seen_squares: u64) -> (u64, u64) {
    let p = share.fraction();
    let mean = p * seen as f64;
    let deviation = Z * (p * (1.0 - p) * seen_squares as f64).sqrt();
    if deviation == 0.0 {
        return (seen, seen);
    }
    let low = (mean - deviation - 0.5).ceil().max(0.0);
    let high = (mean + deviation + 0.5).floor().min(seen as f64);
    // Both between 0 and `seen`.
    (low as u64, high as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(value: f64) -> Percent {
        Percent::new(value).unwrap()
    }

    #[test]
    fn binomial_interval_of_single_segments() {
        // qbinom(c(5e-6, 1 - 5e-6), 10000, 0.5) = 4779, 5221.
        assert_eq!(interval(percent(50.0), 10_000, 10_000), (4779, 5221));
        // qbinom(1 - 5e-6, 1000, 0.01) = 27: the approximation is a little short
        // above and includes 0 below.
        assert_eq!(interval(percent(1.0), 1000, 1000), (0, 24));
    }

    #[test]
    fn packets_of_many_segments_scatter_more() {
        // 1,000 packets of 10 segments scatter like √10 times 10,000 of one.
        assert_eq!(interval(percent(50.0), 10_000, 100_000), (4302, 5698));
    }

    #[test]
    fn all_means_all() {
        let sample = |hit| Sample {
            seen: 5000,
            hit,
            seen_squares: 9000,
        };
        assert!(!sample(5000).is_off(percent(100.0)));
        assert!(sample(4999).is_off(percent(100.0)));
    }

    #[test]
    fn nothing_seen_says_nothing() {
        let sample = Sample {
            seen: 0,
            hit: 0,
            seen_squares: 0,
        };
        assert!(!sample.is_off(percent(50.0)));
    }
}
