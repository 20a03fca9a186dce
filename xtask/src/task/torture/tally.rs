//! What came of all rounds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::expected::{Ended, ReportFile};
use super::plan::RoundPlan;
use super::round::RoundOutcome;

const COLUMNS: [&str; 10] = [
    "rounds", "exit 0", "exit 1", "exit 2", "killed", "complete", "old", "absent", "cleaned",
    "broken",
];

type TallyRow = [u32; COLUMNS.len()];

/// Rounds by what happened in them, and by what the tool did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Tally {
    blows: BTreeMap<String, TallyRow>,
    scenes: BTreeMap<&'static str, TallyRow>,
    all: TallyRow,
    /// Rounds whose count was compared, and their segments.
    compared: (u32, u64),
}

/// What a round adds to each column.
fn row(outcome: &RoundOutcome) -> TallyRow {
    let (ended, report) = (outcome.ended, &outcome.report);
    [
        true,
        ended == Ended::Exit(0),
        matches!(ended, Ended::Exit(code) if code != 0 && code != 2),
        ended == Ended::Exit(2),
        matches!(ended, Ended::Killed(_)),
        *report == ReportFile::New,
        *report == ReportFile::Old,
        *report == ReportFile::Absent,
        outcome.cleaned,
        !outcome.broken.is_empty(),
    ]
    .map(u32::from)
}

fn add(sums: &mut TallyRow, row: &TallyRow) {
    for (sum, more) in sums.iter_mut().zip(row) {
        *sum += more;
    }
}

impl Tally {
    pub(super) fn add(&mut self, plan: &RoundPlan, outcome: &RoundOutcome) {
        let row = row(outcome);
        let kinds: BTreeSet<String> = plan.blows.iter().map(|blow| blow.what.kind()).collect();
        for kind in kinds {
            add(self.blows.entry(kind).or_default(), &row);
        }
        add(self.scenes.entry(plan.scene.kind()).or_default(), &row);
        add(&mut self.all, &row);
        if let Some(segments) = outcome.compared {
            self.compared.0 += 1;
            self.compared.1 += segments;
        }
    }

    pub(super) fn rounds(&self) -> u32 {
        self.all[0]
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |name: &str, cells: [String; COLUMNS.len()]| {
            let cells = COLUMNS.iter().zip(cells);
            let cells: String = cells
                .map(|(title, cell)| format!(" {cell:>width$}", width = title.len().max(5)))
                .collect();
            format!("{name:<36}{cells}")
        };
        let title = line("what happened", COLUMNS.map(str::to_owned));
        writeln!(formatter, "{title}")?;
        let blows = self.blows.iter().map(|(name, row)| (name.as_str(), row));
        let scenes = self.scenes.iter().map(|(name, row)| (*name, row));
        for (name, row) in blows.chain(scenes).chain([("all", &self.all)]) {
            writeln!(
                formatter,
                "{}",
                line(name, row.map(|count| count.to_string()))
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
            let all: BTreeSet<String> = plan.blows.iter().map(|blow| blow.what.kind()).collect();
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
        let sum: u32 = tally.blows.values().map(|row| row[0]).sum();
        assert_eq!(sum as usize, kinds);
        let sum: u32 = tally.scenes.values().map(|row| row[0]).sum();
        assert_eq!(sum, 100);
        assert_eq!(tally.all[1..3], [50, 50]);
        assert!(
            tally
                .to_string()
                .ends_with("compared with the kernel's: 300 segments")
        );
    }
}
