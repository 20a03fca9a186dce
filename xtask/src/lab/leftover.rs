//! What a run that was killed has left: its namespaces with what runs there, and its
//! folders.

use anyhow::{Context, Result};

use crate::{home, netns};

/// Removes it. Returns names.
pub(super) fn remove() -> Result<Vec<String>> {
    let mut removed = netns::remove_orphans().context("cannot clear away an earlier run")?;
    removed.extend(
        home::orphans()
            .iter()
            .map(|path| path.display().to_string()),
    );
    home::remove_orphans();
    Ok(removed)
}
