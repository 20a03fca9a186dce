//! Which state of this repository ran, on what: for those who want to repeat it.

use std::process::Command;

use crate::figure::UNKNOWN;
use crate::{command, packages, repo};

/// The commit, and whether there were changes beside it.
#[must_use]
pub fn commit() -> String {
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
#[must_use]
pub fn postgres() -> String {
    let version = packages::postgres_bin()
        .and_then(|folder| command::output(Command::new(folder.join("postgres")).arg("--version")));
    // "postgres (PostgreSQL) 15.18 (…)"
    version
        .ok()
        .and_then(|text| Some(text.split_once(") ")?.1.trim().to_owned()))
        .unwrap_or_else(|| UNKNOWN.to_owned())
}

/// The version of a Debian package.
#[must_use]
pub fn package(name: &str) -> String {
    let mut query = Command::new("dpkg-query");
    let version = command::output(query.args(["--show", "--showformat=${Version}", name]));
    version.unwrap_or_else(|_| UNKNOWN.to_owned())
}
