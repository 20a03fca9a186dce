//! The pages for people: the README, and what stands beside it.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the project.
pub(crate) fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().unwrap()
}

/// A page, with its text.
pub(crate) struct Page {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Page {
    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap();
        Self { path, text }
    }

    /// The lines of its blocks of this language, block by block.
    pub(crate) fn blocks(&self, language: &str) -> Vec<Vec<&str>> {
        let mut blocks: Vec<Vec<&str>> = Vec::new();
        let mut within = None;
        for line in self.text.lines() {
            match (line.strip_prefix("```"), within) {
                (Some(begun), None) => {
                    within = Some(begun == language);
                    if begun == language {
                        blocks.push(Vec::new());
                    }
                }
                (Some(_), Some(_)) => within = None,
                (None, Some(true)) => blocks.last_mut().unwrap().push(line),
                (None, _) => {}
            }
        }
        blocks
    }

    /// What its blocks for a shell call, line by line, without the comments, and with
    /// what the page itself says of its variables.
    pub(crate) fn commands(&self) -> Vec<String> {
        let mut variables: Vec<(String, &str)> = Vec::new();
        let mut commands = Vec::new();
        for line in self.blocks("sh").concat() {
            let line = line.split(" #").next().unwrap_or_default().trim();
            let name = |name: &str| name.chars().all(|one| one.is_ascii_uppercase());
            match line.split_once("=\"") {
                Some((variable, value)) if name(variable) => {
                    variables.push((format!("${variable}"), value.trim_end_matches('"')));
                }
                _ if line.is_empty() => {}
                _ => commands.push(
                    variables
                        .iter()
                        .fold(line.to_owned(), |line, (name, value)| {
                            line.replace(name, value)
                        }),
                ),
            }
        }
        commands
    }
}

/// One page, by its path in the project.
pub(crate) fn page(path: &str) -> Page {
    Page::read(root().join(path))
}

/// Every page.
pub(crate) fn pages() -> Vec<Page> {
    let root = root();
    let entries = fs::read_dir(root.join("docs")).unwrap();
    let docs = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = docs
        .filter(|path| path.extension().is_some_and(|kind| kind == "md"))
        .collect();
    let others = [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "results/README.md",
        "tracer/fuzz/README.md",
    ];
    paths.extend(others.map(|name| root.join(name)));
    paths.sort();
    paths.into_iter().map(Page::read).collect()
}

/// As a shell cuts a line that has no more than double quotes.
pub(crate) fn words(line: &str) -> Vec<String> {
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
