//! What became of a figure, as far as its bounds tell.

use serde::Serialize;

use crate::compare::estimate::Estimate;

/// What became of a figure from one run to the other. Whether more is better is nobody's
/// business here: what is measured is that it is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// After, it is at least more than it was at most before.
    Higher,
    /// After, it is at most less than it was at least before.
    Lower,
    /// Nothing can be said: what it may have been before and what it may be after overlap.
    WithinUncertainty,
    /// It was not measured in one of the runs.
    NotMeasured,
}

impl Change {
    /// By what is known of both.
    pub(crate) fn of(before: Option<Estimate>, after: Option<Estimate>) -> Self {
        let (Some(before), Some(after)) = (before, after) else {
            return Self::NotMeasured;
        };
        if before.at_most.is_some_and(|most| most < after.at_least) {
            Self::Higher
        } else if after.at_most.is_some_and(|most| most < before.at_least) {
            Self::Lower
        } else {
            Self::WithinUncertainty
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(at_least: f64, at_most: Option<f64>) -> Option<Estimate> {
        Some(Estimate {
            value: at_least,
            at_least,
            at_most,
            count: 1,
        })
    }

    #[test]
    fn only_what_lies_apart_has_changed() {
        let before = between(2.0, Some(3.0));
        for (after, expected) in [
            (between(3.1, Some(4.0)), Change::Higher),
            (between(3.1, None), Change::Higher),
            (between(1.0, Some(1.9)), Change::Lower),
            // Where they touch, both may be the same.
            (between(3.0, Some(4.0)), Change::WithinUncertainty),
            (between(1.0, Some(2.0)), Change::WithinUncertainty),
            (between(1.0, None), Change::WithinUncertainty),
            (None, Change::NotMeasured),
        ] {
            assert_eq!(Change::of(before, after), expected, "{after:?}");
        }
        assert_eq!(Change::of(None, before), Change::NotMeasured);
        let open = between(2.0, None);
        assert_eq!(
            Change::of(open, between(9.0, None)),
            Change::WithinUncertainty
        );
    }
}
