//! A disk of its own for a database: a file with a file system on it, that can be made
//! to stand still without anybody else noticing.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use nix::unistd::User;

use crate::{command, home, packages};

/// Room for a database, its copy of the log, and some.
const BYTES: u64 = 2 << 30;

/// Unmounted when dropped.
#[derive(Debug)]
pub struct Disk {
    mount: PathBuf,
}

impl Disk {
    /// Makes it, and mounts it on a folder that it makes, too.
    pub(super) fn make(image: &Path, mount: &Path, user: &str) -> Result<Self> {
        let user = User::from_name(user)?.with_context(|| format!("no user {user}"))?;
        // Holes: what is not written takes no room.
        File::create(image)
            .and_then(|file| file.set_len(BYTES))
            .with_context(|| format!("cannot make {}", image.display()))?;
        let mut format = Command::new(packages::program("mkfs.ext4")?);
        command::output(format.args(["-q", "-F", "-O", "^has_journal"]).arg(image))?;
        fs::create_dir(mount).with_context(|| format!("cannot make {}", mount.display()))?;
        let mut mounting = Command::new(packages::program("mount")?);
        command::output(mounting.args(["-o", "loop,noatime"]).arg(image).arg(mount))?;
        let disk = Self {
            mount: mount.to_owned(),
        };
        chown(mount, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .with_context(|| format!("cannot hand {} over", mount.display()))?;
        Ok(disk)
    }

    /// From now on, whoever writes waits, as long as the value lives.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn stall(&self) -> Result<Stalled> {
        let mut freeze = Command::new(packages::program("fsfreeze")?);
        command::output(freeze.arg("--freeze").arg(&self.mount))?;
        Ok(Stalled(self.mount.clone()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = home::unmount(&self.mount) {
            eprintln!("warning: {error:#}");
        }
    }
}

/// A disk that stands still.
#[derive(Debug)]
pub struct Stalled(PathBuf);

impl Drop for Stalled {
    fn drop(&mut self) {
        home::thaw(&self.0);
    }
}
