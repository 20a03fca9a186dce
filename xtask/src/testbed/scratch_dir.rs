//! Folders for what the lab's servers keep: gone with their value, or, after a
//! crash, with the next lab.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::unistd::User;
use tempfile::TempDir;

use crate::provision::packages;
use crate::testbed::{command, resource_name, wait};

/// How long those who use a disk may take to be gone.
const FREE: Duration = Duration::from_secs(10);

/// Last part of every such folder's name, before what `tempfile` makes up.
pub(crate) const ROLE: &str = "scratch";

/// A folder that is removed when dropped.
#[derive(Debug)]
pub(crate) struct ScratchDir(TempDir);

impl ScratchDir {
    /// Makes `tracer-<tag>-<pid>-scratch-…` among the temporary files.
    pub(crate) fn new(tag: &str) -> Result<Self> {
        let prefix = format!("{}-", resource_name::name(tag, ROLE));
        let scratch = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir()
            .context("cannot make a folder for the lab's servers")?;
        // The servers' users have to pass through.
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755))?;
        Ok(Self(scratch))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes a folder in it that belongs to this user.
    pub(crate) fn folder(&self, name: &str, user: &str) -> Result<PathBuf> {
        let path = self.path().join(name);
        let user = User::from_name(user)?
            .with_context(|| format!("no user {user}: run `cargo xtask setup`"))?;
        fs::create_dir(&path)
            .and_then(|()| chown(&path, Some(user.uid.as_raw()), Some(user.gid.as_raw())))
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}

/// Makes a file system stand still: whoever writes waits.
pub(crate) fn freeze(mount: &Path) -> Result<()> {
    fsfreeze("--freeze", mount).map(drop)
}

/// Lets a file system go on that was made to stand still; nothing happens to others.
pub(crate) fn thaw(mount: &Path) -> Result<()> {
    match fsfreeze("--unfreeze", mount) {
        // It did not stand still.
        Err(error) if format!("{error:#}").contains("Invalid argument") => Ok(()),
        done => done.map(drop),
    }
}

fn fsfreeze(option: &str, mount: &Path) -> Result<String> {
    let mut fsfreeze = Command::new(packages::program("fsfreeze")?);
    // Ctrl-C is for us: neither the freezing nor its end may be cut short.
    fsfreeze.process_group(0).env("LC_ALL", "C");
    command::output(fsfreeze.arg(option).arg(mount))
}

/// Unmounts what is mounted there; its file is then free of the loop device, too.
pub(crate) fn unmount(mount: &Path) -> Result<()> {
    let free = || match umount2(mount, MntFlags::empty()) {
        Ok(()) => Ok(Some(())),
        // Whoever used it is just ending.
        Err(Errno::EBUSY) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot unmount {}", mount.display())),
    };
    wait::until_uninterrupted(FREE, "a disk to be free", free)
}

/// Lets the file systems of earlier runs go on whose process has died while they stood
/// still: what runs on them could not even be killed.
pub(crate) fn thaw_orphans() {
    for mount in mounts_of_orphans() {
        if let Err(error) = thaw(&mount) {
            eprintln!("warning: {error:#}");
        }
    }
}

/// Where something is mounted in folders of earlier runs.
fn mounts_of_orphans() -> Vec<PathBuf> {
    let orphans = orphans();
    if orphans.is_empty() {
        return Vec::new();
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(PathBuf::from)
        .filter(|mount| orphans.iter().any(|orphan| mount.starts_with(orphan)))
        .collect()
}

/// Removes the folders of earlier runs whose process has died. Their servers
/// went with it or with their namespace.
pub(crate) fn remove_orphans() {
    for mount in mounts_of_orphans() {
        let _ = unmount(&mount);
    }
    for path in orphans() {
        let _ = fs::remove_dir_all(path);
    }
}

pub(crate) fn orphans() -> Vec<PathBuf> {
    let entries = fs::read_dir(std::env::temp_dir());
    let entries = entries.into_iter().flatten();
    entries
        .filter_map(Result::ok)
        .filter(|entry| {
            let name = entry.file_name();
            // Behind our name stands what `tempfile` made up.
            let ours = name
                .to_str()
                .and_then(|name| Some(name.rsplit_once('-')?.0));
            entry.file_type().is_ok_and(|kind| kind.is_dir())
                && ours.is_some_and(|ours| {
                    ours.ends_with(&format!("-{ROLE}")) && resource_name::is_orphan(ours)
                })
        })
        .map(|entry| entry.path())
        .collect()
}
