//! Links in the path of a file, and which of them may be followed.
//!
//! In a folder that others can write to, such as `/tmp`, anybody can plant a link to a file
//! that only root may write, and wait. The kernel refuses such links if it is set to, and
//! only at the end of a path (`fs.protected_symlinks`, `may_follow_link` in
//! [`fs/namei.c`](https://github.com/torvalds/linux/blob/v6.12/fs/namei.c)); here they are
//! refused always, wherever in a path they are.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open as open_at, openat2};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;

/// As many links as the kernel follows (`MAXSYMLINKS` in
/// [`linux/namei.h`](https://github.com/torvalds/linux/blob/v6.12/include/linux/namei.h)).
const MAX_LINKS: usize = 40;
/// To write to a folder: its group, everybody.
const OTHERS_WRITE: u32 = 0o022;

/// Where a path leads to.
#[derive(Debug)]
pub(super) struct LinkTarget {
    /// Without any link.
    pub(super) path: PathBuf,
    /// None where nothing is.
    pub(super) there: Option<Metadata>,
}

/// Follows all links of a path, until `stop` knows where it has got to: it is asked with
/// the folder and the last part.
pub(super) fn follow<S>(
    path: &Path,
    stop: impl Fn(&Path, &Path) -> Option<S>,
) -> io::Result<Result<LinkTarget, S>> {
    let mut here = match path.is_absolute() {
        true => PathBuf::from("/"),
        false => std::env::current_dir()?,
    };
    let mut rest = parts(path);
    let mut there = None;
    let mut links = 0;
    while let Some(part) = rest.pop_front() {
        if part == ".." {
            here.pop();
            there = None;
            continue;
        }
        let next = here.join(part);
        if rest.is_empty()
            && let Some(known) = stop(&here, &next)
        {
            return Ok(Err(known));
        }
        let found = match fs::symlink_metadata(&next) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && rest.is_empty() => {
                return Ok(Ok(LinkTarget {
                    path: next,
                    there: None,
                }));
            }
            found => found?,
        };
        if !found.is_symlink() {
            here = next;
            there = Some(found);
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::ELOOP.into());
        }
        if !is_trusted(&fs::symlink_metadata(&here)?, &found) {
            return Err(refusal(&next, &here, found.uid()));
        }
        let target = fs::read_link(&next)?;
        if target.is_absolute() {
            here = PathBuf::from("/");
        }
        let before = parts(&target);
        rest = before.into_iter().chain(rest).collect();
        there = None;
    }
    let there = match there {
        Some(there) => there,
        None => fs::symlink_metadata(&here)?,
    };
    Ok(Ok(LinkTarget {
        path: here,
        there: Some(there),
    }))
}

/// A folder without any link.
pub(super) fn folder(path: &Path) -> io::Result<PathBuf> {
    match follow(path, |_, _| None::<()>)? {
        Ok(LinkTarget {
            path,
            there: Some(there),
        }) if there.is_dir() => Ok(path),
        Ok(LinkTarget { there: None, .. }) => Err(Errno::ENOENT.into()),
        _ => Err(Errno::ENOTDIR.into()),
    }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    names.collect()
}

/// Whether nobody can have put it there who may not: it is root's or the caller's, or the
/// folder's owner's, or only those can put something there.
pub(super) fn is_trusted(folder: &Metadata, entry: &Metadata) -> bool {
    let owner = entry.uid();
    owner == 0
        || owner == geteuid().as_raw()
        || owner == folder.uid()
        || folder.mode() & OTHERS_WRITE == 0
}

fn refusal(link: &Path, folder: &Path, owner: u32) -> io::Error {
    let (link, folder) = (link.display(), folder.display());
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "{link} is a link of user {owner}'s in {folder}, where others can write: it is not followed, it could overwrite what is not theirs; name the file that it leads to, or another folder"
        ),
    )
}

/// Opens what [`follow`] found. A link that came there since then is not followed.
pub(super) fn open(path: &Path, flags: OFlag, mode: Mode) -> io::Result<File> {
    let flags = match flags.contains(OFlag::O_PATH) {
        // It opens nothing that could become the terminal, and goes with no such flag.
        true => flags | OFlag::O_CLOEXEC,
        false => flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY,
    };
    loop {
        match open_once(path, flags, mode) {
            // Somebody is waited for, such as a FIFO's reader.
            Err(Errno::EINTR) => {}
            opened => return Ok(opened?.into()),
        }
    }
}

fn open_once(path: &Path, flags: OFlag, mode: Mode) -> nix::Result<OwnedFd> {
    // What a process has open is shown as a link, and is none.
    if path.starts_with("/proc") {
        return open_at(path, flags, mode);
    }
    let creates = flags.intersects(OFlag::O_CREAT);
    let how = OpenHow::new()
        .flags(flags)
        .mode(if creates { mode } else { Mode::empty() })
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    match openat2(AT_FDCWD, path, how) {
        // Of a container's filter of system calls, or of what may not be done; the other
        // call, which checks the last part only, decides.
        Err(Errno::ENOSYS | Errno::EPERM) => open_at(path, flags | OFlag::O_NOFOLLOW, mode),
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};

    use super::*;

    const STRANGER: u32 = 65_534;

    fn lead(path: &Path) -> io::Result<PathBuf> {
        let end = follow(path, |_, _| None::<()>)?;
        Ok(end.unwrap().path)
    }

    /// A folder with this mode and a link in it that is a stranger's.
    fn planted(mode: u32, target: &Path) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        let link = fs::canonicalize(folder.path()).unwrap().join("link");
        symlink(target, &link).unwrap();
        lchown(&link, Some(STRANGER), Some(STRANGER))
            .expect("this test gives a link away: run it as root");
        (folder, link)
    }

    #[test]
    fn a_strangers_link_is_not_followed_where_others_can_write_as_root() {
        let aim = tempfile::tempdir().unwrap();
        let aim = fs::canonicalize(aim.path()).unwrap();
        for mode in [0o1777, 0o777, 0o1775, 0o770] {
            let (_folder, link) = planted(mode, &aim);
            for path in [link.clone(), link.join("run.json")] {
                let error = lead(&path).unwrap_err().to_string();
                assert!(error.contains("user 65534's"), "{error}");
                assert!(!error.contains('\n'), "{error}");
            }
            // The caller's own is.
            lchown(&link, Some(0), Some(0)).unwrap();
            assert_eq!(lead(&link.join("x")).unwrap(), aim.join("x"));
        }
    }

    #[test]
    fn links_of_those_who_may_are_followed() {
        let aim = tempfile::tempdir().unwrap();
        let aim = fs::canonicalize(aim.path()).unwrap();
        let (_private, link) = planted(0o755, &aim);
        assert_eq!(lead(&link).unwrap(), aim);
        let (folder, link) = planted(0o1777, &aim);
        lchown(folder.path(), Some(STRANGER), None).unwrap();
        assert_eq!(lead(&link.join("../x")).unwrap(), aim.with_file_name("x"));
    }

    #[test]
    fn what_became_a_link_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let folder = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir(folder.join("real")).unwrap();
        symlink("real", folder.join("way")).unwrap();
        fs::write(folder.join("real/file"), "").unwrap();
        symlink("file", folder.join("real/link")).unwrap();
        let code = |path: &str| {
            let opened = open(&folder.join(path), OFlag::O_WRONLY, Mode::empty());
            opened.err().and_then(|error| error.raw_os_error())
        };
        assert_eq!(code("real/file"), None);
        assert_eq!(code("way/file"), Some(libc::ELOOP));
        assert_eq!(code("real/link"), Some(libc::ELOOP));
    }
}
