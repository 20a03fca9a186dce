//! The programs, with what tells libFuzzer which code an input reaches.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{command, packages, repo, setup};

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

/// Where they are.
#[derive(Debug)]
pub(super) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Builds them, with all that this needs.
    pub(super) fn build(targets: &[String]) -> Result<Self> {
        setup::run()?;
        packages::ensure_for_fuzzing()?;
        // With a target of its own the flags are not for build scripts and macros, which
        // are no programs of libFuzzer's.
        let triple = host()?;
        let mut cargo = Command::new("cargo");
        cargo
            .current_dir(repo::root())
            .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
            .args(["build", "--package", "fuzz", "--features", "libfuzzer"])
            .args(["--profile", PROFILE, "--target", &triple]);
        for target in targets {
            cargo.args(["--bin", target]);
        }
        command::show(&mut cargo)?;
        let folder = repo::target_dir().join(triple).join(PROFILE);
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
