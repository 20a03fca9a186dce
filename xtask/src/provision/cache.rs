//! What was fetched once and is kept, in the git-ignored folder `.cache`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::provision::repo;
use crate::testbed::{file, lock, resource_name};

pub(crate) fn folder(kind: &str) -> PathBuf {
    repo::root().join(".cache").join(kind)
}

/// A new folder below `place` that goes when the value does, or becomes part of the cache.
pub(crate) fn scratch(place: &Path, role: &str) -> Result<TempDir> {
    file::make_folder(place)?;
    tempfile::Builder::new()
        .prefix(&resource_name::name("cache", role))
        // Other users' programs run from what was unpacked.
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in(place)
        .with_context(|| format!("cannot make a folder in {}", place.display()))
}

/// Removes what runs left behind there that were killed.
pub(crate) fn remove_orphans(place: &Path) -> Result<()> {
    // No folder, no leftovers.
    for path in file::entries(place).unwrap_or_default() {
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(resource_name::is_orphan) {
            file::remove_folder(&path)?;
        }
    }
    Ok(())
}

/// One run at a time changes a folder.
pub(crate) fn lock(folder: &Path) -> Result<fs::File> {
    let what = folder.display().to_string();
    lock::take(&folder.join("lock"), &what, lock::OTHERS)
}
