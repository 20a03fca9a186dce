//! What the README and the pages beside it promise: links lead somewhere, and the commands
//! that they show are understood.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use tracer::cli::Cli;

use crate::support::program::{printed, text};

/// The README is read in one go: everything else has a page.
const README_LINES: usize = 160;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// What the README shows of a report is what the tool says of it, line by line.
#[test]
fn the_readme_shows_what_a_report_says() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let shown = readme.split("```text\n").nth(1).unwrap();
    let shown = shown.split("```").next().unwrap();
    let run = root().join("results/partial-loss/steady/run.json");
    let said = printed(&["report", &text(&run)]);
    let said: Vec<&str> = said.lines().collect();
    let lines = shown.lines().filter(|line| !line.is_empty());
    let missing: Vec<&str> = lines.filter(|line| !said.contains(line)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Every page for people, with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let root = root();
    let entries = fs::read_dir(root.join("docs")).unwrap();
    let docs = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = docs
        .filter(|path| path.extension().is_some_and(|kind| kind == "md"))
        .collect();
    paths.extend(
        [
            "README.md",
            "CHANGELOG.md",
            "CONTRIBUTING.md",
            "results/README.md",
        ]
        .map(|name| root.join(name)),
    );
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    };
    paths.into_iter().map(read).collect()
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

/// The lines of blocks for a shell that call the tool, without `sudo` and comments.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut in_shell = false;
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some(language) => in_shell = language == "sh",
            None if in_shell => {
                let line = line.split(" #").next().unwrap_or_default().trim();
                let call = line.strip_prefix("sudo ").unwrap_or(line);
                if call.starts_with("tracer ") {
                    found.push(words(&call.replace("$DB", "host=10.0.10.2 user=monitor")));
                }
            }
            None => {}
        }
    }
    found
}

/// As a shell cuts a line that has no more than double quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().unwrap().push(character),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for (path, text) in pages() {
        for target in links(&text) {
            let there = path.parent().unwrap().join(target);
            assert!(there.exists(), "{}: {target}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
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
    for (page, _) in pages() {
        let is_news = page.ends_with("CHANGELOG.md");
        assert!(is_news || reached.contains(&page), "{}", page.display());
    }
}

#[test]
fn commands_that_are_shown_are_understood() {
    let mut seen = 0;
    for (path, text) in pages() {
        for words in commands(&text) {
            let parsed = Cli::try_parse_from(&words);
            assert!(
                parsed.is_ok(),
                "{}: {words:?}: {}",
                path.display(),
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
