//! How much a link carries.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;

/// Bits a second, with the names that `tc` has for them.
const UNITS: [(&str, u64); 4] = [
    ("gbit", 1_000_000_000),
    ("mbit", 1_000_000),
    ("kbit", 1_000),
    ("bit", 1),
];

/// Bits a second; at least 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct BitRate(u64);

/// Why the text is no bit rate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BitRateError {
    #[error("rate {0:?} is not a number with a unit; write for example rate=10mbit")]
    Number(String),
    /// Which could be bits or bytes, thousands or millions.
    #[error("rate {0:?} needs a unit: bit, kbit, mbit or gbit a second")]
    NoUnit(String),
    /// Not one of ours: `mbps` means bits to some and bytes to `tc`.
    #[error("rate takes bit, kbit, mbit or gbit a second, not {0:?}")]
    Unit(String),
    #[error("a rate of nothing is a partition; give at least 8bit")]
    Nothing,
    #[error("rate {0:?} is more than can be counted")]
    TooMuch(String),
}

impl BitRate {
    /// Bits a second.
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// Whole bytes a second.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0 / 8
    }
}

impl FromStr for BitRate {
    type Err = BitRateError;

    fn from_str(text: &str) -> Result<Self, BitRateError> {
        let end = text
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let number: f64 = number
            .parse()
            .map_err(|_| BitRateError::Number(text.to_owned()))?;
        let unit = unit.trim();
        if unit.is_empty() {
            return Err(BitRateError::NoUnit(text.to_owned()));
        }
        let (_, size) = UNITS
            .into_iter()
            .find(|(name, _)| *name == unit.to_ascii_lowercase())
            .ok_or_else(|| BitRateError::Unit(unit.to_owned()))?;
        let bits = (number * size as f64).round();
        if bits < 8.0 {
            return Err(BitRateError::Nothing);
        }
        if bits > 1e15 {
            return Err(BitRateError::TooMuch(text.to_owned()));
        }
        // Within 64 bits, by the bounds above.
        Ok(Self(bits as u64))
    }
}

impl fmt::Display for BitRate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS
            .into_iter()
            .find(|(_, size)| self.0.is_multiple_of(*size));
        let (name, size) = whole.unwrap_or(("bit", 1));
        let count = self.0.checked_div(size).unwrap_or(self.0);
        write!(formatter, "{count}{name}")
    }
}
