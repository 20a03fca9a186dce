//! What a run that was killed has left: its namespaces with what runs there, and its
//! folders.

use std::fs;

use anyhow::{Context, Result};

use crate::{home, netns};

/// Removes it. Returns names.
pub(super) fn remove() -> Result<Vec<String>> {
    let mut removed = netns::remove_orphans().context("cannot clear away an earlier run")?;
    for path in home::orphans() {
        fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        removed.push(path.display().to_string());
    }
    Ok(removed)
}
