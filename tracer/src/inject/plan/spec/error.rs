//! Mistakes in a fault as it is typed.

use std::time::Duration;

use thiserror::Error;
use tracer_core::report::fault::FaultKind;

use crate::inject::BitRateError;
use crate::kernel::tc::Distribution;

/// Why the text is no fault. A mistake on the command line: exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    #[error(
        "fault {name:?} is not one that tracer knows; it knows: {}",
        FaultKind::ALL.map(FaultKind::name).join(", ")
    )]
    Kind { name: String },
    #[error("fault {kind} does not say how much; write for example {example}")]
    NoAmount {
        kind: &'static str,
        example: &'static str,
    },
    #[error("{text:?} is not a number of per cent; write for example {example}")]
    Number { text: String, example: &'static str },
    /// A number with a unit that means something else.
    #[error("{kind} takes a share of packets in %, not {unit:?}; write for example {example}")]
    Unit {
        kind: &'static str,
        example: &'static str,
        unit: String,
    },
    #[error("{text}% of the packets cannot be hit; give more than 0 and at most 100")]
    Range { text: String },
    /// A packet's luck would be the first one's.
    #[error("a correlation of {text} is not valid: give less than 100 %")]
    Correlation { text: String },
    #[error("{kind} takes no {what}{takes}")]
    NoUse {
        kind: &'static str,
        what: String,
        takes: String,
    },
    #[error("{kind}: {name} has no value; write {name}=…")]
    NoValue { kind: &'static str, name: String },
    #[error("{kind} has {name} twice")]
    Repeated { kind: &'static str, name: String },
    #[error("{what} {text:?} is not a length of time; write for example {what}=20ms")]
    Time { what: &'static str, text: String },
    /// A time that others read as milliseconds and that this tool would read as
    /// seconds.
    #[error("{what} {text:?} needs a unit: write {what}={text}ms or {what}={text}s")]
    NoTimeUnit { what: &'static str, text: String },
    #[error("{given:?} has a decimal comma; write a decimal point: {better}")]
    DecimalComma { given: String, better: String },
    #[error("{what} {text:?} is too long: at most 10 minutes")]
    TooLong { what: &'static str, text: String },
    /// Packets would arrive before they leave.
    #[error("a delay of {mean:?} cannot vary by more than that, and {jitter:?} is more")]
    Jitter { mean: Duration, jitter: Duration },
    #[error("delay: {what} needs a jitter; write for example delay=100ms,jitter=20ms,{what}=…")]
    NeedsJitter { what: &'static str },
    #[error(
        "distribution {name:?} is not one that tracer knows; it knows: {}, and scatters evenly without one",
        Distribution::ALL.map(Distribution::name).join(", ")
    )]
    Distribution { name: String },
    #[error(transparent)]
    Rate(#[from] BitRateError),
    #[error("{kind} is given twice; one fault has one amount")]
    Twice { kind: &'static str },
    #[error("a partition leaves nothing for {other} to do; give it alone")]
    NothingLeft { other: &'static str },
    /// Nobody waits who could be overtaken.
    #[error(
        "reorder lets packets overtake those that are late, so it needs a delay; write for example delay=20ms with reorder=25%"
    )]
    NoDelay,
    #[error("no fault is given; write for example {}", FaultKind::Corrupt.example())]
    Nothing,
    #[error("--{option} means nothing to {}", .faults.join(", "))]
    Unused {
        option: &'static str,
        faults: Vec<&'static str>,
    },
}
