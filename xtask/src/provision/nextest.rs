//! The runner of the tests. `.config/nextest.toml` says which of them have to be alone and
//! when one is ended that does not end by itself: `cargo test` knows nothing of that.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::provision::tool::Tool;

const NEXTEST: Tool = Tool {
    name: "cargo-nextest",
    version: "0.9.151",
};

/// Finds it, or builds it.
pub(crate) fn ensure() -> Result<PathBuf> {
    NEXTEST
        .ensure("runs the tests")
        .context("the tests need cargo-nextest on PATH: see https://nexte.st for a build of it")
}
