//! Files in the system's folders that are there while packages are set up. Each says whose
//! it is: what a run that was killed has left is then known from what others made.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::testbed::{file, resource_name};

/// The name that this process signs with.
pub(super) fn mark() -> String {
    resource_name::name("setup", "file")
}

/// Removed when dropped, with the folders that were made for it.
pub(super) struct Temporary {
    path: PathBuf,
    folders: Vec<PathBuf>,
}

impl Temporary {
    /// Writes it. The text has to hold the mark, as a word before a colon.
    pub(super) fn write(path: &Path, text: &str) -> Result<Self> {
        let folders = path.ancestors().skip(1);
        let folders = folders.take_while(|folder| !folder.exists());
        // Before it is there: half of it is removed, too.
        let temporary = Self {
            path: path.to_owned(),
            folders: folders.map(Path::to_owned).collect(),
        };
        if let Some(folder) = path.parent() {
            file::make_folder(folder)?;
        }
        file::write(path, text)?;
        Ok(temporary)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        for folder in &self.folders {
            // Fails, as it should, where a package has put files of its own.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Removes the file if one of us wrote it who has died. What it says beside its mark does
/// not matter: others may say the same.
pub(super) fn remove_orphan(path: &Path) -> Result<()> {
    // Not there, or no text: not ours.
    let text = fs::read_to_string(path).unwrap_or_default();
    if !text
        .split([' ', ':', '\n'])
        .any(|word| word.starts_with("tracer-setup-") && resource_name::is_orphan(word))
    {
        return Ok(());
    }
    fs::remove_file(path).with_context(|| {
        format!(
            "cannot remove {}, left by a run that was killed",
            path.display()
        )
    })?;
    println!(
        "removed    {}, left by a run that was killed",
        path.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_dead_have_signed_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let nested = folder.path().join("a/b/file");
        drop(Temporary::write(&nested, "text").unwrap());
        assert!(!folder.path().join("a").exists());
        let kept = |text: &str| {
            fs::write(&path, text).unwrap();
            remove_orphan(&path).unwrap();
            path.exists()
        };
        assert!(kept("#!/bin/sh\nexit 101\n"));
        assert!(kept(&format!("# {}: now\n", mark())));
        // Above the largest process id that Linux gives (2^22).
        assert!(!kept("# tracer-setup-4194305-file: now\nexit 101\n"));
        remove_orphan(&path).unwrap();
        let temporary = Temporary::write(&path, "text").unwrap();
        assert!(path.exists());
        drop(temporary);
        assert!(!path.exists());
    }
}
