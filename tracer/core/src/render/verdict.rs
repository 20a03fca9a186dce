//! Findings and phases for a terminal.

use crate::render::table::milliseconds;
use crate::report::finding::{Confidence, Finding};
use crate::report::phase::{ChosenBy, Name, PhaseReport};

/// One line a finding, the weightiest first.
pub(crate) fn findings(findings: &[Finding]) -> impl Iterator<Item = String> {
    findings.iter().map(|finding| {
        format!(
            "Found: {} (confidence: {})",
            finding.text,
            confidence(finding.confidence)
        )
    })
}

pub(crate) fn confidence(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "high",
        Confidence::Medium => "medium",
        Confidence::Low => "low",
    }
}

/// One line a phase, if there is more than one.
pub(crate) fn phases(phases: &[PhaseReport]) -> impl Iterator<Item = String> {
    let shown = if phases.len() > 1 { phases } else { &[] };
    shown.iter().map(phase)
}

pub(crate) fn phase_name(phase: &PhaseReport) -> &'static str {
    match phase.name {
        Name::Baseline => "Baseline",
        // Nobody said that there was one.
        Name::Fault if phase.chosen_by == ChosenBy::ChangePoint => "Changed",
        Name::Fault => "Fault",
        Name::Recovery => "Recovery",
        Name::Whole => "Whole run",
    }
}

fn phase(phase: &PhaseReport) -> String {
    let name = phase_name(phase);
    let figures = &phase.figures;
    let mut line = format!("{name}, {:.1} s: ", phase.duration_s);
    let selected = figures.selected;
    line += &match selected.per_s {
        Some(per_s) => format!("{per_s:.1} segments a second retransmitted"),
        None => format!(
            "{} segments retransmitted; shorter than an interval, so no rates",
            selected.segments
        ),
    };
    if let Some(per_s) = figures.replication.and_then(|rates| rates.per_s) {
        line += &format!(" ({per_s:.1} of replication)");
    }
    if let Some(commits) = &figures.commits {
        line += &match commits.answered_per_s {
            Some(per_s) => format!("; {per_s:.1} commits a second"),
            None => format!("; {} commits", commits.answered),
        };
        line += &format!(
            ", p50 {}, p99 {}, max {}",
            milliseconds(commits.latency.p50_ms),
            milliseconds(commits.latency.p99_ms),
            milliseconds(commits.latency.max_ms)
        );
    }
    if let Some(waiters) = figures.sync_rep_waiters_max {
        line += &format!("; at most {waiters} waiting for a standby");
    }
    line
}
