//! A fault as it is meant: `corrupt=50%`, `delay=100ms,jitter=20ms`.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod draft;
mod error;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::inject::{BitRate, Correlation, Share};
use crate::kernel::tc::Distribution;
use tracer_core::report::fault::FaultKind;

pub(crate) use crate::inject::plan::spec::draft::{Draft, Parameters};
pub(crate) use crate::inject::plan::spec::error::SpecError;

/// A fault with its amount.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FaultSpec {
    /// A share of the packets is corrupted.
    Corrupt(Share),
    /// A share of the packets is lost.
    Loss(Share),
    /// Every packet is late.
    Delay(Delay),
    /// A share of the packets goes twice.
    Duplicate(Share),
    /// A share of the packets overtakes the others, which are late.
    Reorder(Share),
    /// No more than so many bits a second.
    Rate(BitRate),
    /// Every packet is lost.
    Partition,
}

/// How late packets are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delay {
    /// On average.
    pub mean: Duration,
    /// By how much it varies.
    pub jitter: Duration,
    /// How it varies; [`None`] for evenly.
    pub distribution: Option<Distribution>,
    /// By how much one depends on the one before.
    pub correlation: Option<Correlation>,
}

impl FaultSpec {
    /// Which kind it is.
    pub(crate) const fn kind(&self) -> FaultKind {
        match self {
            Self::Corrupt(_) => FaultKind::Corrupt,
            Self::Loss(_) => FaultKind::Loss,
            Self::Delay(_) => FaultKind::Delay,
            Self::Duplicate(_) => FaultKind::Duplicate,
            Self::Reorder(_) => FaultKind::Reorder,
            Self::Rate(_) => FaultKind::Rate,
            Self::Partition => FaultKind::Partition,
        }
    }

    /// How many packets it is for; [`None`] where that is not asked.
    #[must_use]
    pub const fn share(&self) -> Option<Share> {
        match self {
            Self::Corrupt(share)
            | Self::Loss(share)
            | Self::Duplicate(share)
            | Self::Reorder(share) => Some(*share),
            Self::Partition => Some(Share::ALL),
            Self::Delay(_) | Self::Rate(_) => None,
        }
    }
}

impl FromStr for FaultSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        text.parse::<Draft>()?.finish()
    }
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.kind().name();
        match self {
            Self::Corrupt(share)
            | Self::Loss(share)
            | Self::Duplicate(share)
            | Self::Reorder(share) => write!(formatter, "{name}={share}"),
            Self::Delay(delay) => write!(formatter, "{name}={delay}"),
            Self::Rate(rate) => write!(formatter, "{name}={rate}"),
            Self::Partition => formatter.write_str(name),
        }
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.mean)?;
        if !self.jitter.is_zero() {
            write!(formatter, ",jitter={:?}", self.jitter)?;
        }
        if let Some(distribution) = self.distribution {
            write!(formatter, ",distribution={distribution}")?;
        }
        if let Some(correlation) = self.correlation {
            write!(formatter, ",correlation={correlation}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        text.parse::<FaultSpec>()
            .map(|spec| spec.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_way_to_write_it() {
        for (text, meant) in [
            ("corrupt=50%", "corrupt=50%"),
            ("corrupt=0.5%", "corrupt=0.5%"),
            ("corrupt=100", "corrupt=100%"),
            ("corrupt 50", "corrupt=50%"),
            (" corrupt  12.5 % ", "corrupt=12.5%"),
            ("loss = 1%", "loss=1%"),
            ("loss=10%,correlation=25%", "loss=10%,correlation=25%"),
            ("duplicate=1%", "duplicate=1%"),
            ("reorder=25%", "reorder=25%"),
            ("delay=100ms", "delay=100ms"),
            ("delay 1.5s", "delay=1.5s"),
            (
                "delay=100ms, jitter=20ms, distribution=normal",
                "delay=100ms,jitter=20ms,distribution=normal",
            ),
            (
                "delay=1s,jitter=100ms,correlation=50",
                "delay=1s,jitter=100ms,correlation=50%",
            ),
            ("rate=10mbit", "rate=10mbit"),
            ("rate=1500kbit", "rate=1500kbit"),
            ("partition", "partition"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(meant), "{text}");
            // As shown, it can be typed.
            assert_eq!(shown(meant).as_deref(), Ok(meant), "{text}");
        }
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (text, fragment) in [
            ("", "it knows: corrupt, loss, delay"),
            ("corupt=50%", "\"corupt\" is not one"),
            ("50%", "\"50%\" is not one"),
            ("corrupt", "write for example corrupt=50%"),
            ("loss=", "does not say how much"),
            ("delay", "write for example delay=100ms"),
            ("corrupt=half", "\"half\" is not a number"),
            ("corrupt=-5%", "\"-5%\" is not a number"),
            ("corrupt=1.2.3%", "is not a number"),
            ("corrupt=.", "is not a number"),
            ("corrupt=inf", "is not a number"),
            ("corrupt=50ms", "not \"ms\"; write for example corrupt=50%"),
            ("corrupt=50%%", "not \"%%\""),
            ("corrupt=0", "0% of the packets cannot be hit"),
            ("corrupt=101%", "at most 100"),
            ("loss=10%,correlation=100%", "less than 100"),
            ("loss=10%,jitter=5ms", "loss takes no jitter"),
            ("loss=10%,correlation", "correlation has no value"),
            (
                "loss=10%,correlation=1%,correlation=2%",
                "correlation twice",
            ),
            ("loss=10%,burst=3", "takes no burst; it takes correlation"),
            ("delay=soon", "\"soon\" is not a length of time"),
            ("delay=0ms", "\"0ms\" is not a length of time"),
            ("delay=2h", "at most 10 minutes"),
            ("delay=10ms,jitter=20ms", "cannot vary by more"),
            ("delay=10ms,distribution=normal", "needs a jitter"),
            ("delay=10ms,correlation=5%", "needs a jitter"),
            (
                "delay=10ms,jitter=1ms,distribution=bell",
                "knows: normal, pareto",
            ),
            ("rate=10", "needs a unit"),
            ("rate=10mbps", "not \"mbps\""),
            ("rate=0mbit", "rate of nothing"),
            ("rate=fast", "\"fast\" is not a number"),
            ("partition=50%", "partition takes no amount"),
            ("partition,correlation=5%", "partition takes no correlation"),
        ] {
            let error = shown(text).unwrap_err();
            assert!(error.contains(fragment), "{text:?}: {error}");
            assert!(!error.contains('\n'), "{text:?}: {error}");
        }
    }
}
