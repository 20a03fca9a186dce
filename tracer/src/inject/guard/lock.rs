//! One fault an interface at a time: or a second one would take what the first one
//! changed for the state to restore.
//!
//! A lock on the file of the interface's record, in a folder that only root enters: a
//! name that any user can take would let any user keep faults from being made, or undone.
//! The kernel drops the lock with the process that has it, so that a file which stayed
//! holds nobody up.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{io, thread};

use nix::unistd::geteuid;

use crate::inject::Interface;

/// Goes with a reboot, as do faults.
pub(crate) const FOLDER: &str = "/run/tracer";
/// `--status` and `tracer clean` try every lock, and let go at once: on a busy machine that
/// may take longer than it should.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a file may be removed between opening and locking it.
const TRIES: usize = 16;

/// A file that is locked, and is the one of its name. The lock lasts until every
/// descriptor of it is closed.
#[derive(Debug)]
pub(crate) struct InterfaceLock {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

/// Who else may have the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nobody.
    Alone,
    /// The tool and its guard: nobody gets it alone while one of them lives.
    Shared,
}

impl InterfaceLock {
    /// Claims an interface of a network namespace. The file is made if there is none.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another process has it.
    pub(crate) fn take(netns: u32, interface: &Interface) -> io::Result<Self> {
        let path = folder()?.join(name(netns, interface));
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Self::lock(&path, Kind::Alone, true) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if Instant::now() >= deadline {
                        return Err(error);
                    }
                    thread::sleep(Duration::from_millis(5));
                }
                other => return other,
            }
        }
    }

    /// Locks a file that is there.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another process has it,
    /// [`io::ErrorKind::NotFound`] if it is gone.
    pub(crate) fn of(path: &Path, kind: Kind) -> io::Result<Self> {
        Self::lock(path, kind, false)
    }

    fn lock(path: &Path, kind: Kind, create: bool) -> io::Result<Self> {
        for _ in 0..TRIES {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(create)
                .truncate(false)
                // Whoever may open it may lock it.
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(path)?;
            let claim = Self {
                path: path.to_owned(),
                file,
            };
            claim.try_lock(kind)?;
            // Its last holder may have removed it meanwhile: a lock on a file without a
            // name keeps nobody out.
            if claim.is_named()? {
                return Ok(claim);
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn try_lock(&self, kind: Kind) -> io::Result<()> {
        let locked = match kind {
            Kind::Alone => self.file.try_lock(),
            Kind::Shared => self.file.try_lock_shared(),
        };
        locked.map_err(|error| match error {
            TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            TryLockError::Error(error) => error,
        })
    }

    /// Lets others share it.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if somebody else took it just then.
    pub(crate) fn share(&self) -> io::Result<()> {
        self.try_lock(Kind::Shared)
    }

    /// Whether it is the file of its name.
    fn is_named(&self) -> io::Result<bool> {
        let own = self.file.metadata()?;
        match fs::symlink_metadata(&self.path) {
            Ok(named) => Ok((named.dev(), named.ino()) == (own.dev(), own.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the file, unless another one has its name by now.
    pub(crate) fn remove(&self) {
        if matches!(self.is_named(), Ok(true)) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The folder, which is made if there is none.
fn folder() -> io::Result<&'static Path> {
    let folder = Path::new(FOLDER);
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || ![0, geteuid().as_raw()].contains(&found.uid()) {
        return Err(io::Error::other(format!(
            "{FOLDER} is not a directory of root's, and so others could take what is in it; remove it"
        )));
    }
    // An earlier version let everybody list it.
    if found.mode() & 0o777 != 0o700 {
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    Ok(folder)
}

pub(crate) fn name(netns: u32, interface: &Interface) -> String {
    format!("fault-{netns}-{}.json", interface.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(path: &Path) -> io::Result<InterfaceLock> {
        InterfaceLock::lock(path, Kind::Alone, true)
    }

    #[test]
    fn one_holds_it_and_a_file_that_stayed_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fault-7-2.json");
        fs::write(&path, "").unwrap();
        let held = take(&path).unwrap();
        let refused = take(&path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(held);
        take(&path).unwrap().remove();
        assert!(!path.exists());
    }

    #[test]
    fn who_shares_it_keeps_others_out_until_the_last_one_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fault-7-2.json");
        let guard = take(&path).unwrap();
        assert!(InterfaceLock::of(&path, Kind::Shared).is_err());
        guard.share().unwrap();
        let tool = InterfaceLock::of(&path, Kind::Shared).unwrap();
        drop(guard);
        assert!(take(&path).is_err());
        drop(tool);
        take(&path).unwrap();
    }

    #[test]
    fn another_one_s_file_of_the_same_name_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fault-7-2.json");
        let old = take(&path).unwrap();
        old.remove();
        let new = take(&path).unwrap();
        old.remove();
        assert!(path.exists());
        drop(new);
        assert!(InterfaceLock::of(&folder.path().join("none"), Kind::Alone).is_err());
    }
}
