//! Folders that one run needs, among the cached kernels.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

use crate::{owner, repo};

/// Git-ignored folder for the kernels of guests.
pub(super) fn cache() -> PathBuf {
    repo::root().join(".cache/kernels")
}

/// A folder that goes when this value does.
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A new one of this process, which may run several guests at once.
    pub(super) fn make(role: &str) -> Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = cache().join(owner::name("vm", &format!("{role}{number}")));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Gone already when it became part of the cache.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes what runs left behind that were killed.
pub(super) fn remove_orphans() -> Result<()> {
    let Ok(entries) = fs::read_dir(cache()) else {
        // No folder, no leftovers.
        return Ok(());
    };
    for entry in entries.filter_map(Result::ok) {
        if entry.file_name().to_str().is_some_and(owner::is_orphan) {
            let path = entry.path();
            fs::remove_dir_all(&path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}
