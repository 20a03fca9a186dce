//! Whose socket it is.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tracer_core::text::does_harm;
use tracer_ebpf::Owner;

use crate::kernel::{pidns, program};
use tracer_core::report::process::{Process, Program};

/// The longest title that is kept.
const TITLE_LENGTH: usize = 160;

/// What the kernel saw when the socket was opened; `None` if it did not.
#[must_use]
pub(crate) fn of_owner(owner: &Owner) -> Option<Process> {
    if owner.pid == 0 {
        return None;
    }
    let length = owner
        .comm
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(owner.comm.len());
    let comm = printable(&owner.comm[..length]);
    let directory = Path::new("/proc").join(owner.pid.to_string());
    Some(called(owner.pid, comm, &directory))
}

/// With what else can be learnt of it.
fn called(pid: u32, comm: String, directory: &Path) -> Process {
    let program = program::of(directory, &comm);
    Process {
        pid,
        comm,
        title: (program == Some(Program::Postgres))
            .then(|| title(directory))
            .flatten(),
        program,
        own_pid: pidns::own_id(pid),
    }
}

/// The owner of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Of several processes, the one with the largest id.
    pub process: Arc<Process>,
    /// Whether others have it, too. Often that is over in a moment: a parent is
    /// about to close what it has accepted for its child, or a child about to become
    /// another program, without the parent's sockets.
    pub shared: bool,
}

/// Finds the owners of sockets by the inodes of their files, in one walk over
/// `/proc/PID/fd`. Processes that may not be looked into, or end meanwhile, are
/// passed over. Of several that share a socket, the one with the largest id is
/// named: after a `fork` that is the child the socket was accepted for.
#[must_use]
pub(crate) fn owners(wanted: &HashSet<u64>) -> HashMap<u64, Holder> {
    let mut found: HashMap<u64, Holder> = HashMap::new();
    let Ok(processes) = fs::read_dir("/proc") else {
        return found;
    };
    for directory in processes.flatten() {
        let Some(pid) = directory
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(files) = fs::read_dir(directory.path().join("fd")) else {
            continue;
        };
        let mut holder = None;
        for file in files.flatten() {
            let Ok(target) = fs::read_link(file.path()) else {
                continue;
            };
            let Some(inode) = socket_inode(target.as_os_str().as_bytes()) else {
                continue;
            };
            if !wanted.contains(&inode) {
                continue;
            }
            // A process may have it twice.
            let known = found.get(&inode).map(|known| known.process.pid);
            if known.is_none_or(|known| known < pid) {
                let process =
                    holder.get_or_insert_with(|| Arc::new(describe(pid, &directory.path())));
                let process = Arc::clone(process);
                let shared = known.is_some();
                found.insert(inode, Holder { process, shared });
            } else if known != Some(pid)
                && let Some(known) = found.get_mut(&inode)
            {
                known.shared = true;
            }
        }
    }
    found
}

fn describe(pid: u32, directory: &Path) -> Process {
    let comm = fs::read(directory.join("comm")).unwrap_or_default();
    let comm = printable(comm.strip_suffix(b"\n").unwrap_or(&comm));
    called(pid, comm, directory)
}

/// The title that a PostgreSQL process gives itself (`set_ps_display`,
/// [`ps_status.c`](https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/utils/misc/ps_status.c)).
fn title(directory: &Path) -> Option<String> {
    let line = fs::read(directory.join("cmdline")).ok()?;
    let end = line
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(line.len());
    // The postmaster keeps its arguments, which may hold anything.
    if !line.starts_with(program::TITLE) {
        return None;
    }
    let title = printable(&line[..end]);
    Some(title.trim_end().chars().take(TITLE_LENGTH).collect())
}

/// `socket:[N]` → N.
pub(crate) fn socket_inode(target: &[u8]) -> Option<u64> {
    let number = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// Text from elsewhere that will be shown on a terminal: nothing that does harm there.
pub(crate) fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if does_harm(c) { '\u{fffd}' } else { c })
        .collect()
}

/// Processor time of this process.
#[must_use]
pub(crate) fn cpu() -> Duration {
    // The kernel knows this process, so the call cannot fail.
    getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |usage| {
        let us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        Duration::from_micros(u64::try_from(us).unwrap_or(0))
    })
}

/// The most memory that this process has had resident, KiB.
///
/// Not `getrusage`'s: that begins with what the parent had at the moment of the
/// fork ([`exec_mmap`](https://github.com/torvalds/linux/blob/v6.12/fs/exec.c)).
///
/// # Errors
/// If `/proc` is not mounted.
pub(crate) fn peak_memory_kib() -> std::io::Result<u64> {
    parse_peak(&fs::read_to_string("/proc/self/status")?)
        .ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

/// In KiB, from the text of `/proc/self/status`.
pub(crate) fn parse_peak(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn our_own_socket_is_ours() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let inode = socket_inode(link.as_os_str().as_bytes()).unwrap();
        let owners = owners(&HashSet::from([inode]));
        // Another test's thread may be between `fork` and `exec`.
        let holder = &owners[&inode];
        assert!(holder.process.pid == std::process::id() || holder.shared);
        assert_eq!(holder.process.title, None);
    }

    #[test]
    fn only_sockets_are_sockets() {
        assert_eq!(socket_inode(b"socket:[4711]"), Some(4711));
        for other in [
            &b"pipe:[4711]"[..],
            b"socket:[",
            b"socket:[x]",
            b"/dev/null",
            b"",
        ] {
            assert_eq!(socket_inode(other), None);
        }
    }

    #[test]
    fn a_hostile_name_does_not_reach_the_terminal() {
        let mut owner = Owner {
            pid: u32::MAX,
            ..Owner::default()
        };
        owner.comm[..6].copy_from_slice(b"\x1b[2Jx\xff");
        let process = of_owner(&owner).unwrap();
        assert!(
            process.comm.chars().all(|c| !c.is_control()),
            "{:?}",
            process.comm
        );
        assert_eq!(of_owner(&Owner::default()), None);
    }

    #[test]
    fn what_a_process_calls_itself_does_nothing_to_a_terminal() {
        let name = "a\u{1b}[2J\n\u{202e}ü\u{2066}";
        let shown = "a\u{fffd}[2J\u{fffd}\u{fffd}ü\u{fffd}";
        assert_eq!(printable(name.as_bytes()), shown);
        assert_eq!(printable(b"\xff<b>"), "\u{fffd}<b>");
    }

    #[test]
    fn the_peak_is_a_line_of_the_status() {
        let status = "VmPeak:\t  9000 kB\nVmHWM:\t  5124 kB\nVmRSS:\t  5000 kB\n";
        assert_eq!(parse_peak(status), Some(5124));
        assert_eq!(parse_peak("Name:\tx\n"), None);
        assert!(peak_memory_kib().unwrap() > 0);
    }
}
