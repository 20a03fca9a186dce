//! Where things are in this repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::testbed::command;

/// The repository that this program was built from.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// A text with the paths of this repository as seen from its root.
pub(crate) fn shorten(text: &str) -> String {
    text.replace(&format!("{}/", root().display()), "")
}

/// Git-ignored folder for the BPF linker and the answer to "which compiler?".
pub(crate) fn toolchain_dir() -> PathBuf {
    root().join(".toolchain")
}

/// The folder that cargo builds into: `CARGO_TARGET_DIR`, or `target/`.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        // Cargo takes a relative one from where it is run: the root, here.
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Builds tracer as users get it, and returns the program.
pub(crate) fn build_release() -> Result<PathBuf> {
    build(&["--release"])?;
    Ok(target_dir().join("release/tracer"))
}

/// Builds tracer as its tests do, and returns the program.
///
/// # Errors
/// As [`build_release`].
pub fn build_debug() -> Result<PathBuf> {
    build(&[])?;
    Ok(target_dir().join("debug/tracer"))
}

fn build(options: &[&str]) -> Result<()> {
    command::show(cargo().args(["build", "--package", "tracer"]).args(options))
}

pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root());
    cargo
}
