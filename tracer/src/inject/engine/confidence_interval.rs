//! Whether what was delivered is what was asked for, give or take chance.

use tracer_core::report::percent::Percent;

/// Two-sided quantile of the standard normal distribution that one run in a
/// hundred thousand exceeds by chance: a warning must mean something.
const Z: f64 = 4.417_173_413_469_021;

/// The least and the most segments of `seen` that a lot of this share hits, but
/// for one run in a hundred thousand. Normal approximation of the sum of one lot a
/// packet, weighted by its segments, with half a segment for continuity. `scatter`
/// is the sum of the squares of the segments of each packet, and more by the factor
/// by which correlated lots scatter more; where it equals `seen`, this is the
/// binomial interval. Exact at 100 %.
#[must_use]
pub fn interval(share: Percent, seen: u64, scatter: f64) -> (u64, u64) {
    let p = share.fraction();
    let mean = p * seen as f64;
    let deviation = Z * (p * (1.0 - p) * scatter).sqrt();
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
        assert_eq!(interval(percent(50.0), 10_000, 10_000.0), (4779, 5221));
        // qbinom(1 - 5e-6, 1000, 0.01) = 27: the approximation is a little short
        // above and includes 0 below.
        assert_eq!(interval(percent(1.0), 1000, 1000.0), (0, 24));
    }

    #[test]
    fn packets_of_many_segments_scatter_more() {
        // 1,000 packets of 10 segments scatter like √10 times 10,000 of one.
        assert_eq!(interval(percent(50.0), 10_000, 100_000.0), (4302, 5698));
    }

    #[test]
    fn all_means_all() {
        assert_eq!(interval(percent(100.0), 5000, 9000.0), (5000, 5000));
    }
}
