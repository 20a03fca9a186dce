//! A fault as it is typed: `corrupt=50%`.

use std::{fmt, str::FromStr};

use serde::Serialize;
use thiserror::Error;

use super::Percent;

/// What a fault does to a packet. Only kinds that work are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The TCP checksum is damaged, so that the receiver drops the segment.
    Corrupt,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 1] = [Self::Corrupt];

    /// As typed and as reported.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Corrupt => "corrupt",
        }
    }
}

/// A kind and how often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultSpec {
    /// What is done.
    pub kind: FaultKind,
    /// To how many of the packets.
    pub percent: Percent,
}

/// Why the text is no fault. A mistake on the command line: exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// There is no such kind.
    #[error(
        "fault {name:?} is not one that tracer knows; it knows: {}",
        known_kinds()
    )]
    Kind {
        /// What stands where the kind should.
        name: String,
    },
    /// Nothing after the kind.
    #[error("fault {kind} does not say how many packets to hit; write for example {kind}=50%")]
    NoPercent {
        /// The kind.
        kind: &'static str,
    },
    /// Not a number.
    #[error("{text:?} is not a number of per cent; write for example {kind}=50% or {kind}=0.5%")]
    Number {
        /// The kind.
        kind: &'static str,
        /// What stands where the number should.
        text: String,
    },
    /// A number with a unit that means something else.
    #[error(
        "{kind} takes a share of packets in %, not {unit:?}; write for example {kind}={number}%"
    )]
    Unit {
        /// The kind.
        kind: &'static str,
        /// The number before the unit.
        number: String,
        /// The unit.
        unit: String,
    },
    /// A number that is no share.
    #[error("{text}% of the packets cannot be hit; give more than 0 and at most 100")]
    Range {
        /// The number.
        text: String,
    },
}

fn known_kinds() -> String {
    FaultKind::ALL.map(FaultKind::name).join(", ")
}

impl FromStr for FaultSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let text = text.trim();
        let end = text
            .find(|c: char| c == '=' || c.is_whitespace())
            .unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let rest = rest.trim();
        let amount = rest.strip_prefix('=').unwrap_or(rest).trim();
        let kind = FaultKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| SpecError::Kind {
                name: name.to_owned(),
            })?;
        let percent = percent(kind.name(), amount)?;
        Ok(Self { kind, percent })
    }
}

fn percent(kind: &'static str, text: &str) -> Result<Percent, SpecError> {
    if text.is_empty() {
        return Err(SpecError::NoPercent { kind });
    }
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let value: f64 = number.parse().map_err(|_| SpecError::Number {
        kind,
        text: text.to_owned(),
    })?;
    let unit = unit.trim();
    if !matches!(unit, "" | "%") {
        return Err(SpecError::Unit {
            kind,
            number: number.to_owned(),
            unit: unit.to_owned(),
        });
    }
    Percent::new(value).ok_or_else(|| SpecError::Range {
        text: number.to_owned(),
    })
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.kind.name(), self.percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(FaultKind, f64), String> {
        text.parse::<FaultSpec>()
            .map(|spec| (spec.kind, spec.percent.get()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_way_to_write_it() {
        for (text, percent) in [
            ("corrupt=50%", 50.0),
            ("corrupt=0.5%", 0.5),
            ("corrupt=100", 100.0),
            ("corrupt 50", 50.0),
            (" corrupt  12.5 % ", 12.5),
            ("corrupt = 1%", 1.0),
        ] {
            assert_eq!(parse(text), Ok((FaultKind::Corrupt, percent)), "{text}");
        }
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (text, fragment) in [
            ("", "it knows: corrupt"),
            ("corupt=50%", "\"corupt\" is not one"),
            ("50%", "\"50%\" is not one"),
            ("corrupt", "write for example corrupt=50%"),
            ("corrupt=", "does not say how many"),
            ("corrupt=half", "\"half\" is not a number"),
            ("corrupt=-5%", "\"-5%\" is not a number"),
            ("corrupt=1.2.3%", "is not a number"),
            ("corrupt=.", "is not a number"),
            ("corrupt=inf", "is not a number"),
            ("corrupt=50ms", "not \"ms\"; write for example corrupt=50%"),
            ("corrupt=50%%", "not \"%%\""),
            ("corrupt=0", "0% of the packets cannot be hit"),
            ("corrupt=101%", "at most 100"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(fragment), "{text:?}: {error}");
        }
    }

    #[test]
    fn shown_as_it_is_typed() {
        let spec: FaultSpec = "corrupt 0.5".parse().unwrap();
        assert_eq!(spec.to_string(), "corrupt=0.5%");
        assert_eq!(spec.to_string().parse(), Ok(spec));
    }
}
