//! What the project stands on: licences, sources and bans of its dependencies by
//! `deny.toml`, and what is known against them where the database of that can be had.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::provision::repo;
use crate::provision::tool::Tool;
use crate::testbed::command;

pub(super) const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    does: "judges dependencies",
    by_hand: "dependencies are judged by cargo-deny: put it on PATH, as \
              https://embarkstudios.github.io/cargo-deny/ says",
};

pub(crate) fn check() -> Result<()> {
    let deny = DENY.ensure()?;
    let check = |what: &[&str]| {
        let mut deny = deny_in_repo(&deny);
        deny.args(["--log-level", "error", "check", "--hide-inclusion-graph"]);
        command::show(deny.args(what))
    };
    check(&["licenses", "bans", "sources"])?;
    // It is a repository of its own: without a way to it there is nothing to ask.
    match command::output(deny_in_repo(&deny).args(["fetch", "db"])) {
        Ok(_) => check(&["--disable-fetch", "advisories"]),
        Err(error) => {
            println!("advisories not asked: {error:#}");
            Ok(())
        }
    }
}

fn deny_in_repo(deny: &Path) -> Command {
    let mut command = Command::new(deny);
    command.current_dir(repo::root());
    command
}
