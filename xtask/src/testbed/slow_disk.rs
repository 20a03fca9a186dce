//! A disk that takes its time, for some processes.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::unistd::Pid;

use crate::testbed::command::{self, Running};

const LIMIT: Duration = Duration::from_secs(60);

/// Holds up every flush of some processes, and of those that they start; until it is
/// dropped.
#[derive(Debug)]
pub struct SlowDisk {
    // Interrupted when dropped: it lets go of those that it holds.
    _strace: Running,
}

impl SlowDisk {
    /// Each flush takes so much longer.
    ///
    /// # Errors
    /// When there is no `strace`, or it cannot hold them.
    pub fn start(pids: &[Pid], by: Duration) -> Result<Self> {
        let mut strace = Command::new("strace");
        let delay = format!("inject=fdatasync,fsync:delay_exit={}", by.as_micros());
        strace
            .args(["-f", "-qq", "-o", "/dev/null"])
            .args(["-e", "trace=fdatasync,fsync", "-e", &delay])
            .args(
                pids.iter()
                    .flat_map(|pid| ["-p".to_owned(), pid.to_string()]),
            )
            .stdin(Stdio::null());
        let mut strace = Running::start(&mut strace, "strace")?;
        strace.until(LIMIT, "every process to be held", || {
            Ok(pids.iter().all(|pid| is_held(*pid)).then_some(()))
        })?;
        Ok(Self { _strace: strace })
    }
}

/// Whether a process is traced; one that has ended needs not be.
fn is_held(pid: Pid) -> bool {
    command::status(pid, "TracerPid:").is_none_or(|tracer| tracer != "0")
}

/// A server's first process and its children.
///
/// # Errors
/// When the process is gone.
pub fn processes(first: Pid) -> Result<Vec<Pid>> {
    command::status(first, "Name:").with_context(|| format!("process {first} is gone"))?;
    let parent = first.to_string();
    let is_child = |pid: &Pid| command::status(*pid, "PPid:").is_some_and(|it| it == parent);
    let children = command::processes().filter(is_child);
    Ok(std::iter::once(first).chain(children).collect())
}
