//! `tracer inject`, running.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tracer_core::report::fault::FaultReport;
use xtask::testbed::command::Running;
use xtask::testbed::netns::Netns;
use xtask::testbed::wait;

use crate::contract;
use crate::support::program::PROGRAM;

const LIMIT: Duration = Duration::from_secs(60);

/// A fault of one second: what matters is whether it begins.
#[rustfmt::skip]
pub(crate) const SLIGHT: [&str; 6] =
    ["inject", "loss=1%", "--peer", "10.0.10.3", "--duration", "1s"];

/// A fault that a minute ends at the latest.
pub(crate) struct Fault {
    running: Running,
    folder: TempDir,
}

impl Fault {
    /// Starts it inside and waits until packets are hit.
    pub(crate) fn start(netns: &Netns, arguments: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = netns.command(PROGRAM);
        command
            .arg("inject")
            .args(arguments)
            .args(["--duration", "60s", "--allow-ssh-peer", "--json"])
            .arg(folder.path().join("report.json"))
            .arg("--ready-file")
            .arg(folder.path().join("ready"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("stderr"))?);
        let mut fault = Self {
            running: Running::new(command.spawn()?, "tracer inject"),
            folder,
        };
        let ready = fault.folder.path().join("ready");
        wait::until(LIMIT, "the fault", || {
            if let Some(status) = fault.running.ended()? {
                bail!("tracer ended ({status}): {}", fault.stderr()?);
            }
            Ok(ready.exists().then_some(()))
        })?;
        Ok(fault)
    }

    pub(crate) fn pid(&self) -> Pid {
        self.running.pid()
    }

    fn stderr(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.path().join("stderr"))?)
    }

    /// Ctrl-C, and what the report says of each fault, all of them undone.
    pub(crate) fn finish(self) -> Result<Vec<FaultReport>> {
        kill(self.pid(), Signal::SIGINT)?;
        let folder = self.folder;
        let status = self.running.wait(Some(LIMIT))?;
        let stderr = fs::read_to_string(folder.path().join("stderr"))?;
        ensure!(status.success(), "tracer ended ({status}): {stderr}");
        let bytes = fs::read(folder.path().join("report.json"))?;
        let faults = contract::faults(&bytes)?;
        for fault in &faults {
            ensure!(fault.removed, "{fault:?}");
            let after = fault.qdiscs_after.as_ref();
            ensure!(after == Some(&fault.qdiscs_before), "{fault:?}");
        }
        Ok(faults)
    }

    /// The report of a fault that is one.
    pub(crate) fn finish_one(self) -> Result<FaultReport> {
        let mut faults = self.finish()?;
        ensure!(faults.len() == 1, "{faults:?}");
        faults.pop().context("no fault")
    }
}

/// Runs `tracer` inside to its end; its exit status and everything it said.
pub(crate) fn tracer(netns: &Netns, arguments: &[&str]) -> Result<(ExitStatus, String)> {
    let mut command: Command = netns.command(PROGRAM);
    let output = command.args(arguments).stdin(Stdio::null()).output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status, String::from_utf8_lossy(&said).into_owned()))
}

/// Whether a fault of this host is not undone yet.
pub(crate) fn is_there(netns: &Netns) -> Result<bool> {
    let inode = fs::metadata(netns.path())?.ino();
    let found = ::tracer::inject::status()?;
    Ok(found
        .faults
        .iter()
        .any(|fault| u64::from(fault.record.netns()) == inode))
}
