//! A fault as it is typed, before it is complete.

use std::{str::FromStr, time::Duration};

use super::{Delay, FaultKind, FaultSpec, SpecError};
use crate::inject::{BitRate, Correlation, Percent, Share};
use crate::kernel::tc::Distribution;
use crate::time;

/// netem's queue would hold everything that is sent meanwhile.
const LONGEST: Duration = Duration::from_secs(600);

/// A kind, and what is known of the rest. Options of a command line may fill in
/// what the text leaves open: see [`Draft::fill`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Which kind it is.
    pub kind: FaultKind,
    amount: Option<String>,
    parameters: Parameters,
}

/// What can stand behind the amount. All text, as it was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// How many packets, where the fault says none.
    pub percent: Option<String>,
    /// By how much one packet's luck depends on the one before, per cent.
    pub correlation: Option<String>,
    /// By how much a delay varies.
    pub jitter: Option<String>,
    /// How it varies.
    pub distribution: Option<String>,
}

impl Draft {
    /// Takes over what the text leaves open and this kind has a use for. Returns
    /// the names of what it took.
    pub fn fill(&mut self, from: &Parameters) -> Vec<&'static str> {
        let mut taken = Vec::new();
        let mut take = |name, to: &mut Option<String>, from: &Option<String>| {
            if to.is_none() && from.is_some() {
                to.clone_from(from);
                taken.push(name);
            }
        };
        if self.kind.has_share() {
            take("percent", &mut self.amount, &from.percent);
        }
        for name in names(self.kind) {
            let Some((to, from)) = self.parameters.slot(name).zip(from.get(name)) else {
                continue;
            };
            take(name, to, from);
        }
        taken
    }

    /// The fault that was meant.
    ///
    /// # Errors
    /// The first thing that is missing or makes no sense.
    pub fn finish(&self) -> Result<FaultSpec, SpecError> {
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
        let jitter = match &self.parameters.jitter {
            Some(text) => duration("jitter", text)?,
            None => Duration::ZERO,
        };
        if jitter > mean {
            return Err(SpecError::Jitter { mean, jitter });
        }
        let distribution = match &self.parameters.distribution {
            Some(text) => Some(
                text.parse::<Distribution>()
                    .map_err(|()| SpecError::Distribution { name: text.clone() })?,
            ),
            None => None,
        };
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
        let Some(text) = &self.parameters.correlation else {
            return Ok(None);
        };
        let value = number(self.kind, text)?;
        if value == 0.0 {
            return Ok(None);
        }
        Correlation::new(value)
            .map(Some)
            .ok_or_else(|| SpecError::Correlation { text: text.clone() })
    }
}

impl FromStr for Draft {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
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
        let slot = match self.parameters.slot(name) {
            Some(slot) if known.contains(&name) => slot,
            _ => {
                return Err(SpecError::NoUse {
                    kind,
                    what: name.to_owned(),
                    takes: match known {
                        [] => String::new(),
                        names => format!("; it takes {}", names.join(", ")),
                    },
                });
            }
        };
        if value.is_empty() {
            return Err(SpecError::NoValue {
                kind,
                name: name.to_owned(),
            });
        }
        if slot.replace(value.to_owned()).is_some() {
            return Err(SpecError::Repeated {
                kind,
                name: name.to_owned(),
            });
        }
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
    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "correlation" => Some(&mut self.correlation),
            "jitter" => Some(&mut self.jitter),
            "distribution" => Some(&mut self.distribution),
            _ => None,
        }
    }

    fn get(&self, name: &str) -> Option<&Option<String>> {
        match name {
            "correlation" => Some(&self.correlation),
            "jitter" => Some(&self.jitter),
            "distribution" => Some(&self.distribution),
            _ => None,
        }
    }

    /// The names of those that are given.
    #[must_use]
    pub fn given(&self) -> Vec<&'static str> {
        [
            ("percent", &self.percent),
            ("correlation", &self.correlation),
            ("jitter", &self.jitter),
            ("distribution", &self.distribution),
        ]
        .into_iter()
        .filter(|(_, value)| value.is_some())
        .map(|(name, _)| name)
        .collect()
    }
}

fn percent(kind: FaultKind, text: &str) -> Result<Percent, SpecError> {
    let value = number(kind, text)?;
    Percent::new(value).ok_or_else(|| SpecError::Range {
        text: text.trim_end_matches('%').trim().to_owned(),
    })
}

/// A number of per cent, with its sign or without.
fn number(kind: FaultKind, text: &str) -> Result<f64, SpecError> {
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

fn duration(what: &'static str, text: &str) -> Result<Duration, SpecError> {
    let duration = time::parse(text).ok_or_else(|| SpecError::Time {
        what,
        text: text.to_owned(),
    })?;
    if duration > LONGEST {
        return Err(SpecError::TooLong {
            what,
            text: text.to_owned(),
        });
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_fill_what_is_open_and_nothing_else() {
        let options = Parameters {
            percent: Some("50".to_owned()),
            correlation: Some("25%".to_owned()),
            jitter: Some("5ms".to_owned()),
            ..Parameters::default()
        };
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
        assert_eq!(options.given(), ["percent", "correlation", "jitter"]);
    }
}
