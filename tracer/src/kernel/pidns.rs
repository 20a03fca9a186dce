//! The PID namespace whose processes `/proc` shows, and in whose numbers it does.
//!
//! The kernel programs see every process of this machine, by the numbers of the
//! kernel's first namespace. In a container, `/proc` shows that container's alone, by
//! others: whatever compares both has to speak of one namespace.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::fs;
use std::os::unix::fs::MetadataExt;

use tracer_ebpf::PidNamespace;

use crate::kernel::offsets;
use crate::kernel::parent::parent_of;

/// The first one has a number of its own (`PROC_PID_INIT_INO`,
/// [`linux/proc_ns.h`](https://github.com/torvalds/linux/blob/v6.12/include/linux/proc_ns.h#L45)).
const FIRST: u32 = 0xEFFF_FFFC;
/// A process tree deeper than this is not searched to its root.
const MAX_ANCESTORS: usize = 64;
/// No namespace has this inode: no process is found in it.
const NONE: u32 = u32::MAX;

/// What a run in a container has to be told, by whom it does not see and what helps.
pub(crate) const REMEDY: &str = "run tracer on the host, or in a container that shares the host's \
     (docker run --pid=host, hostPID: true)";

/// What `/proc` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Every process, by the kernel's own numbers.
    All,
    /// Those of one namespace, with this inode, and of those within it.
    Those(u32),
    /// That could not be found out.
    Unknown,
}

/// Looks at this machine.
#[must_use]
pub(crate) fn shown() -> Shown {
    match inode() {
        Some(FIRST) => Shown::All,
        Some(inode) => Shown::Those(inode),
        None => Shown::Unknown,
    }
}

/// The numbers in which the kernel programs are to tell of processes.
///
/// # Errors
/// Why they cannot, in words that go on after "because"; then no process is to be found
/// by its number at all ([`nowhere`]).
pub(crate) fn numbers() -> Result<PidNamespace, String> {
    match shown() {
        Shown::All => Ok(PidNamespace::default()),
        Shown::Those(inode) => offsets::of_pids(inode).map_err(|error| error.to_string()),
        Shown::Unknown => Err("/proc does not say of which PID namespace it is".to_owned()),
    }
}

/// Numbers of which there are none.
#[must_use]
pub(crate) fn nowhere() -> PidNamespace {
    PidNamespace {
        inum: NONE,
        ..PidNamespace::default()
    }
}

/// What the reader of a report has to know of it; `None` where every process is seen.
#[must_use]
pub(crate) fn warning() -> Option<String> {
    let cost = match (shown(), numbers()) {
        (Shown::All, _) => return None,
        (Shown::Those(inode), Ok(_)) => format!(
            "tracer runs in a PID namespace (pid:[{inode}]) and sees only the processes there: \
             those outside are not named beside their flows, and servers outside are not found"
        ),
        (_, Err(why)) => {
            format!("processes that open connections are not named, because {why}")
        }
        (Shown::Unknown, Ok(_)) => return None,
    };
    Some(format!("{cost}; {REMEDY}"))
}

/// Inode of the namespace of which `/proc` is. That may be around our own, where somebody
/// entered one and has mounted no other `/proc`.
fn inode() -> Option<u32> {
    // Its first process belongs to it; but not every root may look at that one.
    if let Some(inode) = of(1) {
        return Some(inode);
    }
    // By what `/proc` calls us, which `getpid()` does not say there.
    let mut pid = fs::read_link("/proc/self").ok()?.to_str()?.parse().ok()?;
    for _ in 0..MAX_ANCESTORS {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        if levels(&status)? == 1 {
            return of(pid);
        }
        pid = parent_of(pid)?;
    }
    None
}

fn of(pid: u32) -> Option<u32> {
    let file = fs::metadata(format!("/proc/{pid}/ns/pid")).ok()?;
    u32::try_from(file.ino()).ok()
}

/// In how many namespaces a process has a number, from that of `/proc` on inward.
pub(crate) fn levels(status: &str) -> Option<usize> {
    Some(ids(status)?.count())
}

/// The number by which a process knows itself: its own namespace's. `None` if it has
/// ended.
pub(crate) fn own_id(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    ids(&status)?.last()?.parse().ok()
}

/// See `NSpid` in
/// [`proc_pid_status(5)`](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html).
fn ids(status: &str) -> Option<std::str::SplitWhitespace<'_>> {
    let mut lines = status.lines();
    let ids = lines.find_map(|line| line.strip_prefix("NSpid:"))?;
    Some(ids.split_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_from_the_outermost_to_the_own() {
        let status = "Name:\tx\nNSpid:\t4711\t30\t1\nNSpgid:\t4711\t30\t1\n";
        assert_eq!(levels(status), Some(3));
        assert_eq!(ids(status).unwrap().last(), Some("1"));
        assert_eq!(levels("Name:\tx\n"), None);
        let pid = std::process::id();
        assert_eq!(own_id(pid), Some(pid));
        assert_eq!(own_id(u32::MAX), None);
    }

    #[test]
    fn this_test_is_seen_by_its_own_number() {
        // Whichever namespace it runs in.
        let own = fs::metadata("/proc/self/ns/pid").unwrap().ino();
        let expected = match own {
            first if first == u64::from(FIRST) => Shown::All,
            other => Shown::Those(u32::try_from(other).unwrap()),
        };
        assert_eq!(shown(), expected);
    }
}
