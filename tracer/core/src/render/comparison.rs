//! Two runs compared, as a person reads it: what changed for certain first.

mod cell;
mod changed;
mod figures;

use crate::compare::change::Change;
use crate::compare::condition::ConditionOutcome;
use crate::compare::model::{
    ComparedFigure, ComparedRun, Comparison, ConditionReport, Fate, FindingChange, HostComparison,
    LonePhase, OneRun, PartComparison, Subject,
};
use crate::render::account::list;
use crate::render::account::verdict::second;
use crate::render::comparison::cell::known;
use crate::render::document::{Block, Document, Section};
use crate::render::verdict::confidence;
use crate::report::phase::Name;
use crate::text::counted;

/// What the words and the brackets of a comparison mean.
const MEANING: [&str; 5] = [
    "In brackets is between which bounds a figure lies, with a confidence of 95 %. It is \"higher\" or \"lower\" if its bounds before and after do not overlap. Otherwise it is \"within\": the change is within the uncertainty, and neither better nor worse as far as anybody can know.",
    "Quantiles are bounded by how many commits, waits or messages there were, and by the ranges in which they were counted. That takes each for itself: where one stall held up many, the truth may be further off.",
    "Rates and shares are bounded as those of events that come by chance, and as unevenly as they came in this run.",
    "The largest of all is that of one commit: the next may take any longer, so that it is never higher for certain.",
    "Bounds are of chance alone, and of some two hundred figures chance makes one \"higher\" or \"lower\". Two runs of the same on a machine that has other work differ by more: compare two of them to see by how much.",
];

/// The account of a comparison.
#[must_use]
pub fn of(comparison: &Comparison) -> Document {
    let mut sections = vec![
        ("What was to fail".to_owned(), list(&conditions(comparison))),
        (
            "What changed by more than the uncertainty".to_owned(),
            list(&changed::changed(&comparison.hosts)),
        ),
        (
            "Findings that came, went and stayed".to_owned(),
            list(&findings(comparison)),
        ),
    ];
    for host in &comparison.hosts {
        sections.extend(of_host(host));
    }
    sections.push((
        "What to know about these runs".to_owned(),
        list(&comparison.notes),
    ));
    let meaning = MEANING.map(str::to_owned);
    sections.push(("How sure that is".to_owned(), list(&meaning)));
    let sections = sections.into_iter();
    Document {
        title: "tracer: two runs compared".to_owned(),
        verdict: verdict(comparison),
        lead: vec![
            run("Before", &comparison.before),
            run("After", &comparison.after),
        ],
        sections: sections
            .filter_map(|(title, blocks)| Section::of(&title, blocks))
            .collect(),
    }
}

/// A condition and whether it is met, in a sentence.
#[must_use]
pub fn told(condition: &ConditionReport) -> String {
    let outcome = match condition.outcome {
        ConditionOutcome::Met => "is met",
        ConditionOutcome::Possible => "may be met, but that is within the uncertainty",
        ConditionOutcome::NotMet => "is not met",
    };
    let figure = &condition.figure;
    let of = words(condition.host.as_deref(), &figure.of);
    format!(
        "\"{}\" {outcome}: {} before, {} after{of}.",
        condition.condition,
        known(figure.before, figure.unit),
        known(figure.after, figure.unit)
    )
}

/// What a figure is of, behind it.
fn words(host: Option<&str>, of: &Subject) -> String {
    let server = of
        .server
        .as_ref()
        .map(|server| format!("server at {server}"));
    let standby = of.standby.map(|standby| format!("standby at {standby}"));
    let peer = of.peer.map(|peer| format!("peer {peer}"));
    let host = host.map(|host| format!("host {host}"));
    let words: Vec<String> = [host, server, standby, peer]
        .into_iter()
        .flatten()
        .collect();
    match words.is_empty() {
        true => String::new(),
        false => format!(" ({})", words.join(", ")),
    }
}

fn conditions(comparison: &Comparison) -> Vec<String> {
    comparison.conditions.iter().map(told).collect()
}

