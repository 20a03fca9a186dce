//! A figure as far as a report shows it: its value, and what bounds it.

use serde::Serialize;

/// A figure of one run, in the unit of its metric. The bounds are those of what the run is a
/// sample of, with the confidence of the comparison; they hold the value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// As the run measured it.
    pub value: f64,
    /// What it is at least.
    pub at_least: f64,
    /// What it is at most; `null` where nothing bounds it.
    pub at_most: Option<f64>,
    /// Of how many commits, waits, messages, requests, segments or findings it is known.
    pub count: u64,
}

impl Estimate {
    /// What was counted and is the sample of nothing.
    pub(crate) const fn exact(count: u64) -> Self {
        let value = count as f64;
        Self {
            value,
            at_least: value,
            at_most: Some(value),
            count,
        }
    }

    /// A share, which is never more than all.
    pub(crate) fn of_all(self) -> Self {
        Self {
            at_most: self.at_most.map(|most| most.min(1.0).max(self.value)),
            ..self
        }
    }

    /// That of something of which so much was there; `None` where that is nothing, or not
    /// known.
    pub(crate) fn per(self, amount: f64) -> Option<Self> {
        (amount > 0.0 && amount.is_finite()).then(|| Self {
            value: self.value / amount,
            at_least: self.at_least / amount,
            at_most: self.at_most.map(|most| most / amount),
            count: self.count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_nothing_there_is_no_rate() {
        let counted = Estimate::exact(6);
        assert_eq!(counted.per(2.0).map(|one| one.value), Some(3.0));
        for amount in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(counted.per(amount), None, "{amount}");
        }
    }
}
