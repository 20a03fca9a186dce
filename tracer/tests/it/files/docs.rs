//! What the README and the pages beside it promise: links lead somewhere, and the commands
//! that they show are understood, and do what the pages say.

mod commands;

use std::fs;

use clap::Parser as _;
use tracer::cli::Cli;

use crate::support::pages::{Page, page, pages, root, words};
use crate::support::program::{printed, text};

/// The README is read in one go: everything else has a page.
const README_LINES: usize = 160;

/// What the README shows of a report is what the tool says of it, line by line.
#[test]
fn the_readme_shows_what_a_report_says() {
    let readme = page("README.md");
    let shown = readme.blocks("text").concat();
    let run = root().join("results/partial-loss/steady/run.json");
    let said = printed(&["report", &text(&run)]);
    let said: Vec<&str> = said.lines().collect();
    let lines = shown.iter().filter(|line| !line.is_empty());
    let missing: Vec<_> = lines.filter(|line| !said.contains(line)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Targets of links within the repository, without their anchors.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets
        .filter(|target| !target.contains("://"))
        .filter_map(|target| target.split('#').next())
        .filter(|target| !target.is_empty())
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for Page { path, text } in pages() {
        for target in links(&text) {
            let there = path.parent().unwrap().join(target);
            assert!(there.exists(), "{}: {target}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}

/// Files and folders of the repository that a page names, by their paths from its root.
#[test]
fn files_that_are_named_are_there() {
    let mut seen = 0;
    for Page { path: page, text } in pages() {
        let quoted = text.split('`').skip(1).step_by(2);
        for name in quoted.filter(|text| is_path(text)) {
            assert!(root().join(name).exists(), "{}: {name}", page.display());
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}

fn is_path(quoted: &str) -> bool {
    let own = ["tracer/", "tracer-ebpf/", "xtask/", "deploy/", "docs/"];
    let plain = |one: char| one.is_ascii_alphanumeric() || "/._-".contains(one);
    let is_placeholder = quoted.contains("NAME");
    let is_own = own.iter().any(|folder| quoted.starts_with(folder));
    is_own && !is_placeholder && quoted.chars().all(plain)
}

#[test]
fn every_page_is_reached_from_the_readme() {
    let root = root();
    let mut reached = vec![root.join("README.md")];
    let mut next = 0;
    while let Some(page) = reached.get(next).cloned() {
        next += 1;
        for target in links(&fs::read_to_string(&page).unwrap()) {
            let there = page.parent().unwrap().join(target).canonicalize().unwrap();
            if there.extension().is_some_and(|kind| kind == "md") && !reached.contains(&there) {
                reached.push(there);
            }
        }
    }
    for Page { path: page, .. } in pages() {
        let is_news = page.ends_with("CHANGELOG.md");
        assert!(is_news || reached.contains(&page), "{}", page.display());
    }
}

#[test]
fn commands_that_are_shown_are_understood() {
    let mut seen = 0;
    for page in pages() {
        for line in page.commands() {
            let line = line.strip_prefix("sudo ").unwrap_or(&line);
            if !line.starts_with("tracer ") {
                continue;
            }
            let parsed = Cli::try_parse_from(words(line));
            assert!(
                parsed.is_ok(),
                "{}: {line}: {}",
                page.path.display(),
                parsed.unwrap_err()
            );
            seen += 1;
        }
    }
    assert!(seen > 25, "{seen}");
}

#[test]
fn the_readme_is_read_in_one_go() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let lines = text.lines().count();
    assert!(lines <= README_LINES, "{lines}");
}
