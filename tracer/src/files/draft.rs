//! A file that is written where nobody sees it, and appears whole.
//!
//! While it is written it has no name, where the file system can do that (`O_TMPFILE` in
//! [`open(2)`](https://man7.org/linux/man-pages/man2/open.2.html)): nothing is left of it,
//! whenever the program is killed. To take the place of another file it needs a name for a
//! moment, in which no signal but SIGKILL ends the program.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, linkat, unlinkat};

use crate::files::{destination, links};

/// What the process's mask leaves of it, as for any new file.
const MODE: Mode = Mode::from_bits_truncate(0o666);
/// How many names are tried that others might have.
const TRIES: u32 = 16;

/// A file that is not there yet.
#[derive(Debug)]
pub(super) struct DraftFile {
    folder: OwnedFd,
    name: OsString,
    /// None where each file has to have a name: it is then made at the end.
    file: Option<File>,
    kept: Option<Kept>,
}

impl DraftFile {
    /// Of a file at this path, which has no links in it.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = destination::folder(path);
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let folder: OwnedFd = links::open(parent, flags, Mode::empty())?.into();
        let kept = match fs::symlink_metadata(path) {
            Ok(there) => Kept::of(&fs::symlink_metadata(parent)?, &there),
            Err(_) => None,
        };
        let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let file = match openat(&folder, ".", flags, MODE) {
            Ok(file) => Some(File::from(file)),
            // A kernel, or a file system, that knows no such files.
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL | Errno::ENOENT) => {
                let _whole = Unsignalled::begin();
                let (trial, _) = named(&folder)?;
                unlinkat(&folder, trial.as_os_str(), UnlinkatFlags::NoRemoveDir)?;
                None
            }
            Err(errno) => return Err(errno.into()),
        };
        if let (Some(file), Some(kept)) = (&file, &kept) {
            // Now: a run gives its privileges up.
            kept.apply(file)?;
        }
        Ok(Self {
            folder,
            name: name.to_owned(),
            file,
            kept,
        })
    }

    /// Writes all of it, makes it last, and lets it appear.
    /// If that fails, what was there before still is.
    pub(super) fn finish(mut self, content: &[u8]) -> io::Result<()> {
        if let Some(mut file) = self.file.take() {
            file.write_all(content)?;
            file.sync_all()?;
            let _whole = Unsignalled::begin();
            if self.put(&file)? {
                return self.sync();
            }
        }
        let _whole = Unsignalled::begin();
        let (name, mut file) = named(&self.folder)?;
        let written = match &self.kept {
            Some(kept) => kept.apply(&file),
            None => Ok(()),
        };
        let written = written.and_then(|()| file.write_all(content));
        let written = written.and_then(|()| file.sync_all());
        self.replace(&name, written)?;
        self.sync()
    }

    /// Gives the file its name; false if it cannot be given one, whatever it is.
    fn put(&self, file: &File) -> io::Result<bool> {
        match self.link(file, &self.name) {
            Ok(()) => return Ok(true),
            Err(Errno::EEXIST) => {}
            Err(_) => return Ok(false),
        }
        for _ in 0..TRIES {
            let name = passing();
            match self.link(file, &name) {
                Err(Errno::EEXIST) => {}
                Err(_) => return Ok(false),
                Ok(()) => return self.replace(&name, Ok(())).map(|()| true),
            }
        }
        Ok(false)
    }

    fn link(&self, file: &File, name: &OsStr) -> nix::Result<()> {
        // As `open(2)` says, which needs no privilege.
        let open = format!("/proc/self/fd/{}", file.as_raw_fd());
        let follow = AtFlags::AT_SYMLINK_FOLLOW;
        linkat(AT_FDCWD, open.as_str(), &self.folder, name, follow)
    }

    /// Puts what has a passing name in its place, or takes it away if it is not whole.
    fn replace(&self, name: &OsStr, whole: io::Result<()>) -> io::Result<()> {
        let put = || {
            Ok(renameat(
                &self.folder,
                name,
                &self.folder,
                self.name.as_os_str(),
            )?)
        };
        let done = whole.and_then(|()| put());
        if done.is_err() {
            // The first error is returned; that this fails, too, adds nothing.
            let _ = unlinkat(&self.folder, name, UnlinkatFlags::NoRemoveDir);
        }
        done
    }

    /// Makes the name last.
    fn sync(&self) -> io::Result<()> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        File::from(openat(&self.folder, ".", flags, Mode::empty())?).sync_all()
    }
}

