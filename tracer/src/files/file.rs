//! Files that are written whole, at the end.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use caps::Capability;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use tracer_core::recording::programs::Unwritten;

use crate::files::destination::{self, Destination};
use crate::files::draft::DraftFile;
use crate::files::target::{Appended, Descriptor, own};
use crate::files::writer::Writer;
use crate::files::{OutputError, links};

/// To open a FIFO of somebody else's.
const NEEDED: &[Capability] = &[Capability::CAP_DAC_OVERRIDE];

/// A file that appears whole or not at all.
#[derive(Debug)]
pub(crate) struct Output {
    option: &'static str,
    path: PathBuf,
    target: OutputTarget,
}

#[derive(Debug)]
enum OutputTarget {
    /// A regular file, which takes the place of what is at its path when it is whole.
    Renamed(DraftFile),
    /// What is open already, such as a pipe or a device, and cannot be replaced.
    Open(OwnedFd),
    /// A FIFO, which is opened when there is something to write.
    Fifo(Appended),
    Stdout,
}

impl Output {
    /// Prepares writing to `path`; `-` is standard output.
    pub(crate) fn create(option: &'static str, path: &Path) -> Result<Self, OutputError> {
        let target = Self::open(path);
        let path = path.to_owned();
        match target {
            Ok(target) => Ok(Self {
                option,
                path,
                target,
            }),
            Err(cause) => Err(OutputError::new(option, path, cause)),
        }
    }

    /// The same for an option that may not be given.
    pub(crate) fn asked(
        option: &'static str,
        path: Option<&Path>,
    ) -> Result<Option<Self>, OutputError> {
        path.map(|path| Self::create(option, path)).transpose()
    }

    fn open(path: &Path) -> io::Result<OutputTarget> {
        let path = match destination::find(path)? {
            Destination::Own(1) => return Ok(OutputTarget::Stdout),
            Destination::Own(number) => return own(number).map(OutputTarget::Open),
            Destination::Stream(path) => {
                let flags = OFlag::O_WRONLY | OFlag::O_APPEND;
                let opened = links::open(&path, flags, Mode::empty())?;
                return Ok(OutputTarget::Open(opened.into()));
            }
            Destination::Fifo(path) => return Appended::create(path).map(OutputTarget::Fifo),
            Destination::File(path) => path,
        };
        // A file that may not be written is not to be replaced either.
        if path.exists() {
            drop(links::open(
                &path,
                OFlag::O_WRONLY | OFlag::O_APPEND,
                Mode::empty(),
            )?);
        }
        DraftFile::create(&path).map(OutputTarget::Renamed)
    }

    /// Whether this is the caller's standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self.target, OutputTarget::Stdout)
    }

    /// Whether somebody has to take it: writing then lasts as long as that.
    pub(crate) fn is_stream(&self) -> bool {
        !matches!(self.target, OutputTarget::Renamed(_))
    }

    /// Writes the whole content and makes it last; a reader who takes nothing for as long as
    /// `patience` gets no more. If it fails, nothing is left at the path that was not there
    /// before.
    pub(crate) fn finish(
        self,
        content: &[u8],
        patience: Option<Duration>,
    ) -> Result<(), OutputError> {
        let Self {
            option,
            path,
            target,
        } = self;
        let stored = Self::store(target, content, patience);
        stored.map_err(|cause| OutputError::new(option, path, cause))
    }

    fn store(target: OutputTarget, content: &[u8], patience: Option<Duration>) -> io::Result<()> {
        let writer = match target {
            OutputTarget::Stdout => Writer::start(Box::new(Descriptor::new(io::stdout())), &[]),
            OutputTarget::Open(file) => Writer::start(Box::new(Descriptor::new(file)), &[]),
            OutputTarget::Fifo(file) => Writer::start(Box::new(file), NEEDED),
            OutputTarget::Renamed(draft) => return draft.finish(content),
        };
        hand_over(&writer?, content, patience)
    }
}

/// Lets a thread write it, and waits. A reader who has seen enough is no error.
pub(super) fn hand_over(
    writer: &Writer,
    content: &[u8],
    patience: Option<Duration>,
) -> io::Result<()> {
    writer.write(content.to_vec());
    let Unwritten { lines, cause } = writer.settle(patience);
    if lines == 0 || writer.is_left() {
        return Ok(());
    }
    let cause = cause.unwrap_or_default();
    Err(io::Error::other(format!(
        "{cause}; {lines} lines are missing"
    )))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_file_appears_at_the_end_and_replaces_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.json");
        fs::write(&path, "old").unwrap();
        let output = Output::create("--json", &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        output.finish(b"new", None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let (link, path) = (directory.path().join("latest"), directory.path().join("a"));
        symlink(&path, &link).unwrap();
        for content in [b"one", b"two"] {
            Output::create("--json", &link)
                .unwrap()
                .finish(content, None)
                .unwrap();
            assert!(link.is_symlink());
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_open_already_is_written_to_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join("a")).unwrap();
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        let output = Output::create("--json", Path::new(&path)).unwrap();
        output.finish(b"{}\n", None).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 3);
        assert!(Path::new("/dev/fd").is_symlink());
    }

    #[test]
    fn a_run_that_fails_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        drop(Output::create("--json", &directory.path().join("run.json")).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn bad_paths_fail_at_once_and_are_named() {
        let directory = tempfile::tempdir().unwrap();
        for path in [
            directory.path().to_owned(),
            directory.path().join("no/such/dir/run.json"),
        ] {
            let message = Output::create("--json", &path).unwrap_err().to_string();
            assert!(message.starts_with("cannot write --json /"), "{message}");
        }
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let output = Output::create("--json", Path::new("/dev/full")).unwrap();
        let message = output.finish(b"{}", None).unwrap_err().to_string();
        assert!(message.contains("/dev/full"), "{message}");
    }

    #[test]
    fn a_fifo_that_nobody_reads_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap();
        let output = Output::create("--json", &path).unwrap();
        let patience = Some(Duration::from_millis(50));
        let error = output.finish(b"{}\n", patience).unwrap_err();
        assert!(error.to_string().contains("nothing was taken"), "{error}");
    }
}
