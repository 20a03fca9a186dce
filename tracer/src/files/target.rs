//! Where a writer's thread writes: what is open already, or a file by its path.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io, thread};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, SFlag, fstat, stat};

use crate::files::destination::{self, Destination};
use crate::files::links;

/// Between two tries to open a file when there is no descriptor for it.
const PAUSE: Duration = Duration::from_millis(50);
/// How many tries.
const TRIES: u32 = 20;

/// Takes bytes, for as long as that takes.
pub(crate) trait ByteSink: fmt::Debug + Send + 'static {
    /// Writes all of it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Reopens it, where it has a path. If that fails, it stays what it was.
    fn reopen(&mut self) {}

    /// Whether it is a pipe or a device, and no file on a disk.
    fn is_stream(&self) -> bool;

    /// Whether an error says that nobody will ever read it again.
    fn is_left(&self, error: &io::Error) -> bool;
}

/// A descriptor that this process was started with.
pub(super) fn own(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: it is borrowed for one call, and the number was just found in this
    // process's own list of what is open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    borrowed.as_fd().try_clone_to_owned()
}

/// A descriptor that somebody opened, such as standard output.
#[derive(Debug)]
pub(crate) struct Descriptor<F> {
    file: F,
    kind: SFlag,
}

impl<F: AsFd> Descriptor<F> {
    /// This one.
    pub(crate) fn new(file: F) -> Self {
        let kind = kind(&file);
        Self { file, kind }
    }
}

impl<F: AsFd + fmt::Debug + Send + 'static> ByteSink for Descriptor<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        write_all(&self.file, bytes)
    }

    fn is_stream(&self) -> bool {
        self.kind != SFlag::S_IFREG
    }

    fn is_left(&self, error: &io::Error) -> bool {
        is_left(self.kind, error)
    }
}

/// A file that lines are appended to, and that may be renamed, or emptied, by others.
#[derive(Debug)]
pub(crate) struct Appended {
    path: PathBuf,
    /// None of a FIFO that has no reader.
    file: Option<File>,
    kind: SFlag,
    /// Whether the last line in the file is not whole.
    torn: bool,
}

impl Appended {
    /// Opens it, and empties it if it is a regular file. A FIFO is opened by the thread:
    /// that takes until it has a reader.
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        let kind = match destination::find(&path)? {
            Destination::Fifo(_) => SFlag::S_IFIFO,
            Destination::File(_) => SFlag::S_IFREG,
            Destination::Stream(path) => {
                SFlag::from_bits_truncate(stat(&path)?.st_mode) & SFlag::S_IFMT
            }
            Destination::Own(_) => SFlag::S_IFCHR,
        };
        let mut appended = Self {
            path,
            file: None,
            kind,
            torn: false,
        };
        match kind {
            SFlag::S_IFIFO => {}
            _ => {
                let file = appended.open()?;
                appended.kind = self::kind(&file);
                if appended.kind == SFlag::S_IFREG {
                    file.set_len(0)?;
                }
                appended.file = Some(file);
            }
        }
        Ok(appended)
    }

    /// Behind whatever is there at the moment of each write: who empties the file, as
    /// logrotate's `copytruncate` does, finds no hole in it.
    fn open(&self) -> io::Result<File> {
        for _ in 1..TRIES {
            match self.try_open() {
                // There may be one a moment later: for as long as programs are loaded
                // there is none.
                Err(error) if error.raw_os_error() == Some(libc::EMFILE) => thread::sleep(PAUSE),
                other => return other,
            }
        }
        self.try_open()
    }

    /// Where the path leads to by now.
    fn try_open(&self) -> io::Result<File> {
        let (path, create) = match destination::find(&self.path)? {
            Destination::Own(number) => return Ok(own(number)?.into()),
            Destination::File(path) => (path, OFlag::O_CREAT),
            Destination::Stream(path) | Destination::Fifo(path) => (path, OFlag::empty()),
        };
        let flags = OFlag::O_WRONLY | OFlag::O_APPEND | create;
        links::open(&path, flags, Mode::from_bits_truncate(0o666))
    }

    /// Appends, and takes a part of a line back that had no room.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &self.file {
            Some(file) => file,
            None => {
                let file = self.open()?;
                self.file.insert(file)
            }
        };
        if self.kind != SFlag::S_IFREG {
            return write_all(file, bytes);
        }
        if self.torn {
            write_all(file, b"\n")?;
            self.torn = false;
        }
        let before = file.metadata()?.len();
        let written = write_all(file, bytes);
        if written.is_err() {
            let after = file.metadata()?.len();
            self.torn = after > before && file.set_len(before).is_err();
        }
        written
    }
}

impl ByteSink for Appended {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.append(bytes);
        if let Err(error) = &written
            && self.kind == SFlag::S_IFIFO
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            // Another reader may come.
            self.file = None;
        }
        written
    }

    fn reopen(&mut self) {
        match self.open() {
            Ok(file) => {
                self.kind = kind(&file);
                self.file = Some(file);
                self.torn = false;
            }
            Err(error) => log::warn!(
                "{} cannot be reopened, what comes is written to the file that was open before: {error}",
                self.path.display()
            ),
        }
    }

    fn is_stream(&self) -> bool {
        self.kind != SFlag::S_IFREG
    }

    fn is_left(&self, error: &io::Error) -> bool {
        is_left(self.kind, error)
    }
}

/// Writes all, waiting where that is needed.
fn write_all(file: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match nix::unistd::write(&file, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            // Somebody who shares it has made it so.
            Err(Errno::EAGAIN) => {
                let mut ready = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                match poll(&mut ready, PollTimeout::NONE) {
                    Ok(_) | Err(Errno::EINTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

fn kind(file: impl AsFd) -> SFlag {
    let mode = fstat(file.as_fd()).map_or(0, |there| there.st_mode);
    SFlag::from_bits_truncate(mode) & SFlag::S_IFMT
}

/// A pipe or a connection whose other end is closed, or a terminal that is gone.
fn is_left(kind: SFlag, error: &io::Error) -> bool {
    match error.raw_os_error() {
        Some(libc::EPIPE | libc::ECONNRESET) => true,
        Some(libc::EIO) => kind == SFlag::S_IFCHR,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_was_emptied_by_another_has_no_hole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, "of an earlier run\n").unwrap();
        let mut file = Appended::create(path.clone()).unwrap();
        file.write(b"one\n").unwrap();
        fs::copy(&path, folder.path().join("events.jsonl.1")).unwrap();
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(0)
            .unwrap();
        file.write(b"two\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two\n");
    }

    #[test]
    fn a_file_that_was_renamed_by_another_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("e"), folder.path().join("e.1"));
        let mut file = Appended::create(path.clone()).unwrap();
        file.write(b"one\n").unwrap();
        fs::rename(&path, &old).unwrap();
        file.write(b"two\n").unwrap();
        file.reopen();
        file.write(b"three\n").unwrap();
        file.reopen();
        file.write(b"four\n").unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"one\ntwo\n");
        assert_eq!(fs::read(&path).unwrap(), b"three\nfour\n");
    }

    #[test]
    fn a_disk_is_refused_as_root() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        let mode = Mode::S_IRUSR;
        // No device has this number: nothing could happen to it.
        let number = nix::sys::stat::makedev(255, 255);
        nix::sys::stat::mknod(&path, SFlag::S_IFBLK, mode, number)
            .expect("this test makes a device file: run it as root");
        let error = Appended::create(path).unwrap_err().to_string();
        assert!(error.contains("block device"), "{error}");
    }
}
