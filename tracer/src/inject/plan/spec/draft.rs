//! A fault as it is typed, before it is complete.

use std::str::FromStr;
use std::time::Duration;

use tracer_core::report::fault::FaultKind;
use tracer_core::report::percent::Percent;

use crate::inject::plan::spec::{Delay, FaultSpec, SpecError};
use crate::inject::{BitRate, Correlation, Share};
use crate::kernel::tc::Distribution;
use crate::time;

/// The option for the amount of a fault that says none.
const PERCENT: &str = "percent";
/// netem's queue would hold everything that is sent meanwhile.
const MAX_DELAY: Duration = Duration::from_secs(600);

/// A kind, and what is known of the rest. Options of a command line may fill in
/// what the text leaves open: see [`Draft::fill`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    /// Which kind it is.
    pub kind: FaultKind,
    amount: Option<String>,
    parameters: Parameters,
}

/// What can stand behind the amount, by its name. All text, as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters(Vec<(&'static str, String)>);

impl Draft {
    /// Takes over what the text leaves open and this kind has a use for. Returns
    /// the names of what it took.
    pub(crate) fn fill(&mut self, from: &Parameters) -> Vec<&'static str> {
        let mut taken = Vec::new();
        if let (true, None, Some(percent)) =
            (self.kind.has_share(), &self.amount, from.get(PERCENT))
        {
            self.amount = Some(percent.to_owned());
            taken.push(PERCENT);
        }
        for name in names(self.kind) {
            if let (None, Some(value)) = (self.parameters.get(name), from.get(name)) {
                self.parameters.0.push((name, value.to_owned()));
                taken.push(name);
            }
        }
        taken
    }

    /// The fault that was meant.
    pub(crate) fn finish(&self) -> Result<FaultSpec, SpecError> {
        if self.kind == FaultKind::Partition {
            return match self.amount {
                None => Ok(FaultSpec::Partition),
                Some(_) => Err(SpecError::NoUse {
                    kind: self.kind.name(),
                    what: "amount".to_owned(),
                    takes: String::new(),
                }),
            };
        }
        let example = self.kind.example();
        let kind = self.kind.name();
        let amount = self
            .amount
            .as_deref()
            .ok_or(SpecError::NoAmount { kind, example })?;
        let share = |to: fn(Share) -> FaultSpec| {
            Ok(to(Share {
                percent: percent(self.kind, amount)?,
                correlation: self.correlation()?,
            }))
        };
        match self.kind {
            FaultKind::Corrupt => share(FaultSpec::Corrupt),
            FaultKind::Loss => share(FaultSpec::Loss),
            FaultKind::Duplicate => share(FaultSpec::Duplicate),
            FaultKind::Reorder => share(FaultSpec::Reorder),
            FaultKind::Delay => self.delay(amount).map(FaultSpec::Delay),
            FaultKind::Rate | FaultKind::Partition => amount
                .parse::<BitRate>()
                .map(FaultSpec::Rate)
                .map_err(SpecError::from),
        }
    }

    fn delay(&self, mean: &str) -> Result<Delay, SpecError> {
        let mean = duration("delay", mean)?;
        let jitter = match self.parameters.get("jitter") {
            Some(text) => duration("jitter", text)?,
            None => Duration::ZERO,
        };
        if jitter > mean {
            return Err(SpecError::Jitter { mean, jitter });
        }
        let shape = |text: &str| {
            let name = text.to_owned();
            let shape = text.parse::<Distribution>();
            shape.map_err(|()| SpecError::Distribution { name })
        };
        let distribution = self.parameters.get("distribution").map(shape).transpose()?;
        let correlation = self.correlation()?;
        if jitter.is_zero() {
            let what = match (distribution, correlation) {
                (Some(_), _) => "distribution",
                (_, Some(_)) => "correlation",
                (None, None) => "",
            };
            if !what.is_empty() {
                return Err(SpecError::NeedsJitter { what });
            }
        }
        Ok(Delay {
            mean,
            jitter,
            distribution,
            correlation,
        })
    }

    fn correlation(&self) -> Result<Option<Correlation>, SpecError> {
        let Some(text) = self.parameters.get("correlation") else {
            return Ok(None);
        };
        let value = number(self.kind, text)?;
        if value == 0.0 {
            return Ok(None);
        }
        Correlation::new(value)
            .map(Some)
            .ok_or_else(|| SpecError::Correlation {
                text: text.to_owned(),
            })
    }
}

