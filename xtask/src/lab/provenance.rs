//! Which state of this repository ran, on what: for those who want to repeat it.

use std::process::Command;

use tracer_core::report::Report;

use crate::lab::format::UNKNOWN;
use crate::provision::{packages, repo};
use crate::testbed::command;

/// How every `how.md` begins: the command that does it again, and on what it was done,
/// by tracer's report. `more` are rows of that table.
pub(crate) fn head(command: &str, commit: &str, report: &Report, more: &str) -> String {
    format!(
        "# How this result was made

Written by the run itself.

```sh
{command}
```

| | |
|---|---|
| when | {start} to {end} |
| commit | {commit} |
| tracer | {version} |
| kernel | {kernel} |
| PostgreSQL | {postgres} |
{more}",
        start = report.window.start,
        end = report.window.end,
        version = report.tool.version,
        kernel = report.host.kernel,
        postgres = postgres(),
    )
}

/// The commit, and whether there were changes beside it.
pub(crate) fn commit() -> String {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        command::output(git.current_dir(repo::root()).args(arguments)).ok()
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else {
        return UNKNOWN.to_owned();
    };
    // A result is no change of what made it.
    let changes = git(&["status", "--porcelain", "--", ".", ":!results"]);
    let state = match changes.as_deref().map(str::trim) {
        Some("") => "",
        _ => ", with changes that are not committed",
    };
    format!("{}{state}", commit.trim())
}

/// The version of PostgreSQL that the lab runs.
pub(crate) fn postgres() -> String {
    let version = packages::postgres_bin()
        .and_then(|folder| command::output(Command::new(folder.join("postgres")).arg("--version")));
    // "postgres (PostgreSQL) 15.18 (…)"
    version
        .ok()
        .and_then(|text| Some(text.split_once(") ")?.1.trim().to_owned()))
        .unwrap_or_else(|| UNKNOWN.to_owned())
}

pub(crate) fn package(name: &str) -> String {
    let mut query = Command::new("dpkg-query");
    let version = command::output(query.args(["--show", "--showformat=${Version}", name]));
    version.unwrap_or_else(|_| UNKNOWN.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbed::sample_report;

    #[test]
    fn it_says_what_ran_on_what() {
        let mut report = sample_report::empty();
        report.host.kernel = "6.18.1".to_owned();
        report.tool.version = "1.2.3".into();
        let text = head("cargo xtask demo", "abc", &report, "| more | 1 |\n");
        for line in [
            "cargo xtask demo",
            "| commit | abc |",
            "| kernel | 6.18.1 |",
            "| tracer | 1.2.3 |",
            "| more | 1 |",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\nnot in\n{text}");
        }
    }
}
