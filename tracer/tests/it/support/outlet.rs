//! The tool with streams that a test holds, fills and closes.

use std::{
    fs::File,
    io::Write as _,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    fcntl::{FcntlArg, FdFlag, OFlag, fcntl},
    pty::openpty,
    sys::{signal::Signal, stat::Mode},
};
use tempfile::TempDir;
use xtask::testbed::{command::Running, netns::Netns, wait};

use crate::support::{program::PROGRAM, report::Report};

const LIMIT: Duration = Duration::from_secs(120);

/// A `tracer run` that is under way.
pub(crate) struct Outlet {
    running: Running,
    folder: TempDir,
}

/// What became of it.
pub(crate) struct Closed {
    pub(crate) code: Option<i32>,
    pub(crate) report: Report,
}

impl Outlet {
    /// Starts it inside and waits until everything is counted.
    pub(crate) fn start(
        netns: &Netns,
        arguments: &[&str],
        stdout: impl Into<Stdio>,
        stderr: impl Into<Stdio>,
    ) -> Result<Self> {
        let mut command = netns.command(PROGRAM);
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        Self::start_as(command, arguments)
    }

    /// Starts it with a terminal of its own, which goes when the other end is dropped.
    pub(crate) fn start_on(netns: &Netns, terminal: OwnedFd, arguments: &[&str]) -> Result<Self> {
        let mut command = netns.command("setsid");
        command.arg("--ctty").arg(PROGRAM).stdin(terminal);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self::start_as(command, arguments)
    }

    fn start_as(mut command: Command, arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let ready = folder.path().join("ready");
        command.arg("run").args(arguments);
        command.arg("--ready-file").arg(&ready);
        command.arg("--json").arg(folder.path().join("report.json"));
        let mut running = Running::new(command.spawn()?, "tracer");
        wait::until(LIMIT, "tracer to count", || {
            if let Some(status) = running.ended()? {
                bail!("tracer ended ({status})");
            }
            Ok(ready.exists().then_some(()))
        })?;
        Ok(Self { running, folder })
    }

    pub(crate) fn pid(&self) -> nix::unistd::Pid {
        self.running.pid()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        nix::sys::signal::kill(self.pid(), signal).context("cannot signal tracer")
    }

    pub(crate) fn ended(self) -> Result<Closed> {
        let status = self.running.wait(Some(LIMIT))?;
        let report = std::fs::read(self.folder.path().join("report.json"));
        let report = report.with_context(|| format!("no report ({status})"))?;
        Ok(Closed {
            code: status.code(),
            report: Report::read(&report)?,
        })
    }
}

/// A pipe that takes nothing more: its end to read, and the one that is full.
pub(crate) fn full_pipe() -> Result<(File, File)> {
    let (read, write) = nix::unistd::pipe()?;
    let mut write = File::from(write);
    fcntl(write.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    while write.write(&[b'.'; 4096]).is_ok() {}
    fcntl(write.as_fd(), FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok((read.into(), write))
}

/// A terminal: what the user holds, and what the program has. Nobody inherits the first.
pub(crate) fn terminal() -> Result<(File, OwnedFd)> {
    let pty = openpty(None, None)?;
    fcntl(&pty.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    fcntl(&pty.slave, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok((pty.master.into(), pty.slave))
}

/// A FIFO in the folder.
pub(crate) fn fifo(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("fifo");
    nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)?;
    Ok(path)
}
