//! Faults that are made together, on one interface.

use std::fmt;

use tracer_core::report::fault::FaultKind;

use crate::inject::{Draft, FaultSpec, Parameters, SpecError};

/// At least one, each kind at most once, and such that each can show.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults(Vec<FaultSpec>);

impl Faults {
    /// Checks that they go together.
    ///
    /// # Errors
    /// The first two that do not, or that there is none.
    pub fn new(faults: Vec<FaultSpec>) -> Result<Self, SpecError> {
        if faults.is_empty() {
            return Err(SpecError::Nothing);
        }
        let kinds: Vec<FaultKind> = faults.iter().map(FaultSpec::kind).collect();
        for (at, kind) in kinds.iter().enumerate() {
            if kinds[..at].contains(kind) {
                return Err(SpecError::Twice { kind: kind.name() });
            }
        }
        if kinds.contains(&FaultKind::Partition)
            && let Some(other) = kinds.iter().find(|kind| **kind != FaultKind::Partition)
        {
            return Err(SpecError::NothingLeft {
                other: other.name(),
            });
        }
        if kinds.contains(&FaultKind::Reorder) && !kinds.contains(&FaultKind::Delay) {
            return Err(SpecError::NoDelay);
        }
        Ok(Self(faults))
    }

    /// From what was typed: faults, and options for what they leave open.
    pub(crate) fn from_drafts(
        mut drafts: Vec<Draft>,
        options: &Parameters,
    ) -> Result<Self, SpecError> {
        let mut taken = Vec::new();
        for draft in &mut drafts {
            taken.extend(draft.fill(options));
        }
        if let Some(option) = options.given().find(|name| !taken.contains(name)) {
            return Err(SpecError::Unused {
                option,
                faults: drafts.iter().map(|draft| draft.kind.name()).collect(),
            });
        }
        let faults = drafts.iter().map(Draft::finish);
        Self::new(faults.collect::<Result<_, _>>()?)
    }

    /// Each of them, in the order in which they were given.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &FaultSpec> {
        self.0.iter()
    }

    /// Whether this is a partition.
    pub(crate) fn is_partition(&self) -> bool {
        self.0 == [FaultSpec::Partition]
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<String> = self.iter().map(ToString::to_string).collect();
        formatter.write_str(&faults.join(" + "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn together(texts: &[&str]) -> Result<String, String> {
        let faults = texts.iter().map(|text| text.parse().unwrap()).collect();
        Faults::new(faults)
            .map(|faults| faults.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_goes_together() {
        assert_eq!(
            together(&["delay=20ms", "reorder=25%", "loss=1%"]).unwrap(),
            "delay=20ms + reorder=25% + loss=1%"
        );
        assert_eq!(together(&["partition"]).unwrap(), "partition");
    }

    #[test]
    fn what_does_not() {
        for (texts, fragment) in [
            (&[][..], "no fault is given"),
            (&["loss=1%", "loss=2%"], "loss is given twice"),
            (&["loss=1%", "partition"], "leaves nothing for loss"),
            (&["reorder=5%"], "it needs a delay"),
        ] {
            let error = together(texts).unwrap_err();
            assert!(error.contains(fragment), "{texts:?}: {error}");
        }
    }

    #[test]
    fn an_option_for_nobody_is_a_mistake() {
        let options = Parameters::new([
            ("percent", None),
            ("correlation", None),
            ("jitter", Some("5ms")),
            ("distribution", None),
        ]);
        let drafts = vec!["loss=1%".parse().unwrap()];
        let error = Faults::from_drafts(drafts, &options).unwrap_err();
        assert_eq!(error.to_string(), "--jitter means nothing to loss");
    }
}
