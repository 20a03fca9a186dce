//! A figure in a cell of a table: its value, and in brackets what bounds it.

use crate::compare::estimate::Estimate;
use crate::compare::metric::MetricUnit;

/// A unit of a figure, and how much of the metric's own unit it is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct ShownUnit {
    name: &'static str,
    size: f64,
}

const fn unit(name: &'static str, size: f64) -> ShownUnit {
    ShownUnit { name, size }
}

/// Units of lengths of time, ms, from the smallest on.
const TIMES: [ShownUnit; 3] = [unit("µs", 0.001), unit("ms", 1.0), unit("s", 1_000.0)];

/// Less is not shown of a lower bound: it is as good as none.
const LEAST_SHOWN: f64 = 0.000_05;

/// An estimate as a cell: `619 µs (590-655)`. A bound without a unit has that of the value; one
/// that nothing bounds from above is `(from 590)`.
pub(super) fn cell(estimate: &Estimate, metric_unit: MetricUnit) -> String {
    let Estimate {
        value,
        at_least,
        at_most,
        ..
    } = *estimate;
    if metric_unit == MetricUnit::Count {
        return format!("{value:.0}");
    }
    let unit = fitting(value, metric_unit);
    let bound = |bound: f64| {
        let own = fitting(bound, metric_unit);
        match own == unit || bound <= 0.0 {
            true => digits(bound / unit.size),
            false => format!("{}{}", digits(bound / own.size), own.name),
        }
    };
    let least = match at_least / fitting(at_least, metric_unit).size < LEAST_SHOWN {
        true => "0".to_owned(),
        false => bound(at_least),
    };
    let bounds = match at_most {
        Some(at_most) => format!("{least}-{}", bound(at_most)),
        None if at_least <= 0.0 => "no bounds".to_owned(),
        None => format!("from {least}"),
    };
    format!("{} ({bounds})", with_unit(value, unit))
}

/// What a run measured, such as `7.32 s`, if it did.
pub(super) fn known(run: Option<Estimate>, metric_unit: MetricUnit) -> String {
    match run {
        Some(run) => value(run.value, metric_unit),
        None => "not measured".to_owned(),
    }
}

/// A value alone, such as `7.32 s`.
pub(super) fn value(value: f64, metric_unit: MetricUnit) -> String {
    match metric_unit {
        MetricUnit::Count => format!("{value:.0}"),
        MetricUnit::PerS => format!("{}/s", digits(value)),
        MetricUnit::Ms | MetricUnit::Share => with_unit(value, fitting(value, metric_unit)),
    }
}

fn with_unit(value: f64, unit: ShownUnit) -> String {
    let number = digits(value / unit.size);
    match unit.name {
        "" => number,
        "%" => format!("{number}%"),
        name => format!("{number} {name}"),
    }
}

/// The unit in which a value is short.
fn fitting(value: f64, metric_unit: MetricUnit) -> ShownUnit {
    match metric_unit {
        MetricUnit::Ms => {
            let mut largest = TIMES.into_iter().rev();
            let found = largest.find(|one| value >= one.size);
            found.unwrap_or(TIMES[0])
        }
        // A table says it once: a second.
        MetricUnit::PerS | MetricUnit::Count => unit("", 1.0),
        MetricUnit::Share => unit("%", 0.01),
    }
}

/// Some three digits of a number.
pub(super) fn digits(number: f64) -> String {
    match number {
        0.0 => "0".to_owned(),
        // No table has room for what a file may claim.
        number if number >= 1e7 => format!("{number:.1e}"),
        number if number >= 100.0 => format!("{number:.0}"),
        number if number >= 10.0 => format!("{number:.1}"),
        number if number >= 1.0 => format!("{number:.2}"),
        number if number >= 0.1 => format!("{number:.3}"),
        number if number >= 0.000_1 => format!("{number:.4}"),
        number => format!("{number:.0e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(value: f64, at_least: f64, at_most: Option<f64>) -> Estimate {
        Estimate {
            value,
            at_least,
            at_most,
            count: 1,
        }
    }

    #[test]
    fn cells_are_short_and_bounds_have_the_unit_of_the_value_or_their_own() {
        for (value, at_least, at_most, expected) in [
            (0.619, 0.590, Some(0.655), "619 µs (590-655)"),
            (7.32, 6.55, Some(8.19), "7.32 ms (6.55-8.19)"),
            (908.8, 0.524, Some(7_340.0), "909 ms (524µs-7.34s)"),
            (13_553.2, 13_553.2, None, "13.6 s (from 13.6)"),
            (0.02, 0.0, Some(0.03), "20.0 µs (0-30.0)"),
            (0.0, 0.0, Some(0.000_255), "0 µs (0-0.255)"),
            (7.32, 0.0, None, "7.32 ms (no bounds)"),
        ] {
            let shown = cell(&estimate(value, at_least, at_most), MetricUnit::Ms);
            assert_eq!(shown, expected);
            assert!(shown.chars().count() <= 20, "{shown}");
        }
        let rate = estimate(0.2055, 0.1376, Some(0.2951));
        assert_eq!(cell(&rate, MetricUnit::PerS), "0.205 (0.138-0.295)");
        assert_eq!(cell(&rate, MetricUnit::Share), "20.5% (13.8-29.5)");
        // With a bound of 0.000004 nobody would know where it ends and the next begins.
        let rare = estimate(0.0473, 0.000_004, Some(0.263));
        assert_eq!(cell(&rare, MetricUnit::PerS), "0.0473 (0-0.263)");
        assert_eq!(cell(&Estimate::exact(3), MetricUnit::Count), "3");
    }

    #[test]
    fn a_value_alone_has_its_unit() {
        assert_eq!(value(7_320.0, MetricUnit::Ms), "7.32 s");
        assert_eq!(value(10.5, MetricUnit::PerS), "10.5/s");
        assert_eq!(value(0.02, MetricUnit::Share), "2.00%");
        assert_eq!(value(2.0, MetricUnit::Count), "2");
    }

    #[test]
    fn numbers_have_some_three_digits() {
        for (number, expected) in [
            (0.0, "0"),
            (12_345.6, "12346"),
            (12.34, "12.3"),
            (1.234, "1.23"),
            (0.1234, "0.123"),
            (0.0123, "0.0123"),
            (0.000_62, "0.0006"),
            (0.000_07, "7e-5"),
        ] {
            assert_eq!(digits(number), expected);
        }
    }
}