/// All of it in some sentences.
fn verdict(comparison: &Comparison) -> String {
    let conditions = comparison.conditions.iter();
    let met: Vec<String> = conditions
        .filter(|one| one.outcome == ConditionOutcome::Met)
        .map(|one| format!("\"{}\" is met. ", one.condition))
        .collect();
    let parts = comparison.hosts.iter().flat_map(|host| &host.parts);
    let whole = parts.filter(|part| part.part == Name::Whole);
    let figures: Vec<&ComparedFigure> = whole.flat_map(|part| &part.figures).collect();
    let count = |change: Change| {
        let those = figures.iter().filter(|one| one.change == change);
        those.count() as u64
    };
    let [higher, lower, within] =
        [Change::Higher, Change::Lower, Change::WithinUncertainty].map(count);
    let changed = match (higher, lower, within) {
        (0, 0, 0) => "Nothing was measured in both runs.".to_owned(),
        (0, 0, _) => "No figure of the whole run changed by more than the uncertainty.".to_owned(),
        _ => format!(
            "Of {} of the whole run, {higher} {} higher after and {lower} lower; the others changed within the uncertainty.",
            counted(higher + lower + within, "figure"),
            if higher == 1 { "is" } else { "are" }
        ),
    };
    format!("{}{changed}{}", met.concat(), found(&comparison.findings))
}

/// How many findings came, stayed and went, as a sentence behind another; nothing if there are
/// none.
fn found(findings: &[FindingChange]) -> String {
    let count = |fate: Fate| findings.iter().filter(|one| one.fate == fate).count();
    let told = [
        (Fate::Came, "came"),
        (Fate::Went, "went"),
        (Fate::Stayed, "stayed"),
    ];
    let told = told.map(|(fate, word)| (count(fate), word));
    let told = told.iter().filter(|(count, _)| *count > 0);
    let told: Vec<String> = told
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    match told.is_empty() {
        true => String::new(),
        false => format!(" Findings: {}.", told.join(", ")),
    }
}

/// Where and when.
fn run(when: &str, run: &ComparedRun) -> String {
    let hosts: Vec<&str> = run.hosts.iter().map(String::as_str).collect();
    let on = match hosts.iter().all(|host| host.is_empty()) {
        true => String::new(),
        false => format!(", on {}", hosts.join(" and ")),
    };
    format!(
        "{when}: {}{on}, {:.1} s from {}.",
        run.file,
        run.window.duration_s,
        second(&run.window.start)
    )
}

/// What is new comes first, and what is as it was last.
fn findings(comparison: &Comparison) -> Vec<String> {
    let fates = [Fate::Came, Fate::Went, Fate::Stayed];
    let sorted = fates.into_iter().flat_map(|fate| {
        let findings = comparison.findings.iter();
        findings.filter(move |one| one.fate == fate)
    });
    sorted.map(finding).collect()
}

/// What became of a finding, and what it says last.
fn finding(change: &FindingChange) -> String {
    let [before, after] = [change.confidence_before, change.confidence_after]
        .map(|one| one.map_or("none", confidence));
    let fate = match change.fate {
        Fate::Came => format!("Came, with confidence {after}"),
        Fate::Stayed if before == after => format!("Stayed, with confidence {after}"),
        Fate::Stayed => format!("Stayed, with confidence {after} after {before} before"),
        Fate::Went => format!("Went, and had confidence {before}"),
    };
    let host = change.host.as_ref();
    let host = host.map_or_else(String::new, |host| format!("{host}: "));
    let text = change.text_after.as_ref().or(change.text_before.as_ref());
    format!("{fate}: {host}{}", text.map_or("", String::as_str))
}

/// A section for each group of figures of the whole run, and one for each phase.
fn of_host(host: &HostComparison) -> Vec<(String, Vec<Block>)> {
    let label = host.host.as_ref();
    let label = label.map_or_else(String::new, |label| format!("{label}: "));
    let mut sections = Vec::new();
    for part in &host.parts {
        let groups = figures::groups(part);
        match part.part {
            Name::Whole => {
                let groups = groups.into_iter();
                let titled =
                    groups.map(|group| (format!("{label}{}", group.heading), group.blocks));
                sections.extend(titled);
            }
            phase => {
                let blocks = groups.into_iter().flat_map(|group| {
                    let heading = Block::Heading(group.heading);
                    std::iter::once(heading).chain(group.blocks)
                });
                sections.push((phase_title(&label, phase, part), blocks.collect()));
            }
        }
    }
    let lone: Vec<String> = host.lone_phases.iter().map(lone_phase).collect();
    sections.push((format!("{label}Phases of one run alone"), list(&lone)));
    sections
}

fn phase_title(label: &str, phase: Name, part: &PartComparison) -> String {
    format!(
        "{label}Phase {}, {:.1} s before and {:.1} s after",
        phase_name(phase),
        part.before_s,
        part.after_s
    )
}

/// As in the JSON.
const fn phase_name(phase: Name) -> &'static str {
    match phase {
        Name::Baseline => "baseline",
        Name::Fault => "fault",
        Name::Recovery => "recovery",
        Name::Whole => "whole",
    }
}

