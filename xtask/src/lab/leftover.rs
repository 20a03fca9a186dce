//! What a run that was killed has left: its namespaces with what runs there, and its
//! folders.

use anyhow::{Context, Result};

use crate::testbed::{netns, scratch_dir};

/// Removes it. Returns names.
pub(crate) fn remove() -> Result<Vec<String>> {
    let mut removed = netns::remove_orphans().context("cannot clear away an earlier run")?;
    removed.extend(
        scratch_dir::orphans()
            .iter()
            .map(|path| path.display().to_string()),
    );
    scratch_dir::remove_orphans();
    Ok(removed)
}
