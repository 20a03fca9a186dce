//! The file that says that everything is counted.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::files::draft::DraftFile;
use crate::files::{OutputError, destination, links};

/// How the file begins, by which one that a killed run left is known.
const SIGN: &str = concat!(env!("CARGO_PKG_NAME"), " ");
/// No file of ours is longer.
const MAX_READY_BYTES: u64 = 64;

/// Says that everything is counted, and takes it back at the end.
#[derive(Debug)]
pub(crate) struct ReadyFile {
    path: PathBuf,
    /// The same without links to folders, which may lead elsewhere by then.
    at: PathBuf,
    /// The file that was made: device and inode.
    made: Option<(u64, u64)>,
}

impl ReadyFile {
    /// Of an option that may not be given.
    pub(crate) fn asked(path: Option<&Path>) -> Result<Option<Self>, OutputError> {
        path.map(Self::prepare).transpose()
    }

    /// Makes sure that the file can be made, and that none is there from an earlier run.
    /// Somebody may be waiting for it already, so the trial is another file.
    fn prepare(path: &Path) -> Result<Self, OutputError> {
        Ok(Self {
            path: path.to_owned(),
            at: prepared(path).map_err(|cause| error(path, cause))?,
            made: None,
        })
    }

    /// Makes it appear.
    pub(crate) fn announce(&mut self) -> Result<(), OutputError> {
        // What appeared meanwhile is not ours.
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let made = links::open(&self.at, flags, Mode::from_bits_truncate(0o666));
        let mut file = made.map_err(|cause| error(&self.path, cause))?;
        self.made = file.metadata().ok().map(|made| (made.dev(), made.ino()));
        // That it is there is what it says; a full disk keeps the words, and an empty
        // file is known as ours, too.
        let _ = writeln!(file, "{SIGN}{}", std::process::id());
        Ok(())
    }
}

/// Where it will be.
fn prepared(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let at = links::folder(destination::folder(path))?.join(name);
    remove_ours(&at)?;
    drop(DraftFile::create(&at)?);
    Ok(at)
}

fn error(path: &Path, cause: io::Error) -> OutputError {
    OutputError::new("--ready-file", path.to_owned(), cause)
}

/// Removes what a run left that was killed. An empty file holds nothing that could be
/// lost.
fn remove_ours(path: &Path) -> io::Result<()> {
    let there = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let ours = there.is_file() && there.len() <= MAX_READY_BYTES && {
        let mut text = Vec::new();
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
        let file = links::open(path, flags, Mode::empty())?;
        file.take(MAX_READY_BYTES).read_to_end(&mut text)?;
        text.is_empty() || text.starts_with(SIGN.as_bytes())
    };
    if ours {
        return fs::remove_file(path);
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "something is there that tracer did not make; name a file that does not exist",
    ))
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        let there = fs::symlink_metadata(&self.at).ok();
        let there = there.map(|there| (there.dev(), there.ino()));
        if self.made.is_some() && self.made == there {
            // Nobody is left to learn that it stays.
            let _ = fs::remove_file(&self.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_not_ours_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready");
        fs::write(&path, "precious\n").unwrap();
        let error = ReadyFile::prepare(&path).unwrap_err().to_string();
        assert!(error.contains("did not make"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"precious\n");
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(ReadyFile::prepare(&link).is_err());
        assert!(ReadyFile::prepare(folder.path()).is_err());
        assert!(link.is_symlink());
    }

    #[test]
    fn what_a_killed_run_left_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready");
        let mut killed = ReadyFile::prepare(&path).unwrap();
        killed.announce().unwrap();
        std::mem::forget(killed);
        assert!(path.exists());
        let mut ready = ReadyFile::prepare(&path).unwrap();
        assert!(!path.exists());
        ready.announce().unwrap();
        drop(ready);
        assert!(!path.exists());
    }

    #[test]
    fn only_what_it_made_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready");
        let unannounced = ReadyFile::prepare(&path).unwrap();
        fs::write(&path, "another's").unwrap();
        drop(unannounced);
        assert!(path.exists());
        fs::remove_file(&path).unwrap();
        let mut ready = ReadyFile::prepare(&path).unwrap();
        ready.announce().unwrap();
        fs::rename(&path, folder.path().join("moved")).unwrap();
        fs::write(&path, "another's").unwrap();
        drop(ready);
        assert_eq!(fs::read(&path).unwrap(), b"another's");
    }
}
