//! Processes of the tool: all that run the copy of it that is tortured.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context, Result};
use nix::unistd::Pid;

use crate::testbed::command;

/// The program, known by its file: nobody else runs that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Program {
    device: u64,
    inode: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) parent: Pid,
    pub(super) name: String,
}

impl Program {
    pub(super) fn of(path: &Path) -> Result<Self> {
        let file = fs::metadata(path).with_context(|| format!("no {}", path.display()))?;
        Ok(Self {
            device: file.dev(),
            inode: file.ino(),
        })
    }

    /// Whether the process runs it. One that has ended runs nothing.
    pub(super) fn is_run_by(self, pid: Pid) -> bool {
        fs::metadata(format!("/proc/{pid}/exe"))
            .is_ok_and(|file| (file.dev(), file.ino()) == (self.device, self.inode))
    }

    pub(super) fn processes(self) -> Vec<Process> {
        let running = command::processes().filter(|pid| self.is_run_by(*pid));
        running.filter_map(Process::read).collect()
    }
}

impl Process {
    /// [`None`] when it has just gone.
    fn read(pid: Pid) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Its name is in parentheses, and may hold any.
        let (before, behind) = stat.rsplit_once(") ")?;
        let name = before.split_once('(')?.1.to_owned();
        let parent = behind.split(' ').nth(1)?.parse().ok()?;
        Some(Self {
            pid,
            parent: Pid::from_raw(parent),
            name,
        })
    }

    pub(super) fn is_guard(&self) -> bool {
        self.name.starts_with("tracer: guard")
    }
}
