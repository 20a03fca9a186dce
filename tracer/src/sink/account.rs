//! A report as a person reads it: the verdict first, then what it rests on.

mod charts;
mod commits;
mod database;
mod faults;
mod findings;
mod flows;
mod method;
mod phases;
mod timeline;
mod verdict;

use crate::report::Report;
use crate::sink::chart::{Axis, Shade};
use crate::sink::document::{Block, Document, Section};

/// The account of one run.
#[must_use]
pub fn of(report: &Report) -> Document {
    let axis = axis(report);
    let mut clock = timeline::blocks(report, &axis);
    clock.extend(charts::blocks(report, &axis));
    let sections = [
        ("What was found", findings::blocks(report)),
        ("On one clock", clock),
        ("Phases", phases::blocks(report)),
        ("What was broken on purpose", faults::blocks(report)),
        ("Flows", flows::blocks(report)),
        ("PostgreSQL", database::blocks(report)),
        ("What commits waited for", commits::blocks(report)),
        ("Warnings", list(&report.warnings)),
        ("How it was measured", method::blocks(report)),
    ];
    let sections = sections.into_iter();
    Document {
        title: format!("tracer: {}", report.host.name),
        verdict: verdict::sentence(report),
        lead: verdict::lead(report),
        sections: sections
            .filter_map(|(title, blocks)| Section::of(title, blocks))
            .collect(),
    }
}

fn list(texts: &[String]) -> Vec<Block> {
    match texts {
        [] => Vec::new(),
        texts => vec![Block::List(texts.to_vec())],
    }
}

/// The window, and its phases if there are several.
fn axis(report: &Report) -> Axis {
    let phases = match report.phases.as_slice() {
        [_] => &[],
        phases => phases,
    };
    let shade = |phase: &crate::report::PhaseReport| Shade {
        from_s: phase.offset_s,
        to_s: phase.offset_s + phase.duration_s,
        name: phases::name(phase.name).to_lowercase(),
        stands_out: phase.name == crate::correlate::Name::Fault,
    };
    Axis {
        length_s: report.window.duration_s,
        phases: phases.iter().map(shade).collect(),
    }
}
