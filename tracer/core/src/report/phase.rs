//! A part of the run, and what it was like.

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::phases::{ChosenBy, Figures, Name, Phase, Signal};

/// A part of the run, and what it was like.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PhaseReport {
    /// `baseline`, `fault` and `recovery`, or `whole` if nothing sets a part apart.
    pub name: Name,
    /// Its start.
    pub start: String,
    /// Its end.
    pub end: String,
    /// Its start, from the start of the window.
    pub offset_s: f64,
    /// Its length.
    pub duration_s: f64,
    /// How it was chosen.
    pub chosen_by: ChosenBy,
    /// In which series the change was found; `null` if it was chosen otherwise.
    pub found_in: Option<Signal>,
    /// What it was like.
    #[serde(flatten)]
    pub figures: Figures,
}

impl PhaseReport {
    /// With the times of this clock.
    #[must_use]
    pub fn new(phase: Phase, clock: &Clock, start_ns: u64) -> Self {
        Self {
            name: phase.name,
            start: clock.utc(phase.span.from_ns),
            end: clock.utc(phase.span.to_ns),
            offset_s: phase.span.from_ns.saturating_sub(start_ns) as f64 / 1e9,
            duration_s: phase.span.seconds(),
            chosen_by: phase.chosen_by,
            found_in: phase.found_in,
            figures: phase.figures,
        }
    }
}
