//! What a process uses, as `/proc` shows it.

use std::fs;

use anyhow::{Context, Result};
use nix::unistd::Pid;

use crate::testbed::command;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// `VmRSS`, KiB.
    pub(super) resident_kib: u64,
    pub(super) descriptors: u64,
    pub(super) threads: u64,
}

impl Usage {
    pub(super) fn of(pid: Pid) -> Result<Self> {
        let field = |name: &str| {
            let number = command::status(pid, name);
            let number = number.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.with_context(|| format!("process {pid} has no {name} in its status"))
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        Ok(Self {
            resident_kib: field("VmRSS:")?,
            descriptors: u64::try_from(descriptors)?,
            threads: field("Threads:")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let before = Usage::of(Pid::this()).unwrap();
        assert!(before.resident_kib > 100 && before.threads > 0);
        let _more: Vec<_> = (0..8)
            .map(|_| fs::File::open("/dev/null").unwrap())
            .collect();
        assert!(Usage::of(Pid::this()).unwrap().descriptors >= 8);
    }
}