impl FromStr for Draft {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        no_decimal_comma(text)?;
        let mut parts = text.split(',').map(str::trim);
        let first = parts.next().unwrap_or_default();
        let end = first
            .find(|c: char| c == '=' || c.is_whitespace())
            .unwrap_or(first.len());
        let (name, rest) = first.split_at(end);
        let rest = rest.trim();
        let amount = rest.strip_prefix('=').unwrap_or(rest).trim();
        let kind = FaultKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| SpecError::Kind {
                name: name.to_owned(),
            })?;
        let mut draft = Self {
            kind,
            amount: (!amount.is_empty()).then(|| amount.to_owned()),
            parameters: Parameters::default(),
        };
        for part in parts {
            draft.add(part)?;
        }
        Ok(draft)
    }
}

impl Draft {
    /// One `name=value` behind the amount.
    fn add(&mut self, part: &str) -> Result<(), SpecError> {
        let kind = self.kind.name();
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let (name, value) = (name.trim(), value.trim());
        let known = names(self.kind);
        let Some(parameter) = known.iter().find(|one| **one == name) else {
            return Err(SpecError::NoUse {
                kind,
                what: name.to_owned(),
                takes: match known {
                    [] => String::new(),
                    names => format!("; it takes {}", names.join(", ")),
                },
            });
        };
        let name = name.to_owned();
        if value.is_empty() {
            return Err(SpecError::NoValue { kind, name });
        }
        if self.parameters.get(parameter).is_some() {
            return Err(SpecError::Repeated { kind, name });
        }
        self.parameters.0.push((parameter, value.to_owned()));
        Ok(())
    }
}

/// What can stand behind the amount of this kind.
const fn names(kind: FaultKind) -> &'static [&'static str] {
    match kind {
        FaultKind::Delay => &["jitter", "distribution", "correlation"],
        FaultKind::Rate | FaultKind::Partition => &[],
        _ => &["correlation"],
    }
}

