//! What a figure is held against: `[+-]NUMBER[%|us|ms|s]`.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::fmt;

use crate::compare::metric::MetricUnit;

/// As many digits may stand before the point, and as many behind it: with more, a number is
/// not kept as it was typed.
const MAX_DIGITS: [usize; 2] = [9, 6];

/// With a sign, the figure of the run before and so much more or less; without one, the number
/// itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limit {
    sign: Option<LimitSign>,
    number: f64,
    unit: LimitUnit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LimitSign {
    More,
    Less,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LimitUnit {
    Plain,
    Percent,
    Microseconds,
    Milliseconds,
    Seconds,
}

impl LimitUnit {
    const ALL: [Self; 5] = [
        Self::Plain,
        Self::Percent,
        Self::Microseconds,
        Self::Milliseconds,
        Self::Seconds,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Percent => "%",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
        }
    }

    /// How much of a metric's own unit it is: of ms, or of all.
    const fn size(self) -> f64 {
        match self {
            Self::Plain | Self::Milliseconds => 1.0,
            Self::Percent => 0.01,
            Self::Microseconds => 0.001,
            Self::Seconds => 1_000.0,
        }
    }

    const fn is_time(self) -> bool {
        matches!(
            self,
            Self::Microseconds | Self::Milliseconds | Self::Seconds
        )
    }
}

impl Limit {
    /// `None` if it is not `[+-]NUMBER[UNIT]`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (sign, rest) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(rest), _) => (Some(LimitSign::More), rest),
            (_, Some(rest)) => (Some(LimitSign::Less), rest),
            (None, None) => (None, text),
        };
        let is_other = |one: char| !one.is_ascii_digit() && one != '.';
        let end = rest.find(is_other).unwrap_or(rest.len());
        let (number, unit) = rest.split_at(end);
        let mut units = LimitUnit::ALL.into_iter();
        Some(Self {
            sign,
            number: number_of(number)?,
            unit: units.find(|one| one.name() == unit)?,
        })
    }

    /// Whether a figure of this unit can be compared with it; if not, with what it can.
    pub(super) fn suits(&self, unit: MetricUnit) -> Result<(), &'static str> {
        let is_share = self.unit == LimitUnit::Percent;
        let is_signed = self.sign.is_some();
        let (suits, takes) = match unit {
            MetricUnit::Ms => (
                self.unit.is_time() || is_share && is_signed,
                "a time (`> 50ms`), with a time more or less than before (`> +5ms`), or with a share of that (`> +20%`)",
            ),
            MetricUnit::PerS | MetricUnit::Count => (
                self.unit == LimitUnit::Plain || is_share && is_signed,
                "a number (`> 3`), with so many more or less than before (`> +1`), or with a share of that (`> +20%`)",
            ),
            MetricUnit::Share => (
                is_share,
                "a share in per cent (`> 1%`), or with a share more or less of what it was before (`> +20%`)",
            ),
        };
        match suits {
            true => Ok(()),
            false => Err(takes),
        }
    }

    /// Whether it is the same whatever the figure was before.
    pub(super) fn is_fixed(&self) -> bool {
        self.sign.is_none() || self.at(0.0) == self.at(1.0)
    }

    /// Whether it would be below nothing, as less by more than all of it is.
    pub(super) fn is_below_nothing(&self) -> bool {
        let is_less = self.sign == Some(LimitSign::Less);
        is_less && self.unit == LimitUnit::Percent && self.number > 100.0
    }

    /// What it is where the figure was so much before.
    pub(super) fn at(&self, before: f64) -> f64 {
        let amount = self.number * self.unit.size();
        match (self.sign, self.unit) {
            (None, _) => amount,
            (Some(LimitSign::More), LimitUnit::Percent) => before * (1.0 + amount),
            (Some(LimitSign::Less), LimitUnit::Percent) => before * (1.0 - amount),
            (Some(LimitSign::More), _) => before + amount,
            (Some(LimitSign::Less), _) => before - amount,
        }
    }
}

impl fmt::Display for Limit {
    /// As it can be typed.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.sign {
            Some(LimitSign::More) => "+",
            Some(LimitSign::Less) => "-",
            None => "",
        };
        write!(to, "{sign}{}{}", self.number, self.unit.name())
    }
}

/// `None` if it is no plain decimal number.
fn number_of(text: &str) -> Option<f64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let is_number = |digits: &str, most: usize| {
        !digits.is_empty()
            && digits.len() <= most
            && digits.bytes().all(|digit| digit.is_ascii_digit())
    };
    let [most_whole, most_fraction] = MAX_DIGITS;
    let is_right = is_number(whole, most_whole)
        && fraction.is_none_or(|fraction| is_number(fraction, most_fraction));
    is_right.then(|| text.parse().ok()).flatten()
}
