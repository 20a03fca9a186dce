//! What `--fail-if` asks of two runs: `METRIC OP [+-]NUMBER[%|us|ms|s]`.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod error;
mod limit;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::compare::condition::limit::Limit;
use crate::compare::estimate::Estimate;
use crate::compare::metric::{Metric, NoMetric};

pub use crate::compare::condition::error::ConditionError;

/// A condition on the figure of the run after.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    /// Which figure.
    pub metric: Metric,
    comparator: Comparator,
    limit: Limit,
}

/// On which side of its limit the figure is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparator {
    Above,
    AtLeast,
    Below,
    AtMost,
}

/// Whether a condition is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionOutcome {
    /// It is not, whatever the figures are within their bounds.
    NotMet,
    /// By some of what the figures may be it is, and by some it is not.
    Possible,
    /// It is, whatever they are within their bounds.
    Met,
}

impl Comparator {
    /// Those that begin with another one come first.
    const ALL: [Self; 4] = [Self::AtLeast, Self::AtMost, Self::Above, Self::Below];

    const fn name(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
        }
    }
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let given = || text.to_owned();
        let other_form = || ConditionError::Form(given());
        let trimmed = text.trim_matches(' ');
        let operator = trimmed.find(['<', '>']).ok_or_else(other_form)?;
        let (name, rest) = trimmed.split_at(operator);
        let read = |one: Comparator| Some((one, rest.strip_prefix(one.name())?));
        let (comparator, limit) = Comparator::ALL
            .into_iter()
            .find_map(read)
            .ok_or_else(other_form)?;
        let limit = Limit::read(limit.trim_start_matches(' ')).ok_or_else(other_form)?;
        let name = name.trim_end_matches(' ');
        if name.is_empty() {
            return Err(other_form());
        }
        let metric: Metric = name.parse().map_err(|NoMetric| ConditionError::Unknown {
            given: given(),
            name: name.to_owned(),
            close: Metric::close_to(name),
        })?;
        limit
            .suits(metric.unit())
            .map_err(|takes| ConditionError::Unit {
                given: given(),
                metric: metric.to_string(),
                takes,
            })?;
        if limit.is_below_nothing() {
            return Err(ConditionError::BelowNothing(given()));
        }
        Ok(Self {
            metric,
            comparator,
            limit,
        })
    }
}

impl fmt::Display for Condition {
    /// As it can be typed.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (metric, comparator) = (self.metric, self.comparator.name());
        write!(to, "{metric} {comparator} {}", self.limit)
    }
}

