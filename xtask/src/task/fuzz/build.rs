//! The programs, with what tells libFuzzer which code an input reaches.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::provision::{packages, repo};
use crate::task::setup;
use crate::testbed::command;

/// The profile in `Cargo.toml`.
const PROFILE: &str = "fuzz";

/// What `cargo fuzz` passes as well, but for the sanitizer, which takes a nightly compiler,
/// and for `--cfg fuzzing`, by which some libraries leave out what they check: what is
/// fuzzed is what is shipped.
const FLAGS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cforce-frame-pointers",
];

/// How much of the programs tells which code an input reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// All but the standard library: to find the most. Everything is built for that.
    Whole,
    /// The crates of this repository: to be ready soon, where the others are built already,
    /// as they are for tests.
    Own,
}

/// Where they are.
#[derive(Debug)]
pub(super) struct FuzzPrograms {
    folder: PathBuf,
}

impl FuzzPrograms {
    /// Builds them, with all that this needs.
    pub(super) fn build(targets: &[String], depth: Depth) -> Result<Self> {
        setup::run()?;
        packages::ensure_for_fuzzing()?;
        let mut cargo = Command::new("cargo");
        cargo.current_dir(repo::root()).args([
            "build",
            "--package",
            "fuzz",
            "--features",
            "libfuzzer",
        ]);
        for target in targets {
            cargo.args(["--bin", target]);
        }
        let folder = match depth {
            Depth::Whole => {
                // With a target of its own the flags are not for build scripts and macros,
                // which are no programs of libFuzzer's.
                let triple = host()?;
                cargo
                    .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
                    .args(["--profile", PROFILE, "--target", &triple]);
                repo::target_dir().join(triple).join(PROFILE)
            }
            Depth::Own => {
                let wrapper = repo::root().join("tracer/fuzz/instrumented");
                cargo
                    .env("RUSTC_WORKSPACE_WRAPPER", wrapper)
                    .env("TRACER_FUZZ_FLAGS", FLAGS.join(" "));
                repo::target_dir().join("debug")
            }
        };
        command::show(&mut cargo)?;
        Ok(Self { folder })
    }

    /// The program of a target.
    pub(super) fn of(&self, target: &str) -> PathBuf {
        self.folder.join(Path::new(target))
    }
}

/// What the compiler calls this machine.
fn host() -> Result<String> {
    let version = command::output(Command::new("rustc").arg("-vV"))?;
    parse_host(&version).context("`rustc -vV` names no host")
}

fn parse_host(version: &str) -> Option<String> {
    let mut lines = version.lines();
    lines
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_names_this_machine() {
        let version = "rustc 1.95.0 (x 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\n";
        assert_eq!(
            parse_host(version).as_deref(),
            Some("x86_64-unknown-linux-gnu")
        );
        assert_eq!(parse_host("rustc 1.95.0\n"), None);
        assert!(host().unwrap().contains("linux"));
    }
}
