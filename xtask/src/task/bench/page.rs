//! The page `docs/performance.md`.

use super::hit::{self, StormCost};
use super::machine::TestMachine;
use super::scale::{self, Scale};
use super::start::{self, QuietRun};
use super::storm::FLOWS;

/// All that was measured.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) machine: TestMachine,
    pub(super) quiet: Vec<QuietRun>,
    pub(super) storms: Vec<StormCost>,
    pub(super) scales: Vec<Scale>,
}

impl Found {
    /// Which medians miss their bars.
    pub(super) fn missed(&self) -> Vec<String> {
        let mut missed = start::missed(&self.quiet);
        missed.extend(hit::missed(&self.storms));
        missed
    }

    /// For a terminal.
    pub(super) fn plain(&self) -> String {
        let mut tables = hit::tables(&self.storms).to_vec();
        tables.extend([scale::table(&self.scales), start::table(&self.quiet)]);
        let texts: Vec<String> = tables.iter().map(|table| table.plain()).collect();
        texts.join("\n\n")
    }

    pub(super) fn page(&self) -> String {
        let [costs, bars, about] = hit::tables(&self.storms).map(|table| table.markdown());
        let scales = scale::table(&self.scales).markdown();
        let quiet = start::table(&self.quiet).markdown();
        let TestMachine {
            day,
            commit,
            kernel,
            processors,
            load,
        } = &self.machine;
        format!(
            "\
# Performance

Made by `cargo xtask bench --write`; do not edit. All of it is one run on one machine: the
nanoseconds are that machine's, the ratios say more.

| | |
|---|---|
| when | {day} |
| commit | {commit} |
| kernel | {kernel} |
| processors | {processors} |
| processes that wanted one before the start | {load} |

## What a hit costs

A hit is a call of the kernel that retransmits. In each storm {FLOWS} flows go through a queue
that is too small, then connections come and go, and all who count do so at once, in every
network namespace, attached in another order each time. Who prints a line for each hit has a
storm of its own, because that takes so much of the processor's caches that the others would
be slower. The time is the kernel's own measurement of each program
(`kernel.bpf_stats_enabled`), that of the measuring included, as the program that does nothing
shows. What is outside of the programs is not in it: how each of them is called, and who reads
and prints the lines. Ratios are of two programs in one storm; of the printing one, of two
storms in succession.

{costs}
{bars}
{about}
## Many flows

Connections whose SYN is lost: each retransmits it, again and again, and all are there until the
end. `--max-flows` has room for all of them. A report lists the 500 flows with the most
retransmits one by one, and sums up the others, so that its size is bounded.

{scales}
## The start

`tracer run --all` where nothing is retransmitted, from the start of its process.

{quiet}"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::provision::repo;
    use crate::task::bench::SCALES;

    fn found() -> Found {
        let text = || "x".to_owned();
        Found {
            machine: TestMachine {
                day: text(),
                commit: text(),
                kernel: text(),
                processors: text(),
                load: text(),
            },
            quiet: Vec::new(),
            storms: vec![hit::sample()],
            scales: SCALES.map(scale::sample).to_vec(),
        }
    }

    /// The page without figures: of each row of a table its name alone.
    fn words(page: &str) -> Vec<String> {
        let row = |line: &str| line.split('|').nth(1).map(str::trim).map(str::to_owned);
        let lines = page.lines().filter(|line| !line.is_empty());
        let words = lines.map(|line| match line.strip_prefix('|') {
            Some(_) => row(line).unwrap_or_default(),
            None => line.to_owned(),
        });
        // How many storms and runs there were.
        words
            .map(|line| line.replace(|one: char| one.is_ascii_digit(), ""))
            .collect()
    }

    #[test]
    fn the_page_shows_what_is_measured() {
        let written = fs::read_to_string(repo::root().join("docs/performance.md")).unwrap();
        assert_eq!(
            words(&written),
            words(&found().page()),
            "run `cargo xtask bench --write`"
        );
    }

    #[test]
    fn figures_are_no_words() {
        assert_eq!(
            words("| a | 1 |\n\n| 10 b | 3 |\ntext 3"),
            ["a", " b", "text "]
        );
    }
}
