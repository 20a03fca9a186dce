//! A temporary folder that stays if its test fails, so that what a run left can be read.

use std::{io, path::Path, thread};

use tempfile::TempDir;

/// Removed when dropped, unless the thread is panicking.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> io::Result<Self> {
        tempfile::tempdir().map(Self)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.disable_cleanup(true);
            eprintln!("what the run left: {}", self.path().display());
        }
    }
}