/// A new file with a passing name.
fn named(folder: &OwnedFd) -> io::Result<(OsString, File)> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    for _ in 1..TRIES {
        let name = passing();
        match openat(folder, name.as_os_str(), flags, MODE) {
            Err(Errno::EEXIST) => {}
            opened => return Ok((name, File::from(opened?))),
        }
    }
    Err(Errno::EEXIST.into())
}

/// A name that nobody can guess.
fn passing() -> OsString {
    let number = RandomState::new().hash_one(std::process::id());
    format!(".tracer-{number:016x}.tmp").into()
}

/// Whose a file was that is replaced, and who might do what with it.
#[derive(Debug)]
struct Kept {
    owner: u32,
    group: u32,
    mode: u32,
}

impl Kept {
    /// None of a file that somebody else put where others can write: it is not to become
    /// theirs.
    fn of(folder: &Metadata, there: &Metadata) -> Option<Self> {
        links::is_trusted(folder, there).then(|| Self {
            owner: there.uid(),
            group: there.gid(),
            mode: there.mode() & 0o777,
        })
    }

    /// Makes a file like it, as far as the caller may: nobody can do more with the new one
    /// than with the old.
    fn apply(&self, file: &File) -> io::Result<()> {
        let now = file.metadata()?;
        if now.uid() != self.owner {
            // Without the privilege the new file is the caller's.
            let _ = fchown(file.as_fd(), Some(Uid::from_raw(self.owner)), None);
        }
        let group = || fchown(file.as_fd(), None, Some(Gid::from_raw(self.group)));
        let mode = match now.gid() == self.group || group().is_ok() {
            true => self.mode,
            // Another group may no more than everybody.
            false => self.mode & 0o707 | (self.mode & 0o7) << 3 & self.mode,
        };
        Ok(fchmod(file.as_fd(), Mode::from_bits_truncate(mode))?)
    }
}

/// For as long as this is, a signal to end waits in this thread.
struct Unsignalled(SigSet);

impl Unsignalled {
    fn begin() -> Option<Self> {
        let ends: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
            .into_iter()
            .collect();
        let mut before = SigSet::empty();
        let blocked = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&ends), Some(&mut before));
        blocked.ok().map(|()| Self(before))
    }
}

impl Drop for Unsignalled {
    fn drop(&mut self) {
        // What it was before is nothing that could be refused.
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.0), None);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown};

    use super::*;

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn it_has_no_name_until_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x".repeat(255));
        let draft = DraftFile::create(&path).unwrap();
        assert_eq!(entries(folder.path()), 0);
        draft.finish(b"one").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        let draft = DraftFile::create(&path).unwrap();
        assert_eq!(entries(folder.path()), 1);
        draft.finish(b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    fn where_each_file_needs_a_name_it_gets_one_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for content in [b"one", b"two"] {
            let mut draft = DraftFile::create(&path).unwrap();
            draft.file = None;
            draft.finish(content).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
            assert_eq!(entries(folder.path()), 1);
        }
        let draft = DraftFile::create(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        draft.finish(b"three").unwrap_err();
        assert_eq!(entries(folder.path()), 1, "what failed is taken away");
    }

    #[test]
    fn what_is_replaced_stays_whose_it_was_as_root() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for has_name in [false, true] {
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            chown(&path, Some(65_534), Some(4))
                .expect("this test gives a file away: run it as root");
            let mut draft = DraftFile::create(&path).unwrap();
            if has_name {
                draft.file = None;
            }
            draft.finish(b"new").unwrap();
            let now = fs::metadata(&path).unwrap();
            assert_eq!(
                (now.uid(), now.gid(), now.mode() & 0o7777),
                (65_534, 4, 0o640)
            );
            assert_eq!(fs::read(&path).unwrap(), b"new");
        }
    }

    #[test]
    fn a_file_that_was_planted_does_not_become_its_planters_as_root() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        chown(&path, Some(65_534), None).expect("this test gives a file away: run it as root");
        DraftFile::create(&path).unwrap().finish(b"new").unwrap();
        let now = fs::metadata(&path).unwrap();
        assert_eq!(now.uid(), 0);
        assert_eq!(now.mode() & 0o022, 0);
    }
}
