//! What came of all rounds.

use std::collections::BTreeMap;
use std::fmt;

use super::expected::{Ended, ReportFile};
use super::plan::RoundPlan;
use super::round::RoundOutcome;

/// How rounds ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct TallyRow {
    rounds: u32,
    success: u32,
    failure: u32,
    usage: u32,
    killed: u32,
    complete: u32,
    old: u32,
    absent: u32,
    cleaned: u32,
    broken: u32,
}

/// Rounds by what happened in them, and by what the tool did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    blows: BTreeMap<String, TallyRow>,
    scenes: BTreeMap<&'static str, TallyRow>,
    all: TallyRow,
    /// Rounds whose count was compared, and their segments.
    compared: (u32, u64),
}

impl TallyRow {
    fn add(&mut self, outcome: &RoundOutcome) {
        self.rounds += 1;
        *match outcome.ended {
            Ended::Exit(0) => &mut self.success,
            Ended::Exit(2) => &mut self.usage,
            Ended::Exit(_) => &mut self.failure,
            Ended::Killed(_) => &mut self.killed,
        } += 1;
        match outcome.report {
            ReportFile::New => self.complete += 1,
            ReportFile::Old => self.old += 1,
            ReportFile::Absent => self.absent += 1,
            ReportFile::Half(_) => {}
        }
        self.cleaned += u32::from(outcome.cleaned);
        self.broken += u32::from(!outcome.broken.is_empty());
    }
}

impl Tally {
    pub(super) fn add(&mut self, plan: &RoundPlan, outcome: &RoundOutcome) {
        let kinds: std::collections::BTreeSet<String> =
            plan.blows.iter().map(|blow| blow.what.kind()).collect();
        for kind in kinds {
            self.blows.entry(kind).or_default().add(outcome);
        }
        self.scenes
            .entry(plan.scene.kind())
            .or_default()
            .add(outcome);
        self.all.add(outcome);
        if let Some(segments) = outcome.compared {
            self.compared.0 += 1;
            self.compared.1 += segments;
        }
    }

    pub(super) fn rounds(&self) -> u32 {
        self.all.rounds
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{:<36} {:>6} {:>6} {:>6} {:>6} {:>6} {:>8} {:>5} {:>6} {:>7} {:>6}",
            "what happened",
            "rounds",
            "exit 0",
            "exit 1",
            "exit 2",
            "killed",
            "complete",
            "old",
            "absent",
            "cleaned",
            "broken"
        )?;
        let blows = self.blows.iter().map(|(name, row)| (name.as_str(), row));
        let scenes = self.scenes.iter().map(|(name, row)| (*name, row));
        for (name, row) in blows.chain(scenes).chain([("all", &self.all)]) {
            writeln!(
                formatter,
                "{name:<36} {:>6} {:>6} {:>6} {:>6} {:>6} {:>8} {:>5} {:>6} {:>7} {:>6}",
                row.rounds,
                row.success,
                row.failure,
                row.usage,
                row.killed,
                row.complete,
                row.old,
                row.absent,
                row.cleaned,
                row.broken
            )?;
        }
        let (rounds, segments) = self.compared;
        write!(
            formatter,
            "complete, old, absent: what stood where the report belongs\n\
             {rounds} rounds' counts were compared with the kernel's: {segments} segments"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Abilities;
    use super::*;

    #[test]
    fn every_round_is_in_the_table_once_and_once_for_each_kind_of_blow() {
        let able = Abilities {
            clocks: true,
            memory: true,
            netem: true,
        };
        let mut tally = Tally::default();
        let mut kinds = 0;
        for round in 0..100 {
            let plan = RoundPlan::draw(2, round, able);
            let all: std::collections::BTreeSet<String> =
                plan.blows.iter().map(|blow| blow.what.kind()).collect();
            kinds += all.len();
            let outcome = RoundOutcome {
                ended: Ended::Exit(i32::from(round % 2 == 0)),
                report: ReportFile::New,
                cleaned: false,
                compared: Some(3),
                broken: Vec::new(),
            };
            tally.add(&plan, &outcome);
        }
        assert_eq!(tally.rounds(), 100);
        let sum: u32 = tally.blows.values().map(|row| row.rounds).sum();
        assert_eq!(sum as usize, kinds);
        let sum: u32 = tally.scenes.values().map(|row| row.rounds).sum();
        assert_eq!(sum, 100);
        assert_eq!((tally.all.success, tally.all.failure), (50, 50));
        assert!(
            tally
                .to_string()
                .ends_with("compared with the kernel's: 300 segments")
        );
    }
}
