//! Which of many values lie on both sides of a quantile of what they are drawn from.

use crate::compare::dispersion::NORMAL_BOUND;

/// As much may lie beyond either bound, so that 95 % are between them.
const BEYOND: f64 = 0.025;
/// From this standard deviation on, the normal distribution is as good.
const MAX_SUMMED_DEVIATION: f64 = 1_000.0;
/// So many standard deviations from the mean there is nothing left to be summed up.
const NOTHING_LEFT: f64 = 10.0;

/// The ranks, from 1 on, of two of `count` values in order, between which the quantile of what
/// these are drawn from lies with a confidence of 95 %, whatever is drawn from: how many of
/// them are below it is binomially distributed. `None` where not even the least or the largest
/// of them is far enough away.
pub(super) fn ranks(count: u64, quantile: f64) -> (Option<u64>, Option<u64>) {
    let number = count as f64;
    let mean = number * quantile;
    let deviation = (mean * (1.0 - quantile)).sqrt();
    if deviation > MAX_SUMMED_DEVIATION {
        let off = NORMAL_BOUND * deviation;
        // Both are well within: rounded away from the quantile.
        return (Some((mean - off) as u64), Some((mean + off) as u64 + 2));
    }
    let reach = NOTHING_LEFT * (deviation + 1.0);
    let from = (mean - reach).max(0.0) as u64;
    let to = count.min((mean + reach) as u64);
    let odds = quantile / (1.0 - quantile);
    let all: f64 = weights(number, odds, from, to)
        .map(|(_, weight)| weight)
        .sum();
    let (mut lower, mut upper) = (None, None);
    // That fewer than `rank` values are below the quantile.
    let mut fewer = 0.0;
    for (rank, weight) in weights(number, odds, from, to) {
        if rank > 0 && fewer <= BEYOND {
            lower = Some(rank);
        }
        if rank > 0 && upper.is_none() && 1.0 - fewer <= BEYOND {
            upper = Some(rank);
        }
        fewer += weight / all;
    }
    (lower, upper)
}

/// How likely it is that so many of all values are below, for each of these numbers, as a share
/// of how likely the first of them is.
fn weights(number: f64, odds: f64, from: u64, to: u64) -> impl Iterator<Item = (u64, f64)> {
    let mut weight = 1.0;
    (from..=to).map(move |below| {
        let this = weight;
        let above = number - below as f64;
        weight *= above / (below as f64 + 1.0) * odds;
        (below, this)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many values are below a quantile: that at most `most` are.
    fn at_most(most: u64, count: u64, quantile: f64) -> f64 {
        let mut sum = 0.0;
        for below in 0..=most {
            let mut weight = 1.0;
            for step in 0..below {
                weight *= (count - step) as f64 / (step + 1) as f64;
            }
            let above = i32::try_from(count - below).unwrap();
            let below = i32::try_from(below).unwrap();
            sum += weight * quantile.powi(below) * (1.0 - quantile).powi(above);
        }
        sum
    }

    #[test]
    fn ranks_are_the_closest_that_hold_the_confidence() {
        for count in [6, 10, 50, 120, 200] {
            for quantile in [0.5, 0.95, 0.99] {
                let (lower, upper) = ranks(count, quantile);
                if let Some(rank) = lower {
                    assert!(at_most(rank - 1, count, quantile) <= BEYOND, "{count}");
                    assert!(at_most(rank, count, quantile) > BEYOND, "{count}");
                }
                match upper {
                    Some(rank) => {
                        assert!(1.0 - at_most(rank - 1, count, quantile) <= BEYOND);
                        if rank > 1 {
                            assert!(1.0 - at_most(rank - 2, count, quantile) > BEYOND);
                        }
                    }
                    None => assert!(1.0 - at_most(count - 1, count, quantile) > BEYOND),
                }
            }
        }
    }

    #[test]
    fn of_few_values_nothing_bounds_the_quantile() {
        assert_eq!(ranks(0, 0.5), (None, None));
        // Five of five are below the median once in 32 times.
        assert_eq!(ranks(5, 0.5), (None, None));
        assert_eq!(ranks(6, 0.5), (Some(1), Some(6)));
        // The largest of 120 is below p99 in three of ten runs.
        assert_eq!(ranks(120, 0.99).1, None);
        assert!(ranks(400, 0.99).1.is_some());
    }

    #[test]
    fn many_values_are_as_the_normal_distribution_has_them() {
        let (summed, many) = (ranks(3_900_000, 0.5), ranks(4_100_000, 0.5));
        let off = |(lower, upper): (Option<u64>, Option<u64>), count: f64| {
            let deviation = (count / 4.0).sqrt();
            [
                upper.unwrap() as f64 - count / 2.0,
                count / 2.0 - lower.unwrap() as f64,
            ]
            .map(|off| off / deviation)
        };
        for off in off(summed, 3.9e6).into_iter().chain(off(many, 4.1e6)) {
            assert!((1.95..1.97).contains(&off), "{off}");
        }
        // As many as a hostile file may claim.
        let (lower, upper) = ranks(u64::MAX, 0.5);
        assert!(lower < upper);
    }
}
