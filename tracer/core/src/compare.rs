//! Two runs compared: what changed between them, as far as their reports show it.
//!
//! Each figure has bounds: what it is of (all commits that such a run would make) is between
//! them with a confidence of 95 %. A figure has changed if its bounds before and after do not
//! overlap, and otherwise nothing is said of it.

pub mod change;
mod commits;
pub mod condition;
mod decision;
mod dispersion;
mod durations;
mod elapsed;
pub mod estimate;
pub mod file;
mod findings;
mod hosts;
pub mod metric;
pub mod model;
mod notes;
mod order_statistics;
mod pairing;
mod probe;
mod received;
mod retransmits;
mod servers;
mod stages;

use crate::compare::condition::{Condition, ConditionError};
use crate::compare::file::ComparedFile;
use crate::compare::hosts::HostPair;
use crate::compare::model::{
    ComparedRun, Comparison, HostComparison, LonePhase, OneRun, PartComparison, SCHEMA,
};
use crate::harmless;
use crate::report::phase::{Name, PhaseReport};
use crate::report::{Report, Tool};

/// With what confidence figures are between their bounds, per cent.
const CONFIDENCE_PERCENT: f64 = 95.0;
/// Parts of a run that are compared with each other.
const PHASES: [Name; 3] = [Name::Baseline, Name::Fault, Name::Recovery];

/// Why two files cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// One host beside two.
    #[error(
        "{} is a report of one host, and {} what `tracer merge` made of two: compare reports with reports, and merged files with merged files",
        harmless::line(.report), harmless::line(.merged)
    )]
    Mixed {
        /// The file of one host.
        report: String,
        /// The file of two.
        merged: String,
    },
    /// No host is in both.
    #[error(
        "which host of {} is which of {} cannot be told: they have other labels, and either both of a file send WAL or neither does",
        harmless::line(.0), harmless::line(.1)
    )]
    Hosts(String, String),
    /// A condition that cannot be decided.
    #[error(transparent)]
    Condition(#[from] ConditionError),
}

/// Compares the run before with the one after; `names` are what their files are called.
///
/// # Errors
/// If one is of one host and the other of two, or a condition is on what was not measured.
pub fn compare(
    files: [&ComparedFile; 2],
    names: [&str; 2],
    conditions: &[Condition],
) -> Result<Comparison, CompareError> {
    let [before, after] = files;
    let [name_before, name_after] = names.map(str::to_owned);
    match (before, after) {
        (ComparedFile::Report(_), ComparedFile::Merged(_)) => {
            return Err(CompareError::Mixed {
                report: name_before,
                merged: name_after,
            });
        }
        (ComparedFile::Merged(_), ComparedFile::Report(_)) => {
            return Err(CompareError::Mixed {
                report: name_after,
                merged: name_before,
            });
        }
        _ => {}
    }
    let (pairs, lone) = hosts::hosts(before, after);
    if pairs.is_empty() {
        return Err(CompareError::Hosts(name_before, name_after));
    }
    let hosts: Vec<HostComparison> = pairs.iter().map(host).collect();
    let findings = findings::findings(before, after);
    let decided = conditions
        .iter()
        .map(|condition| decision::decide(condition, &hosts, &findings, names));
    Ok(Comparison {
        schema: SCHEMA,
        tool: Tool::this(),
        confidence_percent: CONFIDENCE_PERCENT,
        before: run(before, name_before),
        after: run(after, name_after),
        conditions: decided.collect::<Result<_, _>>()?,
        notes: notes::notes(files, &pairs, &lone),
        findings,
        hosts,
    })
}

fn run(file: &ComparedFile, name: String) -> ComparedRun {
    ComparedRun {
        file: name,
        hosts: file.names(),
        window: file.window().clone(),
    }
}

fn host(pair: &HostPair<'_>) -> HostComparison {
    let [before, after] = pair.reports;
    let mut parts = vec![whole(pair.reports)];
    let mut lone_phases = Vec::new();
    for name in PHASES {
        match (phase_of(before, name), phase_of(after, name)) {
            (Some(one), Some(other)) => parts.push(phase(pair.reports, [one, other])),
            (Some(_), None) => lone_phases.push(LonePhase {
                phase: name,
                run: OneRun::Before,
            }),
            (None, Some(_)) => lone_phases.push(LonePhase {
                phase: name,
                run: OneRun::After,
            }),
            (None, None) => {}
        }
    }
    HostComparison {
        host: pair.label.clone(),
        parts,
        lone_phases,
    }
}

fn phase_of(report: &Report, name: Name) -> Option<&PhaseReport> {
    report.phases.iter().find(|phase| phase.name == name)
}

fn whole(reports: [&Report; 2]) -> PartComparison {
    let [before_s, after_s] = reports.map(|report| report.window.duration_s);
    let mut figures = commits::whole(reports);
    figures.extend(received::whole(reports));
    figures.extend(probe::whole(reports));
    figures.extend(retransmits::whole(reports));
    PartComparison {
        part: Name::Whole,
        before_s,
        after_s,
        figures,
    }
}

fn phase(reports: [&Report; 2], phases: [&PhaseReport; 2]) -> PartComparison {
    let [before_s, after_s] = phases.map(|phase| phase.duration_s);
    let mut figures = commits::phase(reports, phases);
    figures.extend(probe::phase(reports, phases));
    figures.extend(retransmits::phase(reports, phases));
    PartComparison {
        part: phases[0].name,
        before_s,
        after_s,
        figures,
    }
}

#[cfg(test)]
mod tests;