impl Parameters {
    /// Those that are given.
    pub(crate) fn new(options: [(&'static str, Option<&str>); 4]) -> Self {
        let given = |(name, value): (&'static str, Option<&str>)| Some((name, value?.to_owned()));
        Self(options.into_iter().filter_map(given).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        let mut given = self.0.iter();
        given.find_map(|(one, value)| (*one == name).then_some(value.as_str()))
    }

    /// The names of those that are given.
    pub(crate) fn given(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }
}

/// A comma separates parameters, each of which begins with its name: one with a
/// digit on either side was meant as a decimal point.
fn no_decimal_comma(text: &str) -> Result<(), SpecError> {
    let values = text.split(|c: char| c == '=' || c.is_whitespace());
    for value in values {
        // `jitter` of `delay=0,5s,jitter=…` is the name of the next parameter.
        let end = value.match_indices(',').nth(1).map(|(at, _)| at);
        let given = value.get(..end.unwrap_or(value.len())).unwrap_or(value);
        if let Some(better) = time::decimal_point(given) {
            return Err(SpecError::DecimalComma {
                given: given.to_owned(),
                better,
            });
        }
    }
    Ok(())
}

fn percent(kind: FaultKind, text: &str) -> Result<Percent, SpecError> {
    let value = number(kind, text)?;
    Percent::new(value).ok_or_else(|| SpecError::Range {
        text: text.trim_end_matches('%').trim().to_owned(),
    })
}

/// A number of per cent, with its sign or without.
fn number(kind: FaultKind, text: &str) -> Result<f64, SpecError> {
    no_decimal_comma(text)?;
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let value = number.parse().map_err(|_| SpecError::Number {
        text: text.to_owned(),
        example: kind.example(),
    })?;
    match unit.trim() {
        "" | "%" => Ok(value),
        unit => Err(SpecError::Unit {
            kind: kind.name(),
            example: kind.example(),
            unit: unit.to_owned(),
        }),
    }
}

/// With a unit: a number alone is milliseconds to `tc` and its like, and seconds to
/// this tool's other options, and a fault a thousand times too long is an outage.
fn duration(what: &'static str, text: &str) -> Result<Duration, SpecError> {
    no_decimal_comma(text)?;
    let given = text.to_owned();
    if time::lacks_unit(text) {
        return Err(SpecError::NoTimeUnit { what, text: given });
    }
    let Some(duration) = time::parse(text) else {
        return Err(SpecError::Time { what, text: given });
    };
    if duration > MAX_DELAY {
        return Err(SpecError::TooLong { what, text: given });
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let draft = text.parse::<Draft>();
        draft
            .and_then(|draft| draft.finish())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_time_without_a_unit_is_refused_as_a_rate_is() {
        for (text, words) in [
            ("delay=100", "delay=100ms or delay=100s"),
            ("delay 0.5", "delay=0.5ms or delay=0.5s"),
            ("delay=100ms,jitter=20", "jitter=20ms or jitter=20s"),
            ("rate=10", "needs a unit"),
        ] {
            let error = refused(text);
            assert!(error.contains("needs a unit"), "{text}: {error}");
            assert!(error.contains(words), "{text}: {error}");
        }
        let options = Parameters(vec![("jitter", "20".to_owned())]);
        let mut draft: Draft = "delay=100ms".parse().unwrap();
        draft.fill(&options);
        let error = draft.finish().unwrap_err().to_string();
        assert!(error.contains("jitter \"20\" needs a unit"), "{error}");
    }

    #[test]
    fn a_decimal_comma_is_called_one() {
        for (text, better) in [
            ("delay=0,5s", "0.5s"),
            ("delay=0,5s,jitter=1ms", "0.5s"),
            ("delay=100ms,jitter=0,5ms", "0.5ms"),
            ("delay 1,5", "1.5"),
            ("corrupt=12,5%", "12.5%"),
            ("loss=0,1%,correlation=25%", "0.1%"),
            ("loss=1%,correlation=12,5%", "12.5%"),
            ("rate=1,5mbit", "1.5mbit"),
            ("partition=0,5", "0.5"),
        ] {
            let error = refused(text);
            let words = format!("write a decimal point: {better}");
            assert!(error.contains(&words), "{text}: {error}");
        }
        // Behind a unit it is a parameter whose name is missing.
        for text in ["delay=100ms,20ms", "loss=1%,25%"] {
            let error = refused(text);
            assert!(error.contains("takes no 2"), "{text}: {error}");
        }
        let percent = |percent: &str| {
            let options = Parameters(vec![("percent", percent.to_owned())]);
            let mut draft: Draft = "corrupt".parse().unwrap();
            draft.fill(&options);
            draft.finish()
        };
        let error = percent("12,5").unwrap_err().to_string();
        assert!(error.contains("write a decimal point: 12.5"), "{error}");
        assert!(percent("12.5").is_ok());
    }

    #[test]
    fn options_fill_what_is_open_and_nothing_else() {
        let options = Parameters::new([
            ("percent", Some("50")),
            ("correlation", Some("25%")),
            ("jitter", Some("5ms")),
            ("distribution", None),
        ]);
        let filled = |text: &str| {
            let mut draft: Draft = text.parse().unwrap();
            let taken = draft.fill(&options);
            (taken, draft.finish().unwrap().to_string())
        };
        assert_eq!(
            filled("corrupt"),
            (
                vec!["percent", "correlation"],
                "corrupt=50%,correlation=25%".to_owned()
            )
        );
        assert_eq!(
            filled("loss=1%,correlation=3%"),
            (vec![], "loss=1%,correlation=3%".to_owned())
        );
        assert_eq!(
            filled("delay=10ms"),
            (
                vec!["jitter", "correlation"],
                "delay=10ms,jitter=5ms,correlation=25%".to_owned()
            )
        );
        assert_eq!(filled("partition"), (vec![], "partition".to_owned()));
        let given: Vec<_> = options.given().collect();
        assert_eq!(given, ["percent", "correlation", "jitter"]);
    }
}
