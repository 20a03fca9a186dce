//! Programs that are built from a registry, once, into `.toolchain`.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::provision::repo;
use crate::testbed::command;

/// One of them, as its package is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// What it is for.
    pub(crate) does: &'static str,
    /// What to do where it cannot be built.
    pub(crate) by_hand: &'static str,
}

/// The runner of the tests. `.config/nextest.toml` says which of them have to be alone and
/// when one is ended that does not end by itself: `cargo test` knows nothing of that.
pub(crate) const NEXTEST: Tool = Tool {
    name: "cargo-nextest",
    version: "0.9.151",
    does: "runs the tests",
    by_hand: "the tests need cargo-nextest on PATH: see https://nexte.st for a build of it",
};

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

impl Tool {
    /// Where an earlier set-up put it, if that was this version, with this feature.
    pub(crate) fn installed(&self, feature: Option<&str>) -> Option<PathBuf> {
        // Cargo's record of what it installed there, and with which features.
        let record = fs::read_to_string(repo::toolchain_dir().join(".crates2.json")).ok()?;
        let program = self.program();
        (self.is_in(&record, feature) && program.exists()).then_some(program)
    }

    /// Finds it on `PATH` or where an earlier set-up put it, or builds it, and says which.
    pub(crate) fn ensure(&self) -> Result<PathBuf> {
        let found = command::find(self.name).or_else(|| self.installed(None));
        if let Some(found) = found {
            println!("found      {} ({})", found.display(), self.does);
            return Ok(found);
        }
        println!("building   {self}, once (some minutes) …");
        self.install(|_| {}).context(self.by_hand)
    }

    fn program(&self) -> PathBuf {
        repo::toolchain_dir().join("bin").join(self.name)
    }

    fn is_in(&self, record: &str, feature: Option<&str>) -> bool {
        let record: Value = serde_json::from_str(record).unwrap_or_default();
        let installs = record.get("installs").and_then(Value::as_object);
        let has = |install: &Value, feature: &str| {
            let features = install.get("features").and_then(Value::as_array);
            features.is_some_and(|it| it.iter().any(|one| one == feature))
        };
        installs.into_iter().flatten().any(|(package, install)| {
            package.starts_with(&format!("{self} "))
                && feature.is_none_or(|feature| has(install, feature))
        })
    }

    /// Builds it; `more` adds to what cargo usually gets.
    pub(crate) fn install(&self, more: impl FnOnce(&mut Command)) -> Result<PathBuf> {
        let mut cargo = Command::new("cargo");
        cargo
            // This program may itself be run by a cargo with flags of its own.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("CARGO_TARGET_DIR")
            // What stands there was not made for this purpose, or nobody knows.
            .args(["install", "--quiet", "--locked", "--force", self.name])
            .args(["--version", self.version])
            .arg("--root")
            .arg(repo::toolchain_dir());
        more(&mut cargo);
        command::output(&mut cargo).with_context(|| format!("cannot build {self}"))?;
        let program = self.program();
        println!("installed  {}", program.display());
        Ok(program)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_older_one_or_another_s_is_not_the_one_wanted() {
        let tool = Tool {
            name: "bpf-linker",
            version: "0.13.0",
            ..NEXTEST
        };
        let record = |version: &str| {
            let package = format!("bpf-linker {version} (registry+https://example.org)");
            json!({"installs": {package: {"features": ["llvm-22"]}}}).to_string()
        };
        assert!(tool.is_in(&record("0.13.0"), Some("llvm-22")));
        assert!(tool.is_in(&record("0.13.0"), None));
        assert!(!tool.is_in(&record("0.13.0"), Some("llvm-21")));
        assert!(!tool.is_in(&record("0.9.0"), Some("llvm-22")));
        assert!(!tool.is_in("", None));
    }
}
