//! A time in which everything was different, found in a series.

/// The least number of values that make a phase.
const MIN_VALUES: usize = 3;
/// How much of the spread two levels must explain, ...
const EXPLAINED: f64 = 0.5;
/// ... and how much higher the one must be (as a logarithm: three times).
const HIGHER: f64 = 1.1;

/// The one stretch of values that is best set apart from all others by being
/// higher, as `[from, to)`; `None` if there is none worth the name. Where it touches
/// an end, there is nothing before or behind it.
///
/// Values are compared by their logarithms: latencies and counts differ by factors.
pub(crate) fn higher_stretch(values: &[f64]) -> Option<(usize, usize)> {
    let count = values.len();
    let logs: Vec<f64> = values.iter().map(|value| value.max(0.0).ln_1p()).collect();
    let mut sums = vec![0.0];
    for log in &logs {
        sums.push(sums.last().copied().unwrap_or(0.0) + log);
    }
    let total = sums[count];
    let mean = total / count as f64;
    let spread: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
    let mut best: Option<(f64, usize, usize)> = None;
    for from in 0..count {
        if (1..MIN_VALUES).contains(&from) {
            continue;
        }
        for to in from + MIN_VALUES..=count {
            let (inside, outside) = (to - from, count - (to - from));
            if outside == 0 || (1..MIN_VALUES).contains(&(count - to)) {
                continue;
            }
            let inner = (sums[to] - sums[from]) / inside as f64;
            let outer = (total - (sums[to] - sums[from])) / outside as f64;
            if inner < outer + HIGHER {
                continue;
            }
            // What the two levels explain of the spread.
            let explained =
                inside as f64 * (inner - mean).powi(2) + outside as f64 * (outer - mean).powi(2);
            if best.is_none_or(|(most, ..)| explained > most) {
                best = Some((explained, from, to));
            }
        }
    }
    let (explained, from, to) = best?;
    (explained >= EXPLAINED * spread).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_higher_is_found_wherever_it_is() {
        let low = [2.0, 3.0, 2.5, 2.0, 4.0, 2.0];
        let high = [300.0, 900.0, 3_000.0, 200.0];
        let middle = [&low[..], &high, &low].concat();
        assert_eq!(higher_stretch(&middle), Some((6, 10)));
        assert_eq!(higher_stretch(&[&low[..], &high].concat()), Some((6, 10)));
        assert_eq!(higher_stretch(&[&high[..], &low].concat()), Some((0, 4)));
    }

    #[test]
    fn what_does_not_change_has_none() {
        assert_eq!(higher_stretch(&[]), None);
        assert_eq!(higher_stretch(&[7.0; 50]), None);
        let noise: Vec<f64> = (0..50).map(|i| 2.0 + f64::from(i * 7 % 5)).collect();
        assert_eq!(higher_stretch(&noise), None);
        // One outlier is no phase.
        let mut outlier = vec![2.0; 50];
        outlier[20] = 5_000.0;
        assert_eq!(higher_stretch(&outlier), None);
    }
}
