//! Where the slow commits' time went, as one bar for each phase of a run.

use crate::render::stages::what;
use crate::render::table::milliseconds;
use crate::render::verdict::phase_name;
use crate::report::Report;
use crate::report::commits::SlowReport;
use crate::report::stages::Stage;

/// What a wait is where it is not known what it was made of.
const NOT_FOLLOWED: &str = "wait for a standby, not followed";

/// The bars, all of the same parts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StackedBars {
    /// What each part is, in order.
    pub(crate) parts: Vec<&'static str>,
    pub(crate) bars: Vec<StackedBar>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StackedBar {
    pub(crate) name: String,
    /// How many commits it is of.
    pub(crate) commits: usize,
    /// How long each part took, all of them together, ms.
    pub(crate) parts_ms: Vec<f64>,
}

impl StackedBars {
    /// Of the slow commits that the report lists, by the phase in which each began; `None` if
    /// there are none.
    pub(crate) fn of(report: &Report) -> Option<Self> {
        let slow = &report.commits.as_ref()?.slow;
        let mut parts = vec!["before the flush", "flush of its WAL"];
        parts.extend(Stage::ALL.map(what));
        parts.push(NOT_FOLLOWED);
        let bars = report.phases.iter().map(|phase| {
            let window = phase.offset_s..phase.offset_s + phase.duration_s;
            let began = slow.iter().filter(|one| window.contains(&one.offset_s));
            let mut bar = StackedBar {
                name: phase_name(phase).to_owned(),
                commits: 0,
                parts_ms: vec![0.0; parts.len()],
            };
            for commit in began {
                bar.commits += 1;
                let took = took_ms(commit);
                let sums = bar.parts_ms.iter_mut().zip(took);
                sums.for_each(|(sum, ms)| *sum += ms);
            }
            bar
        });
        let mut bars: Vec<StackedBar> = bars.collect();
        let is_there: Vec<bool> = (0..parts.len())
            .map(|part| bars.iter().any(|bar| bar.parts_ms[part] > 0.0))
            .collect();
        let mut there = is_there.iter();
        parts.retain(|_| there.next() == Some(&true));
        for bar in &mut bars {
            let mut there = is_there.iter();
            bar.parts_ms.retain(|_| there.next() == Some(&true));
        }
        (!parts.is_empty()).then_some(Self { parts, bars })
    }

    /// The same in words: what each row is, and its cell of each bar.
    pub(crate) fn rows(&self) -> Vec<(&'static str, Vec<String>)> {
        let row = |name, cell: &dyn Fn(&StackedBar) -> String| {
            (name, self.bars.iter().map(cell).collect())
        };
        let mut rows = vec![
            row("slow commits", &|bar| bar.commits.to_string()),
            row("together", &|bar| milliseconds(Some(bar.total_ms()))),
        ];
        let parts = self.parts.iter().enumerate();
        rows.extend(parts.map(|(at, part)| {
            row(*part, &|bar| {
                let share = bar.share(at).map(|share| format!("{:.0} %", 100.0 * share));
                share.unwrap_or_else(|| "-".to_owned())
            })
        }));
        rows
    }
}

impl StackedBar {
    /// All of it, ms.
    pub(crate) fn total_ms(&self) -> f64 {
        self.parts_ms.iter().sum()
    }

    /// How much of it a part is, 0 to 1; `None` of nothing.
    pub(crate) fn share(&self, part: usize) -> Option<f64> {
        let share = self.parts_ms.get(part)? / self.total_ms();
        share.is_finite().then_some(share)
    }
}

/// How long each part of a commit took, ms, in the order in which they are shown.
fn took_ms(commit: &SlowReport) -> Vec<f64> {
    let mut took = vec![commit.rest_ms, commit.flush_ms];
    let stages = commit.stages_ms.as_ref();
    let of = |stage| stages.map_or(0.0, |stages| *stages.of(stage));
    took.extend(Stage::ALL.map(of));
    took.push(match stages {
        Some(_) => 0.0,
        None => commit.wait_ms,
    });
    // A file may claim anything.
    took.iter().map(|ms| ms.max(0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages() -> Report {
        Report::read(include_bytes!("../../tests/data/stages.json")).unwrap()
    }

    #[test]
    fn parts_of_each_phase_add_up_to_its_slow_commits() {
        let report = stages();
        let bars = StackedBars::of(&report).unwrap();
        assert_eq!(bars.bars.len(), report.phases.len());
        let slow = &report.commits.as_ref().unwrap().slow;
        let commits: usize = bars.bars.iter().map(|bar| bar.commits).sum();
        assert_eq!(commits, slow.len());
        let all_ms: f64 = bars.bars.iter().map(StackedBar::total_ms).sum();
        let slow_ms: f64 = slow.iter().map(|one| one.total_ms).sum();
        assert!(
            (all_ms - slow_ms).abs() < 0.01 * slow_ms,
            "{all_ms} {slow_ms}"
        );
        for bar in bars.bars.iter().filter(|bar| bar.commits > 0) {
            let shares = (0..bars.parts.len()).filter_map(|part| bar.share(part));
            assert!((shares.sum::<f64>() - 1.0).abs() < 1e-9, "{bar:?}");
        }
        let rows = bars.rows();
        assert_eq!(rows.len(), 2 + bars.parts.len());
        assert!(rows.iter().all(|(_, cells)| cells.len() == bars.bars.len()));
    }

    #[test]
    fn a_wait_that_was_not_followed_is_one_part() {
        let mut report = stages();
        for one in &mut report.commits.as_mut().unwrap().slow {
            one.stages_ms = None;
        }
        let parts = StackedBars::of(&report).unwrap().parts;
        assert!(parts.contains(&NOT_FOLLOWED));
        assert!(!parts.contains(&what(Stage::Remote)));
        report.commits.as_mut().unwrap().slow.clear();
        assert_eq!(StackedBars::of(&report), None);
    }
}
