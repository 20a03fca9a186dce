//! What was fetched once and is kept, in the git-ignored folder `.cache`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use nix::fcntl::Flock;

use crate::provision::repo;
use crate::testbed::{lock, resource_name};

/// The folder for things of this kind.
pub(crate) fn folder(kind: &str) -> PathBuf {
    repo::root().join(".cache").join(kind)
}

/// A folder that goes when this value does.
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A new one below `place`, of this process, which may make several at once.
    pub(crate) fn make(place: &Path, role: &str) -> Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = place.join(resource_name::name("cache", &format!("{role}{number}")));
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Gone already when it became part of the cache.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes what runs left behind there that were killed.
pub(crate) fn remove_orphans(place: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(place) else {
        // No folder, no leftovers.
        return Ok(());
    };
    for entry in entries.filter_map(Result::ok) {
        if entry
            .file_name()
            .to_str()
            .is_some_and(resource_name::is_orphan)
        {
            let path = entry.path();
            fs::remove_dir_all(&path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// One run at a time changes a folder.
pub(crate) fn lock(folder: &Path) -> Result<Flock<fs::File>> {
    let what = folder.display().to_string();
    lock::take(&folder.join("lock"), &what, lock::OTHERS)
}
