//! A disk that takes its time, for some processes.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use nix::unistd::Pid;
use xtask::testbed::{command::Running, wait};

use crate::postgres::watched::LIMIT;

/// Holds up every flush of some processes, and of those that they start; until it is
/// dropped.
pub(crate) struct Slow {
    // Interrupted when dropped: it lets go of those that it holds.
    _strace: Running,
}

impl Slow {
    pub(crate) fn start(pids: &[Pid], by: Duration) -> Self {
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
        let strace = Running::new(strace.spawn().unwrap(), "strace");
        wait::until(LIMIT, "every process to be held", || {
            Ok(pids.iter().all(|pid| is_held(*pid)).then_some(()))
        })
        .unwrap();
        Self { _strace: strace }
    }
}

/// Whether a process is traced; one that has ended needs not be.
fn is_held(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let tracer = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_none_or(|tracer| tracer.trim() != "0")
}

/// A server's first process and its children.
pub(crate) fn processes(first: Pid) -> Vec<Pid> {
    let children = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let (pid, rest) = stat.split_once(' ')?;
            let (_, fields) = rest.rsplit_once(')')?;
            let parent: i32 = fields.split_whitespace().nth(1)?.parse().ok()?;
            (parent == first.as_raw()).then(|| Some(Pid::from_raw(pid.parse().ok()?)))?
        });
    std::iter::once(first).chain(children).collect()
}
