//! What a run writes while it is not known whether that becomes a result.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::provision::repo;
use crate::testbed::{file, lock};

/// A folder that belongs to one run as long as the value lives, and is kept after it.
pub(crate) struct Staging {
    folder: PathBuf,
    _alone: File,
}

impl Staging {
    /// An empty one of this name; a run that has it is waited for.
    pub(crate) fn make(name: &str) -> Result<Self> {
        Self::make_in(&folder(), name, lock::OTHERS)
    }

    fn make_in(place: &Path, name: &str, limit: Duration) -> Result<Self> {
        let folder = place.join(name);
        // Beside it: what is in it is removed.
        let lock = place.join(format!("{name}.lock"));
        let around = folder.parent().unwrap_or(place);
        file::make_folder(around)?;
        let alone = lock::take(&lock, &folder.display().to_string(), limit)?;
        // Not there: nothing to remove.
        let _ = fs::remove_dir_all(&folder);
        file::make_folder(&folder)?;
        Ok(Self {
            folder,
            _alone: alone,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }
}

pub(crate) fn folder() -> PathBuf {
    repo::target_dir().join("lab")
}

/// Puts files in the place of those of an earlier run.
pub(crate) fn publish(files: &Path, output: &Path) -> Result<()> {
    file::make_folder(output)?;
    for from in file::entries(files)? {
        if let Some(name) = from.file_name() {
            file::copy(&from, &output.join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_empties_the_folder_of_a_run_that_is_not_over() {
        let place = tempfile::tempdir().unwrap();
        let make = || Staging::make_in(place.path(), "failover/hard", Duration::ZERO);
        let first = make().unwrap();
        let file = first.path().join("db1.json");
        fs::write(&file, "").unwrap();
        assert!(make().is_err() && file.exists());
        drop(first);
        make().unwrap();
        assert!(!file.exists());
    }
}
