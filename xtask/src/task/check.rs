//! `cargo xtask check`: within two minutes, whether a change is sound.
//!
//! Format, lints, and the tests that need neither root nor a package: the profile
//! `check` of `.config/nextest.toml` says which.

use std::process::Command;

use anyhow::Result;

use super::lint;
use super::steps::Steps;
use crate::provision::{repo, tool};
use crate::testbed::command;

/// Runs every step, also after one has failed, and prints the time of each.
pub(crate) fn run() -> Result<()> {
    let mut steps = Steps::default();
    steps.make("format", lint::format)?;
    steps.make("lints", lint::check)?;
    steps.make("tests", tests)?;
    steps.finish()
}

/// Of `tracer` and `xtask` only what may hold such tests: to link the rest takes as long
/// as all of this.
fn tests() -> Result<()> {
    let nextest = tool::NEXTEST.ensure()?;
    for targets in [
        "--package tracer-core --package tracer-ebpf --package fuzz",
        "--package tracer --package xtask --lib --test it --test architecture",
    ] {
        let mut tests = Command::new(&nextest);
        tests.args(["nextest", "run", "--profile", "check", "--no-fail-fast"]);
        command::show(tests.args(targets.split(' ')).current_dir(repo::root()))?;
    }
    Ok(())
}
