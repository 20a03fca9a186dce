//! The tool itself, running.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use xtask::testbed::{
    command::{Running, only_child},
    netns::Netns,
    wait,
};

use crate::support::{folder::Folder, program::PROGRAM, report::Report};

const LIMIT: Duration = Duration::from_secs(150);

/// A running `tracer run`; ended when dropped.
pub(crate) struct Tool {
    running: Running,
    /// The tool itself, where that is a child of what runs.
    inner: Option<Pid>,
    folder: Folder,
}

/// How it ended and what it left.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    folder: Folder,
}

impl Tool {
    /// Starts it inside and waits until everything is counted. It ends by
    /// itself when the test forgets it.
    pub(crate) fn start(netns: &Netns, arguments: &[&str]) -> Result<Self> {
        Self::by(netns, &[""; 0], arguments)
    }

    /// The same by way of another program and its arguments, such as `setpriv`; where
    /// that stays, the tool is its only child.
    pub(crate) fn by(netns: &Netns, way: &[impl AsRef<str>], arguments: &[&str]) -> Result<Self> {
        let way: Vec<&str> = way.iter().map(AsRef::as_ref).collect();
        let words = [&way[..], &[PROGRAM]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        let folder = Folder::new()?;
        command.arg("run").args(arguments);
        if !arguments.contains(&"--duration") {
            command.args(["--duration", "600s"]);
        }
        command
            .arg("--json")
            .arg(json(&folder))
            .arg("--ready-file")
            .arg(folder.path().join("ready"))
            .stdin(Stdio::null())
            .stdout(File::create(folder.path().join("stdout"))?)
            .stderr(File::create(folder.path().join("stderr"))?);
        // What a thread starts begins where the thread is.
        let child = netns.enter(|| command.spawn().context("cannot start tracer"))?;
        let mut tool = Self {
            running: Running::new(child, "tracer"),
            inner: None,
            folder,
        };
        tool.await_ready()?;
        if way.contains(&"--pid") {
            tool.inner = Some(only_child(tool.running.pid())?);
        }
        Ok(tool)
    }

    fn await_ready(&mut self) -> Result<()> {
        let ready = self.folder.path().join("ready");
        wait::until(LIMIT, "tracer to count", || {
            let is_ready = ready.exists();
            match self.running.ended()? {
                // A short one may be over before anybody has looked.
                Some(status) if status.success() => Ok(Some(())),
                Some(status) => bail!("tracer ended ({status}): {}", text(&self.folder, "stderr")?),
                None => Ok(is_ready.then_some(())),
            }
        })
    }

    pub(crate) fn pid(&self) -> Pid {
        self.inner.unwrap_or_else(|| self.running.pid())
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).context("cannot signal tracer")
    }

    /// What it has said on standard error so far.
    pub(crate) fn said(&self) -> Result<String> {
        text(&self.folder, "stderr")
    }

    /// Ctrl-C, and the report.
    pub(crate) fn finish(self) -> Result<Report> {
        self.signal(Signal::SIGINT)?;
        self.ended()?.report()
    }

    /// Waits for its end.
    pub(crate) fn ended(self) -> Result<Ended> {
        let status = self.running.wait(Some(LIMIT))?;
        Ok(Ended {
            status,
            stdout: text(&self.folder, "stdout")?,
            stderr: text(&self.folder, "stderr")?,
            folder: self.folder,
        })
    }
}

impl Ended {
    /// The report of a run that succeeded.
    pub(crate) fn report(&self) -> Result<Report> {
        ensure!(
            self.status.success(),
            "tracer failed ({}): {}",
            self.status,
            self.stderr
        );
        self.written()
    }

    /// The report, whatever the exit code.
    pub(crate) fn written(&self) -> Result<Report> {
        let bytes = fs::read(json(&self.folder)).context("there is no report")?;
        Report::read(&bytes)
    }

    /// Names of the files that it left beside those that it was asked for.
    pub(crate) fn leftovers(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.folder.path())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !["stdout", "stderr", "report.json"].contains(&name.as_str()) {
                names.push(name);
            }
        }
        Ok(names)
    }
}

fn json(folder: &Folder) -> PathBuf {
    folder.path().join("report.json")
}

fn text(folder: &Folder, name: &str) -> Result<String> {
    Ok(fs::read_to_string(folder.path().join(name))?)
}
