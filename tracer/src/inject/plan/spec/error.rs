//! Mistakes in a fault as it is typed.

use std::time::Duration;

use thiserror::Error;
use tracer_core::report::fault::FaultKind;

use crate::inject::BitRateError;
use crate::kernel::tc::Distribution;

/// Why the text is no fault. A mistake on the command line: exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpecError {
    /// There is no such kind.
    #[error(
        "fault {name:?} is not one that tracer knows; it knows: {}",
        FaultKind::ALL.map(FaultKind::name).join(", ")
    )]
    Kind {
        /// What stands where the kind should.
        name: String,
    },
    /// Nothing after the kind.
    #[error("fault {kind} does not say how much; write for example {example}")]
    NoAmount {
        /// The kind.
        kind: &'static str,
        /// How it may be written.
        example: &'static str,
    },
    /// Not a number.
    #[error("{text:?} is not a number of per cent; write for example {example}")]
    Number {
        /// What stands where the number should.
        text: String,
        /// How it may be written.
        example: &'static str,
    },
    /// A number with a unit that means something else.
    #[error("{kind} takes a share of packets in %, not {unit:?}; write for example {example}")]
    Unit {
        /// The kind.
        kind: &'static str,
        /// How it may be written.
        example: &'static str,
        /// The unit.
        unit: String,
    },
    /// A number that is no share.
    #[error("{text}% of the packets cannot be hit; give more than 0 and at most 100")]
    Range {
        /// The number.
        text: String,
    },
    /// A packet's luck would be the first one's.
    #[error("a correlation of {text} is none; give a number of per cent of less than 100")]
    Correlation {
        /// As given.
        text: String,
    },
    /// A parameter that means nothing here.
    #[error("{kind} takes no {what}{takes}")]
    NoUse {
        /// The kind.
        kind: &'static str,
        /// What was given.
        what: String,
        /// What it takes instead.
        takes: String,
    },
    /// A parameter without a value.
    #[error("{kind}: {name} has no value; write {name}=…")]
    NoValue {
        /// The kind.
        kind: &'static str,
        /// The parameter.
        name: String,
    },
    /// A parameter with two values.
    #[error("{kind} has {name} twice")]
    Repeated {
        /// The kind.
        kind: &'static str,
        /// The parameter.
        name: String,
    },
    /// Not a time.
    #[error("{what} {text:?} is no length of time; write for example {what}=20ms")]
    Time {
        /// `delay` or `jitter`.
        what: &'static str,
        /// As given.
        text: String,
    },
    /// A time that others read as milliseconds and that this tool would read as
    /// seconds.
    #[error("{what} {text:?} needs a unit: write {what}={text}ms or {what}={text}s")]
    NoTimeUnit {
        /// `delay` or `jitter`.
        what: &'static str,
        /// As given.
        text: String,
    },
    /// A comma separates parameters, and does not end the whole number.
    #[error("{given:?} has a decimal comma; write a decimal point: {better}")]
    DecimalComma {
        /// As given.
        given: String,
        /// With a point.
        better: String,
    },
    /// A time that no connection survives.
    #[error("{what} {text:?} is too long: at most 10 minutes")]
    TooLong {
        /// `delay` or `jitter`.
        what: &'static str,
        /// As given.
        text: String,
    },
    /// Packets would arrive before they leave.
    #[error("a delay of {mean:?} cannot vary by more than that, and {jitter:?} is more")]
    Jitter {
        /// The delay.
        mean: Duration,
        /// By how much it was to vary.
        jitter: Duration,
    },
    /// Nothing varies.
    #[error("delay: {what} needs a jitter; write for example delay=100ms,jitter=20ms,{what}=…")]
    NeedsJitter {
        /// `distribution` or `correlation`.
        what: &'static str,
    },
    /// There is no such shape.
    #[error(
        "distribution {name:?} is not one that tracer knows; it knows: {}, and scatters evenly without one",
        Distribution::ALL.map(Distribution::name).join(", ")
    )]
    Distribution {
        /// As given.
        name: String,
    },
    /// No bit rate.
    #[error(transparent)]
    Rate(#[from] BitRateError),
    /// One kind in two amounts.
    #[error("{kind} is given twice; one fault has one amount")]
    Twice {
        /// The kind.
        kind: &'static str,
    },
    /// Nothing is left for the others.
    #[error("a partition leaves nothing for {other} to do; give it alone")]
    NothingLeft {
        /// The other kind.
        other: &'static str,
    },
    /// Nobody waits who could be overtaken.
    #[error(
        "reorder lets packets overtake those that are late, so it needs a delay; write for example delay=20ms with reorder=25%"
    )]
    NoDelay,
    /// No fault at all.
    #[error("no fault is given; write for example {}", FaultKind::Corrupt.example())]
    Nothing,
    /// An option that no fault takes.
    #[error("--{option} means nothing to {}", .faults.join(", "))]
    Unused {
        /// The option.
        option: &'static str,
        /// The kinds that were given.
        faults: Vec<&'static str>,
    },
}
