//! Quantiles of a handful of measurements.

/// The smallest value that at least this share of all values does not exceed
/// (nearest rank); `None` without values.
pub(crate) fn quantile<T: Ord + Copy>(values: &[T], share: f64) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    // Counts of measurements are far below 2^52, and the cast saturates.
    let rank = (share * sorted.len() as f64).ceil() as usize;
    let last = sorted.len().checked_sub(1)?;
    sorted.get(rank.saturating_sub(1).min(last)).copied()
}

/// The middle value; `None` without values.
pub fn median<T: Ord + Copy>(values: &[T]) -> Option<T> {
    quantile(values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank() {
        let values: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(quantile(&values, 0.5), Some(50));
        assert_eq!(quantile(&values, 0.99), Some(99));
        assert_eq!(quantile(&values, 1.0), Some(100));
        assert_eq!(quantile(&values, 0.0), Some(1));
    }

    #[test]
    fn one_value_is_every_quantile_and_none_is_none() {
        assert_eq!(median(&[7]), Some(7));
        assert_eq!(quantile(&[7], 0.99), Some(7));
        assert_eq!(median::<u32>(&[]), None);
    }
}
