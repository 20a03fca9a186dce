//! What a comparison holds: the contract of `tracer compare --format json`.
//!
//! A figure that was not measured is `null`, and one that was measured in neither run is not
//! there.

use std::net::IpAddr;

use serde::Serialize;

use crate::compare::change::Change;
use crate::compare::condition::ConditionOutcome;
use crate::compare::estimate::Estimate;
use crate::compare::metric::{Metric, MetricUnit};
use crate::report::finding::{Cause, Confidence};
use crate::report::phase::Name;
use crate::report::{Tool, Window};

/// The version of the contract.
pub const SCHEMA: &str = "tracer.compare/1";

/// Two runs compared.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Which program compared.
    pub tool: Tool,
    /// With what confidence figures are between their bounds.
    pub confidence_percent: f64,
    /// The run before.
    pub before: ComparedRun,
    /// The run after.
    pub after: ComparedRun,
    /// What was to fail (`--fail-if`), in the order in which it was given.
    pub conditions: Vec<ConditionReport>,
    /// Findings of the two, those of the run after first.
    pub findings: Vec<FindingChange>,
    /// What was measured, by host: one, or those that both merged files have.
    pub hosts: Vec<HostComparison>,
    /// What the reader must know before trusting the rest.
    pub notes: Vec<String>,
}

/// One of the two runs.
#[derive(Debug, Clone, Serialize)]
pub struct ComparedRun {
    /// Its file, as it was named.
    pub file: String,
    /// The hosts that it was seen from.
    pub hosts: Vec<String>,
    /// From when to when.
    pub window: Window,
}

/// Which of the two runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OneRun {
    /// The one before.
    Before,
    /// The one after.
    After,
}

/// One host in both runs.
#[derive(Debug, Clone, Serialize)]
pub struct HostComparison {
    /// By its label; `null` of reports that were not merged.
    pub host: Option<String>,
    /// The whole run, and then each phase that both have.
    pub parts: Vec<PartComparison>,
    /// Phases that one of them has.
    pub lone_phases: Vec<LonePhase>,
}

/// A phase that the other run does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LonePhase {
    /// Its name.
    pub phase: Name,
    /// The run that has it.
    pub run: OneRun,
}

/// A part of both runs.
#[derive(Debug, Clone, Serialize)]
pub struct PartComparison {
    /// `whole`, or which phase.
    pub part: Name,
    /// How long it was before.
    pub before_s: f64,
    /// How long it was after.
    pub after_s: f64,
    /// What was measured.
    pub figures: Vec<ComparedFigure>,
}

/// One figure of both.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparedFigure {
    /// What it is, as `--fail-if` takes it.
    pub metric: Metric,
    /// What it is counted in.
    pub unit: MetricUnit,
    /// What it is of.
    pub of: Subject,
    /// What it was.
    pub before: Option<Estimate>,
    /// What it is.
    pub after: Option<Estimate>,
    /// The one after by the one before; `null` unless both were measured, and that is not 0.
    pub ratio: Option<f64>,
    /// What became of it.
    pub change: Change,
}

/// What a figure is of; nothing of this is known of what is of all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// A server on the host, by its port or its first process.
    pub server: Option<String>,
    /// Its standby.
    pub standby: Option<IpAddr>,
    /// A peer.
    pub peer: Option<IpAddr>,
}

/// What became of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is one of the run after alone.
    Came,
    /// It is one of both.
    Stayed,
    /// It is one of the run before alone.
    Went,
}

/// A finding of either run, or of both.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FindingChange {
    /// What became of it.
    pub fate: Fate,
    /// The host that found it, by its label; `null` of reports that were not merged.
    pub host: Option<String>,
    /// Why commits were slow.
    pub cause: Cause,
    /// How sure that was; `null` if it was not found.
    pub confidence_before: Option<Confidence>,
    /// How sure it is, likewise.
    pub confidence_after: Option<Confidence>,
    /// In a sentence, before, likewise.
    pub text_before: Option<String>,
    /// And after, likewise.
    pub text_after: Option<String>,
}

/// Whether a condition is met, by the figure by which it is if it is by any.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConditionReport {
    /// As it can be typed.
    pub condition: String,
    /// Whether it is met.
    pub outcome: ConditionOutcome,
    /// The host of the figure, by its label, likewise.
    pub host: Option<String>,
    /// The figure.
    pub figure: ComparedFigure,
}

impl ComparedFigure {
    /// `None` of what was measured in neither run.
    pub(crate) fn new(
        metric: Metric,
        of: Subject,
        [before, after]: [Option<Estimate>; 2],
    ) -> Option<Self> {
        if before.is_none() && after.is_none() {
            return None;
        }
        let both = before.zip(after).filter(|(before, _)| before.value > 0.0);
        Some(Self {
            metric,
            unit: metric.unit(),
            of,
            before,
            after,
            ratio: both.map(|(before, after)| after.value / before.value),
            change: Change::of(before, after),
        })
    }
}
