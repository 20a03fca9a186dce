//! What a run has to show: sentences, each of them true or not.

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    /// What has to be so.
    pub(super) sentence: String,
    /// Whether it was.
    pub(super) holds: bool,
    /// What was seen.
    pub(super) seen: String,
}

/// All of a run.
#[derive(Debug, Default)]
pub(super) struct Checks(pub(super) Vec<Check>);

impl Checks {
    /// Notes whether it was so.
    pub(super) fn that(&mut self, sentence: &str, holds: bool, seen: impl Into<String>) {
        self.0.push(Check {
            sentence: sentence.to_owned(),
            holds,
            seen: seen.into(),
        });
    }

    /// The first value has to be less than the second; a value that was not measured
    /// is neither.
    pub(super) fn less<T: PartialOrd + std::fmt::Debug>(
        &mut self,
        sentence: &str,
        one: Option<T>,
        other: Option<T>,
    ) {
        let holds = match (&one, &other) {
            (Some(one), Some(other)) => one < other,
            _ => false,
        };
        let words = |value: Option<T>| value.map_or_else(|| "–".to_owned(), |it| format!("{it:?}"));
        self.that(sentence, holds, format!("{}, {}", words(one), words(other)));
    }

    /// What was not so.
    pub(super) fn failures(&self) -> Vec<String> {
        self.0
            .iter()
            .filter(|check| !check.holds)
            .map(|check| format!("not true: {} ({})", check.sentence, check.seen))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_not_less() {
        let mut checks = Checks::default();
        checks.less("one is less than two", Some(1), Some(2));
        checks.less("nothing is less than two", None, Some(2));
        assert_eq!(
            checks.failures(),
            ["not true: nothing is less than two (–, 2)"]
        );
    }
}
