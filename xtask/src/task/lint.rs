//! Format and lints of all crates, the kernel programs included.

use std::process::Command;

use anyhow::Result;

use crate::provision::repo;
use crate::testbed::command;

const PROGRAMS: &str = "tracer-ebpf";

/// Whether every file is as rustfmt writes it.
pub(super) fn format() -> Result<()> {
    command::show(repo::cargo().args(["fmt", "--all", "--check"]))
}

/// Clippy, for which a warning is an error.
pub(super) fn check() -> Result<()> {
    let mut userspace = repo::cargo();
    userspace.args(["clippy", "--workspace", "--exclude", PROGRAMS]);
    command::show(deny_warnings(userspace.arg("--all-targets")))?;
    command::show(deny_warnings(&mut of_programs()))
}

/// The kernel programs are checked as if they were for this machine: there is a `core`
/// for that in every toolchain, and none of their code depends on the target. Nothing is
/// generated, so that the instructions in them need not be this machine's.
fn of_programs() -> Command {
    let mut clippy = repo::cargo();
    clippy
        // As in tracer's build script: `asm_experimental_arch` is not stable.
        .env("RUSTC_BOOTSTRAP", "1")
        // A folder of their own: cargo would build what depends on that again and again.
        .args(["clippy", "--target-dir"])
        .arg(repo::target_dir().join("lint"))
        // Of that profile a panic does not unwind, for which they have no code.
        .arg("--release")
        .args(["--package", PROGRAMS, "--features", "programs", "--bins"]);
    clippy
}

fn deny_warnings(clippy: &mut Command) -> &mut Command {
    clippy.args(["--", "-D", "warnings"])
}
