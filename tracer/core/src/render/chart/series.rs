//! From what was recorded by interval to what fits into a chart.

/// More columns than this cannot be kept apart.
const MOST_COLUMNS: f64 = 240.0;
/// What comes later than so many intervals after the one before is not joined to it.
const JOINED: f64 = 3.0;
/// By so much of an interval it may end late.
const LATE: f64 = 0.25;

/// The length of a chart's columns, s: whole intervals, as few as there is room for.
pub(crate) fn width_s(length_s: f64, interval_s: f64) -> f64 {
    if !(length_s > 0.0 && interval_s > 0.0) {
        return length_s.max(1.0);
    }
    let columns = length_s / interval_s;
    (columns / MOST_COLUMNS).ceil().max(1.0) * interval_s
}

/// Sums by column of what ended at these moments.
pub(crate) fn sums(
    steps: impl Iterator<Item = (f64, f64)>,
    length_s: f64,
    width_s: f64,
    interval_s: f64,
) -> Vec<f64> {
    let columns = (length_s / width_s).ceil().clamp(1.0, 2.0 * MOST_COLUMNS) as usize;
    let mut sums = vec![0.0; columns];
    for (end_s, value) in steps {
        // What ends at a border belongs before it; what an interval ended a little
        // late belongs to the one that it was due in.
        let due_s = end_s - LATE * interval_s;
        let column = ((due_s / width_s).floor().max(0.0) as usize).min(columns - 1);
        sums[column] += value;
    }
    sums
}

/// The largest by column, with a gap wherever nothing was measured for long.
pub(crate) fn largest(
    points: impl Iterator<Item = (f64, Option<f64>)>,
    length_s: f64,
    interval_s: f64,
) -> Vec<(f64, Option<f64>)> {
    let width_s = width_s(length_s, interval_s);
    let mut thinned: Vec<(f64, Option<f64>)> = Vec::new();
    let mut column = None;
    for (at_s, value) in points.filter(|(at_s, _)| (0.0..=length_s * 1.01).contains(at_s)) {
        let own = (at_s / width_s).floor() as u64;
        match thinned.last_mut() {
            Some((last_s, kept)) if column == Some(own) && kept.is_some() && value.is_some() => {
                *last_s = at_s;
                *kept = kept.zip(value).map(|(a, b)| a.max(b));
            }
            last => {
                let gap_s = last.map_or(0.0, |(last_s, _)| at_s - *last_s);
                if gap_s > JOINED * width_s {
                    thinned.push((at_s - gap_s / 2.0, None));
                }
                thinned.push((at_s, value));
            }
        }
        column = Some(own);
    }
    thinned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_whole_intervals() {
        assert_eq!(width_s(55.0, 1.0), 1.0);
        assert_eq!(width_s(3_600.0, 1.0), 15.0);
        assert_eq!(width_s(0.0, 1.0), 1.0);
    }

    #[test]
    fn sums_lose_nothing() {
        let steps = [(1.03, 2.0), (2.0, 3.0), (55.008, 1.0), (99.0, 4.0)];
        let columns = sums(steps.into_iter(), 55.0, 1.0, 1.0);
        assert_eq!(columns.len(), 55);
        assert_eq!((columns[0], columns[1], columns[54]), (2.0, 3.0, 5.0));
    }

    #[test]
    fn what_ends_well_inside_a_column_of_many_intervals_is_in_it() {
        let steps = [(15.01, 1.0), (16.02, 2.0), (18.0, 3.0), (30.2, 4.0)];
        let columns = sums(steps.into_iter(), 3_600.0, 15.0, 1.0);
        assert_eq!(columns[..3], [1.0, 9.0, 0.0]);
    }

    #[test]
    fn lines_break_where_nothing_was_measured() {
        let points = [1.0, 2.0, 9.0, 10.0].map(|at_s| (at_s, Some(at_s)));
        let thinned = largest(points.into_iter(), 10.0, 1.0);
        assert_eq!(thinned[2], (5.5, None));
        assert_eq!(thinned.len(), 5);
    }

    #[test]
    fn many_points_become_few_and_keep_the_largest() {
        let points = (0..36_000).map(|at| (f64::from(at) / 10.0, Some(f64::from(at % 77))));
        let thinned = largest(points, 3_600.0, 0.1);
        assert!(thinned.len() <= 241, "{}", thinned.len());
        assert!(thinned[..200].iter().all(|(_, value)| *value == Some(76.0)));
    }
}
