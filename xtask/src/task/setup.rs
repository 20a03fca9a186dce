//! `cargo xtask setup`: finds or installs everything that building, testing
//! and the lab need. Quick when nothing is missing.

use anyhow::{Context, Result};

use crate::provision::{packages, toolchain};

/// Finds or installs everything; one line each on standard output.
pub(crate) fn run() -> Result<()> {
    packages::ensure().context("cannot set up the system packages")?;
    toolchain::ensure().context("cannot set up the compiler for the kernel programs")
}
