//! What a run has to show: sentences, each of them true or not.

use crate::lab::format::known;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) sentence: String,
    pub(super) holds: bool,
    /// What was seen; empty where there is nothing to add.
    pub(super) seen: String,
}

impl Check {
    pub(super) fn words(&self) -> String {
        match self.seen.as_str() {
            "" => self.sentence.clone(),
            seen => format!("{} ({seen})", self.sentence),
        }
    }
}

/// All of a run.
#[derive(Debug, Default)]
pub(super) struct Checks(pub(super) Vec<Check>);

impl Checks {
    pub(super) fn that(&mut self, sentence: &str, holds: bool, seen: impl Into<String>) {
        self.0.push(Check {
            sentence: sentence.to_owned(),
            holds,
            seen: seen.into(),
        });
    }

    /// The first value has to be less than the second; a value that was not measured
    /// is neither. `words` says how such a value is written.
    pub(super) fn less<T: PartialOrd>(
        &mut self,
        sentence: &str,
        one: Option<T>,
        other: Option<T>,
        words: impl Fn(&T) -> String,
    ) {
        let holds = one
            .as_ref()
            .zip(other.as_ref())
            .is_some_and(|(one, other)| one < other);
        let [one, other] = [one, other].map(|it| known(it, |it| words(&it)));
        self.that(sentence, holds, format!("{one}, {other}"));
    }

    pub(super) fn failures(&self) -> Vec<String> {
        self.0
            .iter()
            .filter(|check| !check.holds)
            .map(|check| format!("not true: {}", check.words()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_not_less() {
        let mut checks = Checks::default();
        checks.less("one is less than two", Some(1), Some(2), i32::to_string);
        checks.less("nothing is less than two", None, Some(2), |it| {
            format!("{it} apples")
        });
        checks.that("nothing is to be added", false, "");
        assert_eq!(
            checks.failures(),
            [
                "not true: nothing is less than two (–, 2 apples)",
                "not true: nothing is to be added"
            ]
        );
    }
}
