//! A server program of the lab, with a log file to itself.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::testbed::command::{self, Running};
use crate::testbed::wait;

const LOG_LINES_SHOWN: usize = 20;

/// Ended when dropped.
#[derive(Debug)]
pub(super) struct Daemon {
    process: Running,
    log: PathBuf,
}

impl Daemon {
    /// Starts it; what it says goes to `NAME.log`, behind what it said before.
    pub(super) fn start(name: &str, command: &Command, logs: &Path) -> Result<Self> {
        let path = logs.join(format!("{name}.log"));
        let log = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        let mut command = in_a_session(command);
        command
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let line = command::line(&command);
        let child = command
            .spawn()
            .with_context(|| format!("cannot run `{line}`"))?;
        Ok(Self {
            process: Running::new(child, name),
            log: path,
        })
    }

    /// Its process id.
    #[must_use]
    pub(super) fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// Tells it to end as its service would: SIGTERM.
    ///
    /// # Errors
    /// When it has ended already.
    pub(super) fn terminate(&self) -> Result<()> {
        kill(self.pid(), Signal::SIGTERM).context("cannot end it")
    }

    /// Ends it as the kernel does that runs out of memory.
    ///
    /// # Errors
    /// When it is not ours.
    pub(super) fn kill(&mut self) -> Result<()> {
        kill(self.pid(), Signal::SIGKILL).context("cannot kill it")?;
        self.process.end();
        Ok(())
    }

    /// Whether it has not ended.
    ///
    /// # Errors
    /// When the kernel cannot say.
    pub(super) fn runs(&mut self) -> Result<bool> {
        Ok(self.process.ended()?.is_none())
    }

    /// Waits for the condition, no longer than the program runs; an error comes with
    /// the end of its log.
    pub(super) fn until<T>(
        &mut self,
        limit: Duration,
        what: &str,
        mut condition: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let waited = wait::until(limit, what, || {
            if let Some(status) = self.process.ended()? {
                bail!("it ended ({status})");
            }
            condition()
        });
        waited.map_err(|error| self.with_log(&error))
    }

    /// The error, and how the log ends.
    pub(super) fn with_log(&self, error: &anyhow::Error) -> anyhow::Error {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(LOG_LINES_SHOWN);
        let tail = lines.get(from..).unwrap_or_default().join("\n");
        anyhow!("{error:#}\n{} ends with:\n{tail}", self.log.display())
    }
}

/// The same, in a session to itself as a service has: Linux shares a processor out among
/// sessions first, and in ours a server would go short beside what asks it, and what looks
/// on beside both. And Ctrl-C is for us: what runs in the lab ends with it. Of our
/// environment it has `PATH`.
pub(super) fn in_a_session(command: &Command) -> Command {
    let mut alone = command::named("setsid");
    alone.arg(command.get_program()).args(command.get_args());
    alone
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => alone.env(name, value),
            None => alone.env_remove(name),
        };
    }
    alone
}
