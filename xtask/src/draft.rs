//! What a run writes while it is not known whether that becomes a result.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::Flock;

use crate::{lock, repo};

/// A folder that belongs to one run as long as the value lives, and is kept after it.
pub(crate) struct Draft {
    folder: PathBuf,
    _alone: Flock<File>,
}

impl Draft {
    /// An empty one of this name; a run that has it is waited for.
    pub(crate) fn make(name: &str) -> Result<Self> {
        Self::make_in(&folder(), name)
    }

    fn make_in(place: &Path, name: &str) -> Result<Self> {
        let folder = place.join(name);
        // Beside it: what is in it is removed.
        let lock = place.join(format!("{name}.lock"));
        let around = folder.parent().unwrap_or(place);
        fs::create_dir_all(around).with_context(|| format!("cannot make {}", around.display()))?;
        let alone = lock::take(&lock, &folder.display().to_string(), lock::OTHERS)?;
        // Not there: nothing to remove.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self {
            folder,
            _alone: alone,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }
}

/// Where they all are.
pub(crate) fn folder() -> PathBuf {
    repo::target_dir().join("lab")
}

/// Puts files in the place of those of an earlier run.
pub(crate) fn publish(files: &Path, output: &Path) -> Result<()> {
    fs::create_dir_all(output).with_context(|| format!("cannot make {}", output.display()))?;
    for entry in fs::read_dir(files)? {
        let entry = entry?;
        let to = output.join(entry.file_name());
        fs::copy(entry.path(), &to).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn nobody_empties_the_folder_of_a_run_under_way() {
        let place = tempfile::tempdir().unwrap();
        let first = Draft::make_in(place.path(), "failover/hard").unwrap();
        let file = first.path().join("db1.json");
        fs::write(&file, "").unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| Draft::make_in(place.path(), "failover/hard").unwrap());
            thread::sleep(Duration::from_millis(50));
            assert!(file.exists() && !second.is_finished());
            drop(first);
            second.join().unwrap();
        });
        assert!(!file.exists());
    }
}
