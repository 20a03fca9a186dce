//! A report as a person reads it: the verdict first, then what it rests on.

mod both;
mod charts;
mod commits;
mod database;
mod explained;
mod faults;
mod findings;
mod flows;
mod kinds;
mod method;
mod phases;
mod timeline;
pub(crate) mod verdict;

use crate::render::chart::{Axis, Shade};
use crate::render::document::{Block, Document, Section};
use crate::render::stacked_bars::StackedBars;
use crate::render::verdict::phase_name;
use crate::report::Report;
use crate::report::phase::{Name, PhaseReport};
use crate::text::counted;

pub use crate::render::account::both::of_both;
pub use crate::render::account::explained::{Which, explained, explained_of_both};

/// A report on the axis on which it is drawn.
#[derive(Debug, Clone, Copy)]
struct View<'a> {
    report: &'a Report,
    axis: &'a Axis,
    /// Where the report's window begins on the axis.
    shift_s: f64,
    /// What comes before every title: of which host it is, if there are several.
    label: &'a str,
}

impl View<'_> {
    /// A moment of the report on the axis.
    fn at(&self, offset_s: f64) -> f64 {
        offset_s + self.shift_s
    }
}

/// The account of one run.
#[must_use]
pub fn of(report: &Report) -> Document {
    let axis = axis(report);
    let view = View {
        report,
        axis: &axis,
        shift_s: 0.0,
        label: "",
    };
    let mut clock = timeline::blocks(&[view], &axis);
    clock.extend(charts::blocks(view));
    let sections = [
        ("The slowest commit", explained::slowest(report)),
        ("What was found", findings::blocks(report)),
        (
            "Where the time of slow commits went",
            StackedBars::of(report)
                .map(Block::StackedBars)
                .into_iter()
                .collect(),
        ),
        ("On one clock", clock),
        ("Phases", phases::blocks(view)),
        ("What was broken on purpose", faults::blocks(view)),
        ("Flows", flows::blocks(report)),
        ("PostgreSQL", database::blocks(view)),
        ("What commits waited for", commits::blocks(view)),
        ("Warnings", list(&report.warnings)),
        ("How it was measured", method::blocks(report)),
    ];
    let sections = sections.into_iter();
    Document {
        title: match report.host.name.as_str() {
            "" => "tracer".to_owned(),
            name => format!("tracer: {name}"),
        },
        verdict: verdict::sentence(report),
        lead: verdict::lead(report),
        sections: sections
            .filter_map(|(title, blocks)| Section::of(title, blocks))
            .collect(),
    }
}

/// Of counts in a file, which may claim more than can be counted.
fn sum(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

pub(crate) fn list(texts: &[String]) -> Vec<Block> {
    match texts {
        [] => Vec::new(),
        texts => vec![Block::List(texts.to_vec())],
    }
}

/// That there is more than a table shows, if there is.
fn more(count: usize, most: usize, what: &str) -> Option<Block> {
    let more = count.saturating_sub(most);
    let words = counted(more as u64, &format!("more {what}"));
    (more > 0).then(|| Block::Text(format!("And {words}, in the JSON.")))
}

/// The window, and its phases if there are several.
fn axis(report: &Report) -> Axis {
    Axis {
        length_s: report.window.duration_s,
        phases: shades(report, 0.0),
    }
}

fn shades(report: &Report, shift_s: f64) -> Vec<Shade> {
    let phases = match report.phases.as_slice() {
        [_] => &[],
        phases => phases,
    };
    let shade = |phase: &PhaseReport| Shade {
        from_s: phase.offset_s + shift_s,
        to_s: phase.offset_s + phase.duration_s + shift_s,
        name: phase_name(phase).to_lowercase(),
        stands_out: phase.name == Name::Fault,
    };
    phases.iter().map(shade).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render;

    fn report() -> Report {
        Report::read(include_bytes!("../../tests/data/db1.json")).unwrap()
    }

    fn rendered(report: &Report) -> String {
        render::plain::render(&of(report), 100)
    }

    #[test]
    fn what_a_table_has_no_room_for_is_counted() {
        let mut report = report();
        let postgres = report.postgres.as_mut().unwrap();
        postgres.standbys = vec![postgres.standbys[0].clone(); 17];
        let commits = report.commits.as_mut().unwrap();
        commits.servers = vec![commits.servers[0].clone(); 10];
        let text = rendered(&report);
        assert!(text.contains("And 1 more standby, in the JSON."), "{text}");
        assert!(text.contains("And 2 more servers, in the JSON."), "{text}");
    }

    #[test]
    fn of_slow_commits_that_did_not_wait_no_share_is_shown() {
        let mut report = report();
        let sentence = "slow commits listed below";
        assert!(rendered(&report).contains(sentence));
        for server in &mut report.commits.as_mut().unwrap().servers {
            server.slow_wait_ms = -0.0;
        }
        assert!(!rendered(&report).contains(sentence));
    }

    #[test]
    fn moments_in_tables_are_on_the_axis_of_the_charts() {
        let axis = Axis::default();
        let at = |report: &Report, shift_s: f64| {
            let view = View {
                report,
                axis: &axis,
                shift_s,
                label: "",
            };
            let blocks = [phases::blocks, faults::blocks, commits::blocks].map(|of| of(view));
            format!("{blocks:?}")
        };
        let breaking = Report::read(include_bytes!("../../tests/data/db2.json")).unwrap();
        let report = report();
        let (broken_s, _) = faults::span(&breaking, &breaking.faults[0]);
        let slow = &report.commits.as_ref().unwrap().slow;
        let slowest = slow.iter().max_by(|a, b| a.total_ms.total_cmp(&b.total_ms));
        let began_s = slowest.unwrap().offset_s;
        for (report, moment) in [
            (&report, format!("{:.1} s", report.phases[1].offset_s + 1e3)),
            (&breaking, format!("{:.1} s to", broken_s + 1e3)),
            (&report, format!("{:.3} s", began_s + 1e3)),
        ] {
            assert!(at(report, 1e3).contains(&moment), "{moment}");
            assert!(!at(report, 0.0).contains(&moment), "{moment}");
        }
    }
}