fn lone_phase(lone: &LonePhase) -> String {
    let run = match lone.run {
        OneRun::Before => "before",
        OneRun::After => "after",
    };
    format!(
        "There is a phase {} in the run {run} alone: it is compared with none.",
        phase_name(lone.phase)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::compare;
    use crate::compare::file::ComparedFile;
    use crate::render::{html, markdown, plain};
    use crate::report::Report;
    use crate::report::finding::Cause;

    fn report() -> Report {
        Report::read(include_bytes!("../../tests/data/db1.json")).unwrap()
    }

    /// A run, and one in which the probe's commits took a hundred times as long, without the
    /// fault's finding and with another.
    fn compared(conditions: &[&str]) -> Comparison {
        let mut before = report();
        // So many that p99 has an upper bound.
        let probe = before.postgres.as_mut().unwrap().probe.as_mut().unwrap();
        probe.commits.answered = 31_800;
        let mut after = before.clone();
        let probe = after.postgres.as_mut().unwrap().probe.as_mut().unwrap();
        let latency = &mut probe.commits.latency;
        let all = [
            &mut latency.p50_ms,
            &mut latency.p95_ms,
            &mut latency.p99_ms,
            &mut latency.max_ms,
        ];
        for ms in all {
            *ms = ms.map(|ms| ms * 100.0);
        }
        after.findings[0].cause = Cause::WalFlush;
        after.findings[0].text = "Commits waited for the disk.".to_owned();
        let files = [before, after].map(|report| ComparedFile::Report(Box::new(report)));
        let conditions: Vec<_> = conditions.iter().map(|one| one.parse().unwrap()).collect();
        let names = ["before.json", "after.json"];
        compare([&files[0], &files[1]], names, &conditions).unwrap()
    }

    #[test]
    fn what_changed_comes_first_and_every_line_fits() {
        let text = plain::render(&of(&compared(&[])), 80);
        let first = text.lines().next().unwrap();
        assert!(first.starts_with("Of "), "{first}");
        for line in text.lines() {
            assert!(crate::text::columns(line) <= 80, "{line}");
        }
        for words in [
            "Findings: 1 came, 1 went.",
            "Before: before.json, on",
            "- Came, with confidence medium: Commits waited for the disk.",
            "- Went, and had confidence medium: Commits waited for the standby",
            "\nThe probe\n",
            "\nPhase fault, 9.0 s before and 9.0 s after\n",
            "\nHow sure that is\n",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn nothing_within_the_uncertainty_is_called_anything_else() {
        let comparison = compared(&[]);
        let part = &comparison.hosts[0].parts[0];
        let blocks = figures::groups(part).into_iter().flat_map(|one| one.blocks);
        let rows = blocks.flat_map(|block| match block {
            Block::Table(table) => table.rows,
            _ => Vec::new(),
        });
        let changes: Vec<String> = rows.filter_map(|mut row| row.pop()).collect();
        assert!(changes.iter().any(|one| one == "within"), "{changes:?}");
        let of_figures = part.figures.iter().map(|one| figures::change(one.change));
        let of_figures: Vec<&str> = of_figures.collect();
        for change in &changes {
            assert!(of_figures.contains(&change.as_str()), "{change}");
            assert_ne!(change, "-");
        }
    }

    #[test]
    fn conditions_are_told_with_the_figures_that_decide() {
        let comparison = compared(&[
            "probe.commits.p99 > 100s",
            "probe.commits.max > +20%",
            "findings.came > 1",
        ]);
        let [met, possible, not] = &comparison.conditions[..] else {
            panic!("{:?}", comparison.conditions);
        };
        let met = told(met);
        assert!(
            met.starts_with("\"probe.commits.p99 > 100s\" is met: "),
            "{met}"
        );
        let possible = told(possible);
        let words = "may be met, but that is within the uncertainty: 3.37 s before, 337 s after";
        assert!(possible.contains(words), "{possible}");
        assert_eq!(
            told(not),
            "\"findings.came > 1\" is not met: 0 before, 1 after."
        );
        let document = of(&comparison);
        let text = plain::render(&document, 80);
        assert!(text.contains("\nWhat was to fail\n"), "{text}");
    }

    #[test]
    fn every_form_has_all_of_it() {
        let document = of(&compared(&["findings > +0"]));
        let html = html::render(&document);
        let markdown = markdown::render(&document);
        for heading in ["The probe", "How sure that is", "What was to fail"] {
            assert!(html.contains(&format!("<h2>{heading}</h2>")), "{heading}");
            assert!(markdown.contains(&format!("## {heading}")), "{heading}");
        }
    }
}
