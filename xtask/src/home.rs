//! Folders for what the lab's servers keep: gone with their value, or, after a
//! crash, with the next lab.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::unistd::User;
use tempfile::TempDir;

use crate::owner;

/// Last part of every such folder's name, before what `tempfile` makes up.
const ROLE: &str = "home";

/// A folder that is removed when dropped.
#[derive(Debug)]
pub struct Home(TempDir);

impl Home {
    /// Makes `tracer-<tag>-<pid>-home-…` among the temporary files.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn new(tag: &str) -> Result<Self> {
        let prefix = format!("{}-", owner::name(tag, ROLE));
        let home = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir()
            .context("cannot make a folder for the lab's servers")?;
        // The servers' users have to pass through.
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755))?;
        Ok(Self(home))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes a folder in it that belongs to this user.
    ///
    /// # Errors
    /// When there is no such user, or the folder is there already.
    pub fn folder(&self, name: &str, user: &str) -> Result<PathBuf> {
        let path = self.path().join(name);
        let user = User::from_name(user)?
            .with_context(|| format!("no user {user}: run `cargo xtask setup`"))?;
        fs::create_dir(&path)
            .and_then(|()| chown(&path, Some(user.uid.as_raw()), Some(user.gid.as_raw())))
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}

/// Removes the folders of earlier runs whose process has died. Their servers
/// went with it or with their namespace.
pub fn remove_orphans() {
    for path in orphans() {
        let _ = fs::remove_dir_all(path);
    }
}

/// The folders whose process has died.
#[must_use]
pub fn orphans() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| {
            let name = entry.file_name();
            // Behind our name stands what `tempfile` made up.
            let ours = name
                .to_str()
                .and_then(|name| Some(name.rsplit_once('-')?.0));
            entry.file_type().is_ok_and(|kind| kind.is_dir())
                && ours.is_some_and(|ours| ours.ends_with("-home") && owner::is_orphan(ours))
        })
        .map(|entry| entry.path())
        .collect()
}
