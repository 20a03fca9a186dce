//! Scales: where to put ticks, and what to call them.

use crate::render::chart::{Chart, Plot, Unit};
use crate::text::bytes;

/// The most ticks of the time axis, so that their labels do not meet on a phone.
const MOST_TICKS: f64 = 6.0;
/// Lengths between ticks of time, s.
const STEPS_S: [f64; 22] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0,
    3_600.0, 7_200.0, 14_400.0, 21_600.0, 43_200.0, 86_400.0, 172_800.0,
];
/// The most powers of ten that are all labelled.
const MOST_DECADES: i32 = 5;
/// What is larger was not measured, and no scale is made for it.
const LARGEST: f64 = 1e15;
/// The most ticks of any scale; round steps need fewer.
const MOST_STEPS: f64 = 12.0;

/// A tick: how far along, from 0 to 1, and its label.
pub(crate) type Tick = (f64, String);

/// From a value to how high it is, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scale {
    Linear(f64, f64),
    /// From and to these powers of ten.
    Logarithmic(i32, i32),
}

pub(crate) fn time(length_s: f64) -> Vec<Tick> {
    if !(length_s > 0.0 && length_s.is_finite()) {
        return Vec::new();
    }
    let fits = |step: &f64| length_s / step <= MOST_TICKS;
    let step = STEPS_S.into_iter().find(fits);
    // Longer than a fortnight: whole days.
    let step = step.unwrap_or_else(|| (length_s / MOST_TICKS / 86_400.0).ceil() * 86_400.0);
    let count = (length_s / step + 1e-9).floor() as u64;
    let ticks = (0..=count).map(|number| number as f64 * step);
    ticks
        .map(|at_s| (at_s / length_s, moment(at_s, step)))
        .collect()
}

fn moment(at_s: f64, step: f64) -> String {
    match step {
        step if step < 1.0 => format!("{at_s:.1} s"),
        step if step < 60.0 => format!("{at_s:.0} s"),
        step if step < 3_600.0 => format!("{:.0} min", at_s / 60.0),
        _ => format!("{:.0} h", at_s / 3_600.0),
    }
}

impl Scale {
    /// The scale on which all of a chart has room.
    pub(crate) fn of(chart: &Chart) -> Self {
        match &chart.plot {
            Plot::Bars { series, .. } => {
                let columns = series.iter().map(|one| one.values.len()).max().unwrap_or(0);
                let height = |column: usize| -> f64 {
                    let values = series.iter().filter_map(|one| one.values.get(column));
                    values.sum::<f64>().min(LARGEST)
                };
                Self::linear(0.0, (0..columns).map(height).fold(0.0, f64::max))
            }
            Plot::Lines {
                logarithmic,
                series,
            } => {
                let points = series.iter().flat_map(|line| &line.points);
                let values = points.filter_map(|(_, value)| *value);
                let values = values.filter(|value| value.abs() <= LARGEST);
                if *logarithmic {
                    Self::logarithmic(values)
                } else {
                    let (least, most) = values
                        .fold((0.0, 0.0), |(least, most): (f64, f64), one| {
                            (least.min(one), most.max(one))
                        });
                    Self::linear(least, most)
                }
            }
        }
    }

    /// Whole steps; from zero where nothing is below.
    fn linear(least: f64, most: f64) -> Self {
        let step = step(most - least);
        let most = (most / step).ceil().max(1.0) * step;
        Self::Linear((least / step).floor() * step, most)
    }

    fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let logs = values.filter(|value| *value > 0.0).map(f64::log10);
        let range = logs.fold(None, |range, log| match range {
            None => Some((log, log)),
            Some((least, most)) => Some((f64::min(least, log), f64::max(most, log))),
        });
        let (least, most) = range.unwrap_or((0.0, 1.0));
        let least = least.floor() as i32;
        Self::Logarithmic(least, (most.ceil() as i32).max(least + 1))
    }

    /// How high a value is; `None` where it has no place.
    pub(crate) fn height(self, value: f64) -> Option<f64> {
        let height = match self {
            Self::Linear(least, most) => (value - least) / (most - least),
            Self::Logarithmic(..) if value <= 0.0 => return None,
            Self::Logarithmic(least, most) => {
                (value.log10() - f64::from(least)) / f64::from(most - least)
            }
        };
        height.is_finite().then(|| height.clamp(0.0, 1.0))
    }

    /// Its ticks, from below.
    pub(crate) fn ticks(self, unit: Unit) -> Vec<Tick> {
        match self {
            Self::Linear(least, most) => {
                let step = step(most - least);
                let count = ((most - least) / step).round().min(MOST_STEPS) as u64;
                let values = (0..=count).map(|number| least + number as f64 * step);
                values
                    .filter_map(|value| Some((self.height(value)?, label(value, unit))))
                    .collect()
            }
            Self::Logarithmic(least, most) => {
                let every = ((most - least + MOST_DECADES - 1) / MOST_DECADES).max(1);
                let powers = (least..=most).filter(|power| (power - least) % every == 0);
                powers
                    .filter_map(|power| {
                        let value = 10f64.powi(power);
                        Some((self.height(value)?, label(value, unit)))
                    })
                    .collect()
            }
        }
    }
}

