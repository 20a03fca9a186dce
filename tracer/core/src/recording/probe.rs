//! What came of the commit probe.

use std::num::NonZeroU32;

use super::latency::Total;

/// The most requests a second.
pub const MAX_RATE: u32 = 1_000;

/// Requests a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(NonZeroU32);

/// A rate that cannot be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a rate: give whole commits a second, from 1 to {MAX_RATE}")]
pub struct RateError(String);

impl std::str::FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let rate: Option<NonZeroU32> = text.parse().ok();
        rate.filter(|rate| rate.get() <= MAX_RATE)
            .map(Self)
            .ok_or_else(|| RateError(text.escape_debug().to_string()))
    }
}

impl Rate {
    /// Requests a second.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// When a request is due, ns after the beginning.
    #[must_use]
    pub fn due_ns(self, number: u64) -> u64 {
        let due = u128::from(number) * 1_000_000_000 / u128::from(self.get());
        u64::try_from(due).unwrap_or(u64::MAX)
    }
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Commits a second, and as many reads.
    pub rate: Rate,
}

/// How many connections the probe may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// For commits.
    pub commits: usize,
    /// For reads.
    pub reads: usize,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What was asked for.
    pub plan: Plan,
    /// When the first commit was due, ns of `CLOCK_MONOTONIC`; `None` if none could be.
    pub begun_ns: Option<u64>,
    /// The most requests that could be in flight at once.
    pub most: Allowance,
    /// Commits.
    pub commits: Total,
    /// Reads.
    pub reads: Total,
    /// What to know.
    pub warnings: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_the_rate_for_ever() {
        let rate: Rate = "3".parse().unwrap();
        assert_eq!(rate.due_ns(0), 0);
        assert_eq!(rate.due_ns(1), 333_333_333);
        assert_eq!(rate.due_ns(3_000_000_000), 1_000_000_000_000_000_000);
    }

    #[test]
    fn a_rate_is_a_whole_number_within_reason() {
        for wrong in ["", "0", "-1", "1001", "1.5", "fast", "\u{1b}"] {
            let message = wrong.parse::<Rate>().unwrap_err().to_string();
            assert!(!message.contains('\u{1b}'), "{message}");
        }
        assert_eq!("1000".parse::<Rate>().unwrap().get(), 1000);
    }
}
