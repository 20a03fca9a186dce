//! The programs of one PostgreSQL, and how they are run.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use nix::unistd::User;

use super::container;
use super::embedded;
use super::release::Release;
use super::server::USER;
use crate::provision::packages;
use crate::testbed::netns::Netns;

/// The programs of one PostgreSQL: of this machine, or of another release of Debian,
/// which then run below a root of their own.
#[derive(Debug, Clone)]
pub struct Programs {
    bin: PathBuf,
    release: Option<Release>,
    /// The server's own program, where that is another file.
    server: Option<PathBuf>,
    /// Whether they also have process ids of their own.
    pub(super) apart: bool,
    /// Whether `pg_basebackup` is among them.
    pub(super) has_clients: bool,
}

impl Programs {
    /// This machine's newest.
    ///
    /// # Errors
    /// As [`packages::postgres_bin`].
    pub fn own() -> Result<Self> {
        Ok(Self::at(packages::postgres_bin()?))
    }

    /// Those of this major version: this machine's, or fetched.
    ///
    /// # Errors
    /// In one line, if they cannot be had.
    pub fn of(major: u32) -> Result<Self> {
        if let Some(bin) = packages::postgres_bin_of(major) {
            return Ok(Self::at(bin));
        }
        if let Some(bin) = embedded::bin(major)? {
            return Ok(Self {
                has_clients: false,
                ..Self::at(bin)
            });
        }
        let release = Release::get(major)?;
        Ok(Self {
            release: Some(release.clone()),
            ..Self::at(release.bin())
        })
    }

    /// Some that run as in a container: below a root, with mounts and with process ids
    /// of their own, and at a path that this machine does not have.
    ///
    /// # Errors
    /// If this machine has every version, or none can be fetched.
    pub fn contained() -> Result<Self> {
        let mut majors = Release::majors().into_iter().rev();
        let absent = majors.find(|major| packages::postgres_bin_of(*major).is_none());
        let major = absent.context("this machine has every version of PostgreSQL itself")?;
        Ok(Self {
            apart: true,
            ..Self::of(major)?
        })
    }

    fn at(bin: PathBuf) -> Self {
        Self {
            bin,
            release: None,
            server: None,
            apart: false,
            has_clients: true,
        }
    }

    /// The same, with another file as the server's program: a link to it, or a copy.
    pub fn with_server(self, program: PathBuf) -> Self {
        Self {
            server: Some(program),
            ..self
        }
    }

    /// The same, each with process ids of its own and a `/proc` that shows these alone.
    pub fn apart(self) -> Self {
        Self {
            apart: true,
            ..self
        }
    }

    /// Where a program is, as it is seen by itself.
    pub fn path(&self, program: &str) -> PathBuf {
        match &self.server {
            Some(server) if program == "postgres" => server.clone(),
            _ => self.bin.join(program),
        }
    }

    /// A command that will run the program in the namespace as the servers' user, with
    /// `home` where it is on this machine. The kernel sends it `SIGINT` when the thread
    /// that spawned it ends. Its process is the program's own, or the parent of that
    /// where they are apart.
    pub(super) fn command(&self, netns: &Netns, home: &Path, program: &str) -> Result<Command> {
        let path = self.path(program);
        let Some(release) = &self.release else {
            return Ok(match self.apart {
                true => netns.command_alone_as(USER, path),
                false => netns.command_as(USER, path),
            });
        };
        let user = User::from_name(USER)?.with_context(|| format!("no user {USER}"))?;
        let mut command = container::command(netns, release, home, &user, self.apart);
        command.arg(path);
        Ok(command)
    }
}

impl fmt::Display for Programs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.release {
            Some(release) => write!(f, "{}{}", release.root().display(), self.bin.display()),
            None => write!(f, "{}", self.bin.display()),
        }
    }
}