/// A length of which two to five cover the range; nothing is counted in parts.
fn step(range: f64) -> f64 {
    if range <= 4.0 || !range.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf((range / 4.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let fits = |step: &f64| range / step <= 4.0;
    steps.into_iter().find(fits).unwrap_or(range)
}

pub(crate) fn label(value: f64, unit: Unit) -> String {
    let plain = |value: f64| {
        let text = format!("{value:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match unit {
        Unit::Count => plain(value),
        Unit::Bytes => bytes(value as i64),
        Unit::Milliseconds if value.abs() >= 1_000.0 => {
            let seconds = (value / 100.0).round() / 10.0;
            format!("{} s", plain(seconds))
        }
        Unit::Milliseconds if value.abs() >= 10.0 => format!("{value:.0} ms"),
        Unit::Milliseconds => format!("{} ms", plain((value * 100.0).round() / 100.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::chart::{Axis, Bars, Line, Stroke};

    fn labels(ticks: Vec<Tick>) -> Vec<String> {
        ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn times_have_few_ticks_in_their_own_unit() {
        for (length_s, expected) in [
            (0.3, &["0.0 s", "0.1 s", "0.2 s", "0.3 s"][..]),
            (55.0, &["0 s", "10 s", "20 s", "30 s", "40 s", "50 s"]),
            (
                600.0,
                &["0 min", "2 min", "4 min", "6 min", "8 min", "10 min"],
            ),
            (90_000.0, &["0 h", "6 h", "12 h", "18 h", "24 h"]),
            (0.0, &[]),
            (f64::NAN, &[]),
        ] {
            assert_eq!(labels(time(length_s)), expected, "{length_s}");
        }
        for length_s in [0.05, 1.0, 1e3, 1e5, 1e7, 1e9] {
            assert!(time(length_s).len() <= 7, "{length_s}");
        }
    }

    #[test]
    fn what_cannot_have_been_measured_makes_no_endless_scale() {
        for values in [
            [1.7e308, 5.0],
            [f64::MAX, f64::MIN],
            [f64::INFINITY, 1.0],
            [f64::MIN_POSITIVE, 1e15],
        ] {
            for logarithmic in [false, true] {
                let line = Line {
                    name: String::new(),
                    tint: 0,
                    stroke: Stroke::Solid,
                    points: values.iter().map(|value| (0.0, Some(*value))).collect(),
                };
                let bars = Bars {
                    name: String::new(),
                    tint: 0,
                    values: values.to_vec(),
                };
                let lines = Plot::Lines {
                    logarithmic,
                    series: vec![line],
                };
                let bars = Plot::Bars {
                    width_s: 1.0,
                    series: vec![bars],
                };
                for plot in [lines, bars] {
                    let scale = Scale::of(&Chart {
                        title: String::new(),
                        note: String::new(),
                        axis: Axis::default(),
                        unit: Unit::Milliseconds,
                        plot,
                    });
                    let ticks = scale.ticks(Unit::Milliseconds).len();
                    assert!(ticks <= 13, "{values:?}: {ticks}");
                }
            }
        }
        let endless = Scale::Linear(0.0, f64::INFINITY);
        assert!(endless.ticks(Unit::Count).len() <= 13);
    }

    #[test]
    fn values_have_few_ticks_at_round_numbers() {
        let linear = |least, most, unit| labels(Scale::linear(least, most).ticks(unit));
        assert_eq!(linear(0.0, 0.0, Unit::Count), ["0", "1"]);
        assert_eq!(linear(0.0, 3.0, Unit::Count), ["0", "1", "2", "3"]);
        assert_eq!(linear(0.0, 17.0, Unit::Count), ["0", "5", "10", "15", "20"]);
        assert_eq!(
            linear(-300.0, 900.0, Unit::Bytes),
            ["-500 B", "0 B", "500 B", "1000 B"]
        );
        let powers = Scale::logarithmic([0.4, 13_000.0].into_iter());
        assert_eq!(
            labels(powers.ticks(Unit::Milliseconds)),
            ["0.1 ms", "10 ms", "1 s", "100 s"]
        );
        assert_eq!(powers.height(0.0), None);
        assert_eq!(powers.height(0.1), Some(0.0));
    }
}
