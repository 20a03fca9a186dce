//! One fault an interface at a time: or a second one would take what the first one
//! changed for the state to restore.
//!
//! A lock on the file of the interface's record, in a folder that only root enters: a
//! name that any user can take would let any user keep faults from being made, or undone.
//! The kernel drops the lock with the process that has it, so that a file which stayed
//! holds nobody up.
//!
//! Locks of the open file description, and not those of `flock`: who holds one can be
//! asked without taking it, and it turns from exclusive to shared without a moment in
//! which somebody else gets it
//! ([fcntl_locking(2)](https://man7.org/linux/man-pages/man2/fcntl_locking.2.html)).

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{io, thread};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::unistd::geteuid;

use crate::inject::Interface;

/// Goes with a reboot, as do faults.
pub(crate) const FOLDER: &str = "/run/tracer";
/// How long whoever holds a file is waited for: a fault is made and undone faster, but not
/// on every machine.
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
    /// Claims an interface of a network namespace, and waits a moment for whoever has
    /// it. The file is made if there is none.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another process has it.
    pub(crate) fn take(netns: u32, interface: &Interface) -> io::Result<Self> {
        let path = folder()?.join(name(netns, interface));
        Self::lock_alone(&path, true, |_| true)
    }

    /// Claims what no fault holds: waits for whoever makes or undoes one just now, and
    /// not for the end of one that is made. The file is made if there is none.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if a fault holds it.
    pub(crate) fn take_leftover(netns: u32, interface: &Interface) -> io::Result<Self> {
        let path = folder()?.join(name(netns, interface));
        Self::lock_alone(&path, true, |holder| holder != Some(Kind::Shared))
    }

    /// Likewise of a file that is there.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if a fault holds it, [`io::ErrorKind::NotFound`] if
    /// it is gone.
    pub(crate) fn of_leftover(path: &Path) -> io::Result<Self> {
        Self::lock_alone(path, false, |holder| holder != Some(Kind::Shared))
    }

    /// Tries until nobody has it, or whoever has it is not to be waited for, or
    /// [`PATIENCE`] ends.
    fn lock_alone(
        path: &Path,
        create: bool,
        awaited: impl Fn(Option<Kind>) -> bool,
    ) -> io::Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let locked = Self::lock(path, Kind::Alone, create);
            match &locked {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => return locked,
            }
            let holder = File::open(path).ok().and_then(|file| holder(&file).ok());
            if Instant::now() >= deadline || !awaited(holder.flatten()) {
                return locked;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Shares the lock of a file that is there.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another process has it alone,
    /// [`io::ErrorKind::NotFound`] if it is gone.
    pub(crate) fn shared(path: &Path) -> io::Result<Self> {
        Self::lock(path, Kind::Shared, false)
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
        match fcntl(&self.file, FcntlArg::F_OFD_SETLK(&whole_file(kind))) {
            Ok(_) => Ok(()),
            Err(Errno::EAGAIN | Errno::EACCES) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error.into()),
        }
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

/// Who has a file locked, other than through this descriptor. Takes nothing: whoever
/// wants the lock meanwhile gets it.
///
/// # Errors
/// If the kernel does not tell.
pub(crate) fn holder(file: &File) -> io::Result<Option<Kind>> {
    let mut lock = whole_file(Kind::Alone);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok(match i32::from(lock.l_type) {
        libc::F_UNLCK => None,
        libc::F_RDLCK => Some(Kind::Shared),
        _ => Some(Kind::Alone),
    })
}

fn whole_file(kind: Kind) -> libc::flock {
    let l_type = match kind {
        Kind::Alone => libc::F_WRLCK,
        Kind::Shared => libc::F_RDLCK,
    };
    libc::flock {
        l_type: l_type as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        // As a lock of an open file description wants it.
        l_pid: 0,
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
        assert!(InterfaceLock::shared(&path).is_err());
        guard.share().unwrap();
        let tool = InterfaceLock::shared(&path).unwrap();
        drop(guard);
        assert!(take(&path).is_err());
        drop(tool);
        take(&path).unwrap();
    }

    #[test]
    fn who_holds_it_is_asked_without_keeping_anybody_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fault-7-2.json");
        fs::write(&path, "").unwrap();
        let asked = || holder(&File::open(&path).unwrap()).unwrap();
        assert_eq!(asked(), None);
        let guard = take(&path).unwrap();
        assert_eq!(asked(), Some(Kind::Alone));
        guard.share().unwrap();
        assert_eq!(asked(), Some(Kind::Shared));
        // A fault that is made is no leftover, and is not waited for.
        let since = Instant::now();
        let refused = InterfaceLock::of_leftover(&path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        assert!(since.elapsed() < PATIENCE);
        drop(guard);
        let left = InterfaceLock::of_leftover(&path).unwrap();
        // Who undoes it just now is waited for, and what is gone then is gone.
        let undoing = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            left.remove();
        });
        let gone = InterfaceLock::of_leftover(&path).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        undoing.join().unwrap();
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
        assert!(InterfaceLock::shared(&folder.path().join("none")).is_err());
    }
}
