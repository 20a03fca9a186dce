//! A disk of its own for a database: a file with a file system on it, that can be made
//! to stand still without anybody else noticing.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use nix::unistd::User;

use crate::provision::packages;
use crate::testbed::{command, scratch_dir};

/// Room for a database, its copy of the log, and some.
const BYTES: u64 = 2 << 30;

/// Unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Disk {
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
    pub(crate) fn stall(&self) -> Result<Stalled> {
        // Before it is true: whatever happens from here on, it is let go again.
        let stalled = Stalled(self.mount.clone());
        scratch_dir::freeze(&self.mount)?;
        Ok(stalled)
    }

    /// Lets it go on, if it stands still; says so when that fails.
    pub(super) fn release(&self) {
        thaw(&self.mount);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = scratch_dir::unmount(&self.mount) {
            eprintln!("warning: {error:#}");
        }
    }
}

#[derive(Debug)]
pub(crate) struct Stalled(PathBuf);

impl Drop for Stalled {
    fn drop(&mut self) {
        thaw(&self.0);
    }
}

fn thaw(mount: &Path) {
    if let Err(error) = scratch_dir::thaw(mount) {
        eprintln!("warning: {} may still stand: {error:#}", mount.display());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testbed::scratch_dir::ScratchDir;
    use crate::testbed::{netns, wait};

    /// Whether it stands still: who writes there then waits.
    fn stands(mount: &Path) -> bool {
        let file = mount.join("file");
        let writer = std::thread::spawn(move || fs::write(file, "x"));
        let limit = Duration::from_millis(500);
        let waited = wait::until(limit, "a write", || Ok(writer.is_finished().then_some(())));
        waited.is_err()
    }

    #[test]
    fn a_disk_stands_still_as_long_as_it_is_made_to_as_root() {
        netns::require_root().unwrap();
        let scratch = ScratchDir::new("disk-test").unwrap();
        let mount = scratch.path().join("mount");
        let disk = Disk::make(&scratch.path().join("image"), &mount, "root").unwrap();
        scratch_dir::thaw(&mount).expect("who does not stand still goes on");
        assert!(scratch_dir::thaw(&scratch.path().join("nowhere")).is_err());
        let stalled = disk.stall().unwrap();
        assert!(stands(&mount));
        drop(stalled);
        assert!(!stands(&mount));
        // Also when whoever stalled it has lost count.
        std::mem::forget(disk.stall().unwrap());
        disk.release();
        assert!(!stands(&mount));
    }
}
