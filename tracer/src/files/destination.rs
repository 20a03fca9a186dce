//! What a path leads to, with all links followed: what may be replaced, what has to be
//! written to as it is, and what must not be touched.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::files::links::{self, LinkTarget};

const STDOUT: i32 = 1;

/// Where something is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// A descriptor that this process was started with: `-`, `/dev/stdout`, `/dev/fd/63`.
    Own(i32),
    /// A regular file, or none yet: it can be put there whole.
    File(PathBuf),
    /// A pipe or a device, which cannot be replaced.
    Stream(PathBuf),
    /// A FIFO: opening it waits for a reader.
    Fifo(PathBuf),
}

/// What the path leads to.
pub(super) fn find(path: &Path) -> io::Result<Destination> {
    if path == Path::new("-") {
        return Ok(Destination::Own(STDOUT));
    }
    match links::follow(path, descriptor)? {
        Err(destination) => Ok(destination),
        Ok(LinkTarget { path, there: None }) => Ok(Destination::File(path)),
        Ok(LinkTarget {
            path,
            there: Some(there),
        }) => at(path, &there),
    }
}

fn at(path: PathBuf, there: &Metadata) -> io::Result<Destination> {
    let kind = there.file_type();
    if kind.is_dir() {
        Err(io::ErrorKind::IsADirectory.into())
    } else if kind.is_block_device() {
        Err(io::Error::other(
            "it is a block device: that would overwrite a disk",
        ))
    } else if kind.is_fifo() {
        Ok(Destination::Fifo(path))
    } else if kind.is_file() {
        Ok(Destination::File(path))
    } else {
        Ok(Destination::Stream(path))
    }
}

/// The folder that a path's last part is or is to be in.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A link to what a process has open is none to its name: that may be another file by
/// now, and the caller's, who wants it written to and not replaced.
fn descriptor(folder: &Path, path: &Path) -> Option<Destination> {
    let process = folder.strip_prefix("/proc").ok()?;
    if process.file_name()? != "fd" {
        return None;
    }
    let own = process.starts_with(std::process::id().to_string());
    let number = path.file_name()?.to_str()?.parse().ok();
    match number {
        Some(number) if own => Some(Destination::Own(number)),
        _ => Some(Destination::Stream(path.to_owned())),
    }
}

/// Two options that name one file.
#[derive(Debug, thiserror::Error)]
#[error("{one} and {other} are the same file, {path}: one would overwrite the other")]
pub(crate) struct SameFile {
    one: &'static str,
    other: &'static str,
    path: PathBuf,
}

/// What makes a file the same as another.
#[derive(Debug, PartialEq, Eq)]
enum DestinationIdentity {
    Own(i32),
    Inode(u64, u64),
    Path(PathBuf),
}

/// Makes sure that no two of these options write to, or read from, one file.
pub(crate) fn distinct(options: &[(&'static str, Option<&Path>)]) -> Result<(), SameFile> {
    let mut known: Vec<(&'static str, DestinationIdentity)> = Vec::new();
    for (option, path) in options {
        let Some(path) = path else { continue };
        let Some(identity) = identity(path) else {
            continue;
        };
        if let Some((one, _)) = known.iter().find(|(_, other)| *other == identity) {
            return Err(SameFile {
                one,
                other: option,
                path: (*path).to_owned(),
            });
        }
        known.push((option, identity));
    }
    Ok(())
}

/// Makes sure that what is read is not overwritten. Standard input and output, both called
/// `-`, cannot be compared.
pub(crate) fn unread(
    read: &[PathBuf],
    option: &'static str,
    written: Option<&Path>,
) -> Result<(), SameFile> {
    let is_stream = |path: &Path| path == Path::new("-");
    let Some(written) = written.filter(|path| !is_stream(path)) else {
        return Ok(());
    };
    read.iter()
        .filter(|path| !is_stream(path))
        .try_for_each(|path| distinct(&[("FILE", Some(path)), (option, Some(written))]))
}

/// `None` of what cannot be written to, an error when it is opened, and of devices,
/// which keep nothing.
fn identity(path: &Path) -> Option<DestinationIdentity> {
    match find(path).ok()? {
        Destination::Own(number) => Some(DestinationIdentity::Own(number)),
        Destination::Stream(_) => None,
        Destination::File(path) | Destination::Fifo(path) => Some(match fs::metadata(&path) {
            Ok(there) => DestinationIdentity::Inode(there.dev(), there.ino()),
            Err(_) => DestinationIdentity::Path(path),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_also_where_nothing_is_yet() {
        let folder = tempfile::tempdir().unwrap();
        let folder = fs::canonicalize(folder.path()).unwrap();
        let (link, target) = (folder.join("link"), folder.join("run.json"));
        symlink("run.json", &link).unwrap();
        assert_eq!(find(&link).unwrap(), Destination::File(target.clone()));
        fs::write(&target, "").unwrap();
        assert_eq!(find(&link).unwrap(), Destination::File(target));
        let ring = folder.join("ring");
        symlink("ring", &ring).unwrap();
        assert_eq!(find(&ring).unwrap_err().raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn what_is_open_already_is_told_from_files() {
        for name in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
            assert_eq!(
                find(Path::new(name)).unwrap(),
                Destination::Own(1),
                "{name}"
            );
        }
        assert_eq!(
            find(Path::new("/dev/null")).unwrap(),
            Destination::Stream("/dev/null".into())
        );
        let fifo = tempfile::tempdir().unwrap();
        let fifo = fs::canonicalize(fifo.path()).unwrap().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(find(&fifo).unwrap(), Destination::Fifo(fifo));
        assert!(find(Path::new("/")).is_err());
    }

    #[test]
    fn one_file_is_not_given_twice_whatever_it_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let detour = folder.path().join(".").join("a");
        let other = folder.path().join("b");
        let null = Path::new("/dev/null");
        let check = |one, two| distinct(&[("--json", Some(one)), ("--events", Some(two))]);
        assert!(check(&file, &other).is_ok());
        assert!(check(null, null).is_ok());
        assert!(check(Path::new("-"), Path::new("/dev/stdout")).is_err());
        let error = check(&file, &detour).unwrap_err().to_string();
        assert!(error.starts_with("--json and --events are"), "{error}");
        fs::write(&file, "").unwrap();
        fs::hard_link(&file, &other).unwrap();
        assert!(check(&file, &other).is_err());
    }
}
