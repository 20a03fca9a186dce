//! What a process uses, as `/proc` tells it.

use std::fs;

use anyhow::{Context, Result};
use nix::unistd::Pid;

/// At one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// `VmRSS`, KiB.
    pub(super) resident_kib: u64,
    /// Open descriptors.
    pub(super) descriptors: u64,
    pub(super) threads: u64,
}

impl Usage {
    /// Of this process.
    pub(super) fn of(pid: Pid) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        Ok(Self {
            resident_kib: field(&status, "VmRSS:")?,
            descriptors: u64::try_from(descriptors)?,
            threads: field(&status, "Threads:")?,
        })
    }
}

/// The number behind a name.
fn field(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    let number = number.and_then(|number| number.parse().ok());
    number.with_context(|| format!("no {name} in the process's status"))
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