impl Condition {
    /// Whether it is met by these figures, whatever they are within their bounds.
    #[must_use]
    pub(crate) fn outcome(&self, before: &Estimate, after: &Estimate) -> ConditionOutcome {
        // The limit grows with what it is taken of, and so is between these.
        let least = self.limit.at(before.at_least);
        let most = match before.at_most {
            Some(most) => Some(self.limit.at(most)),
            None => self.limit.is_fixed().then_some(least),
        };
        let above = |is: fn(&f64, &f64) -> bool| {
            let all = most.is_some_and(|most| is(&after.at_least, &most));
            let none = after.at_most.is_some_and(|at_most| !is(&at_most, &least));
            (all, none)
        };
        let below = |is: fn(&f64, &f64) -> bool| {
            let all = after.at_most.is_some_and(|at_most| is(&at_most, &least));
            let none = most.is_some_and(|most| !is(&after.at_least, &most));
            (all, none)
        };
        let (is_certain, is_impossible) = match self.comparator {
            Comparator::Above => above(f64::gt),
            Comparator::AtLeast => above(f64::ge),
            Comparator::Below => below(f64::lt),
            Comparator::AtMost => below(f64::le),
        };
        match (is_certain, is_impossible) {
            (true, _) => ConditionOutcome::Met,
            (_, true) => ConditionOutcome::NotMet,
            (false, false) => ConditionOutcome::Possible,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> Condition {
        text.parse().unwrap()
    }

    fn refused(text: &str) -> String {
        text.parse::<Condition>().unwrap_err().to_string()
    }

    fn between(at_least: f64, at_most: f64) -> Estimate {
        Estimate {
            at_most: Some(at_most),
            ..from(at_least)
        }
    }

    /// Without an upper bound.
    fn from(at_least: f64) -> Estimate {
        Estimate {
            value: at_least,
            at_least,
            at_most: None,
            count: 1,
        }
    }

    #[test]
    fn what_is_shown_of_a_condition_can_be_typed() {
        for (typed, shown) in [
            ("commits.p99 > +20%", "commits.p99 > +20%"),
            ("commits.p99>+20%", "commits.p99 > +20%"),
            ("  commits.p50  <=  1.50ms ", "commits.p50 <= 1.5ms"),
            ("stage.remote.max >= -5us", "stage.remote.max >= -5us"),
            ("commits.rate < 100", "commits.rate < 100"),
            ("commits.rate < -0.5", "commits.rate < -0.5"),
            ("retransmits.share > 1%", "retransmits.share > 1%"),
            ("findings.came > 0", "findings.came > 0"),
            ("probe.reads.p95 > 2s", "probe.reads.p95 > 2s"),
            (
                "commits.p99 > 999999999.999999s",
                "commits.p99 > 999999999.999999s",
            ),
        ] {
            let condition = condition(typed);
            assert_eq!(condition.to_string(), shown);
            assert_eq!(shown.parse::<Condition>(), Ok(condition));
        }
    }

    #[test]
    fn what_has_another_form_is_refused_with_an_example() {
        for text in [
            "",
            "commits.p99",
            "> 20%",
            "commits.p99 >",
            "commits.p99 > +",
            "commits.p99 > %",
            "commits.p99 = 3ms",
            "commits.p99 >> 3ms",
            "commits.p99 > 3 ms",
            "commits.p99 > 3ms or so",
            "commits.p99 > ++3ms",
            "commits.p99 > 1e3ms",
            "commits.p99 > .5ms",
            "commits.p99 > 5.ms",
            "commits.p99 > 0,5ms",
            "commits.p99 > infms",
            "commits.p99 > 3m",
            "commits.p99 > 3µs",
            "commits.p99 > 1234567890ms",
            "commits.p99\t> 3ms",
        ] {
            let line = refused(text);
            let is_form = line.contains("METRIC OP NUMBER");
            // A tab is none of the spaces that are passed over.
            let is_name = line.contains("there is no metric");
            assert!(is_form || is_name && text.contains('\t'), "{text}: {line}");
            assert!(line.contains(&format!("`{text}`")), "{line}");
        }
    }

    #[test]
    fn of_an_unknown_metric_those_are_told_that_are_close() {
        let line = refused("commits.p98 > +20%");
        assert!(line.contains("no metric `commits.p98`"), "{line}");
        assert!(
            line.contains("did you mean `commits.p95` or `commits.p99`"),
            "{line}"
        );
        let line = refused("nonsense > 3");
        assert!(
            line.ends_with("`tracer compare --help` names all of them"),
            "{line}"
        );
    }

    #[test]
    fn a_number_of_something_else_is_refused() {
        for (text, words) in [
            ("commits.p99 > 20%", "a time (`> 50ms`)"),
            ("commits.p99 > 3", "a time (`> 50ms`)"),
            ("commits.rate > 3ms", "a number (`> 3`)"),
            ("commits.rate < 20%", "a number (`> 3`)"),
            ("findings > 1ms", "a number (`> 3`)"),
            ("retransmits.share > 0.01", "a share in per cent"),
            ("retransmits.share > +1ms", "a share in per cent"),
        ] {
            let line = refused(text);
            assert!(line.contains(words), "{line}");
        }
        let line = refused("commits.p99 < -101%");
        assert!(
            line.contains("nothing is less by more than 100 %"),
            "{line}"
        );
        assert!("commits.p99 < -100%".parse::<Condition>().is_ok());
    }

    #[test]
    fn only_what_holds_for_all_bounds_is_met() {
        use ConditionOutcome::{Met, NotMet, Possible};
        let before = between(2.0, 3.0);
        for (text, after, expected) in [
            // The limit is between 2.4 and 3.6 ms.
            ("commits.p99 > +20%", between(3.7, 5.0), Met),
            ("commits.p99 > +20%", between(3.5, 5.0), Possible),
            ("commits.p99 > +20%", between(1.0, 2.5), Possible),
            ("commits.p99 > +20%", between(1.0, 2.3), NotMet),
            ("commits.p99 > +20%", from(3.7), Met),
            ("commits.p99 > +20%", from(1.0), Possible),
            // Between 1 and 2 ms.
            ("commits.p99 < -1ms", between(0.5, 0.9), Met),
            ("commits.p99 < -1ms", between(0.5, 1.5), Possible),
            ("commits.p99 < -1ms", between(2.0, 2.5), NotMet),
            ("commits.p99 < -1ms", from(0.5), Possible),
            // Itself.
            ("commits.p99 > 4ms", between(4.1, 5.0), Met),
            ("commits.p99 > 4ms", between(3.9, 5.0), Possible),
            ("commits.p99 > 4ms", between(3.0, 4.0), NotMet),
            ("commits.p99 >= 4ms", between(4.0, 5.0), Met),
            ("commits.p99 >= 4ms", between(3.0, 4.0), Possible),
            ("commits.p99 <= 4ms", between(3.0, 4.0), Met),
            ("commits.p99 > 4000us", between(4.1, 5.0), Met),
            ("commits.p99 > 1s", between(4.1, 5.0), NotMet),
        ] {
            let found = condition(text).outcome(&before, &after);
            assert_eq!(found, expected, "{text}: {after:?}");
        }
    }

    #[test]
    fn what_had_no_upper_bound_before_cannot_be_exceeded_for_certain() {
        let before = from(2.0);
        let after = between(100.0, 200.0);
        let outcome = |text: &str| condition(text).outcome(&before, &after);
        assert_eq!(outcome("commits.max > +20%"), ConditionOutcome::Possible);
        // What is not taken of it can be.
        assert_eq!(outcome("commits.max > 50ms"), ConditionOutcome::Met);
        assert_eq!(outcome("commits.max > -100%"), ConditionOutcome::Met);
    }

    #[test]
    fn shares_and_counts_are_compared_likewise() {
        let share = |value: f64| between(value, value);
        let outcome = |text: &str, before, after| condition(text).outcome(&before, &after);
        let met = ConditionOutcome::Met;
        assert_eq!(
            outcome("retransmits.share > 1%", share(0.0), share(0.02)),
            met
        );
        assert_eq!(
            outcome("retransmits.share > +50%", share(0.01), share(0.02)),
            met
        );
        let (one, two) = (Estimate::exact(1), Estimate::exact(2));
        assert_eq!(outcome("findings > +0", one, two), met);
        assert_eq!(outcome("findings > +0", two, two), ConditionOutcome::NotMet);
        assert_eq!(outcome("findings >= +0", two, two), met);
    }
}
