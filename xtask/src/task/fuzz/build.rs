//! The programs, with what shows libFuzzer which code an input reaches.

use std::path::PathBuf;

use anyhow::Result;

use crate::provision::{packages, repo};
use crate::task::setup;
use crate::testbed::command;

/// Targets whose bytes say how something is changed that is good: there is nothing in them
/// that could be compared with a word, and without that they are run several times as often.
const CHANGERS: [&str; 3] = ["compare", "merge", "report"];

/// How the programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speed {
    /// To be fast.
    Fast,
    /// To be ready soon: as tests are, for which the libraries are built already, and all of
    /// them in one way.
    Soon,
}

impl Speed {
    /// The targets by the wrapper (`tracer/fuzz`) that they are built with.
    fn wrappers(self, targets: &[String]) -> Vec<(&'static str, Vec<&String>)> {
        let changes = |target: &&String| self == Self::Fast && CHANGERS.contains(&target.as_str());
        let (changers, parsers) = targets.iter().partition(changes);
        vec![
            ("instrumented", changers),
            ("instrumented-compares", parsers),
        ]
    }

    /// The profile in `Cargo.toml`, and the folder of its programs.
    fn profile(self) -> (&'static str, &'static str) {
        match self {
            Self::Fast => ("fuzz", "fuzz"),
            Self::Soon => ("dev", "debug"),
        }
    }
}

#[derive(Debug)]
pub(super) struct FuzzPrograms {
    folder: PathBuf,
}

impl FuzzPrograms {
    /// Builds them, with all that this needs.
    pub(super) fn build(targets: &[String], speed: Speed) -> Result<Self> {
        setup::run()?;
        packages::ensure_also(&packages::FUZZING)?;
        let (profile, folder) = speed.profile();
        for (wrapper, targets) in speed.wrappers(targets) {
            if targets.is_empty() {
                continue;
            }
            let wrapper = repo::root().join("tracer/fuzz").join(wrapper);
            let mut cargo = repo::cargo();
            cargo
                .env("RUSTC_WORKSPACE_WRAPPER", wrapper)
                .args(["build", "--package", "fuzz", "--features", "libfuzzer"])
                .args(["--profile", profile]);
            for target in targets {
                cargo.args(["--bin", target]);
            }
            command::show(&mut cargo)?;
        }
        Ok(Self {
            folder: repo::target_dir().join(folder),
        })
    }

    pub(super) fn of(&self, target: &str) -> PathBuf {
        self.folder.join(target)
    }
}
