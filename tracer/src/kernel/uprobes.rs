//! Whether the kernel lets this process watch functions of other programs (uprobes), and
//! what it wants for that.
//!
//! Until July 2025 that was `CAP_PERFMON`; then it became `CAP_SYS_ADMIN`, in the kernels
//! that were supported too (5.10.240, 5.15.189, 6.1.146, 6.6.99, 6.12.39, 6.15.7, 6.16):
//! "[perf: Revert to requiring CAP_SYS_ADMIN for uprobes][fix]", which distributions have
//! taken under numbers of their own. So it is tried, and no number looked at.
//!
//! [fix]: https://github.com/torvalds/linux/commit/ba677dbe77af5ffe6204e0f3f547f3ba059c6302

use std::fs::{self, File};
use std::io;
use std::path::Path;

use caps::Capability::{CAP_PERFMON, CAP_SYS_ADMIN, CAP_SYS_PTRACE};

use crate::kernel::preflight;

/// Where the kernel lists what events can be opened with `perf_event_open(2)`.
const EVENT_SOURCES: &str = "/sys/bus/event_source/devices";
/// A program that does not exist: whether it may be watched is asked before it is looked
/// for (`perf_uprobe_event_init()` in
/// [`core.c`](https://github.com/torvalds/linux/blob/v6.12/kernel/events/core.c#L10998)).
const NOWHERE: &std::ffi::CStr = c"/proc/self/no-such-program";

/// What came of trying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The kernel has them, and they may be used.
    Allowed,
    /// The kernel has none.
    Absent,
    /// They may not be used: why, and what to do.
    Forbidden(String),
    /// That could not be found out, for this reason.
    Unknown(String),
}

/// Asks the running kernel. Nothing is watched by it.
#[must_use]
pub fn ask() -> Answer {
    ask_by(Path::new(EVENT_SOURCES), open)
}

fn ask_by(sources: &Path, open: impl FnOnce(u32) -> io::Error) -> Answer {
    let kind = match fs::read_to_string(sources.join("uprobe/type")) {
        Ok(kind) => kind,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return match sources.try_exists() {
                Ok(true) => Answer::Absent,
                _ => Answer::Unknown(format!(
                    "{} does not exist: is /sys mounted?",
                    sources.display()
                )),
            };
        }
        Err(error) => {
            return Answer::Unknown(format!("{} cannot be read: {error}", sources.display()));
        }
    };
    let Ok(kind) = kind.trim().parse() else {
        return Answer::Unknown(format!("the kernel calls their type `{}`", kind.trim()));
    };
    let error = open(kind);
    match error.raw_os_error() {
        Some(libc::ENOENT) => Answer::Allowed,
        Some(libc::EACCES | libc::EPERM) => Answer::Forbidden(format!("{error}; {}", wanted())),
        _ => Answer::Unknown(format!("the kernel answers with: {error}")),
    }
}

/// What is missing to watch this program, after the kernel has forbidden it.
#[must_use]
pub fn missing(program: &Path) -> String {
    match File::open(program) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let why = preflight::missing(&[CAP_SYS_PTRACE]);
            format!("the program may not be looked at: {why}")
        }
        _ => wanted(),
    }
}

/// What is missing where the kernel has said no to all programs.
fn wanted() -> String {
    if preflight::has(CAP_PERFMON) && !preflight::has(CAP_SYS_ADMIN) {
        let missing = preflight::missing(&[CAP_SYS_ADMIN]);
        return format!("CAP_PERFMON is not enough for uprobes on this kernel: {missing}");
    }
    preflight::missing(&[CAP_PERFMON])
}

/// The beginning of `struct perf_event_attr`, of the length that all kernels take
/// (`PERF_ATTR_SIZE_VER1`,
/// [`perf_event.h`](https://github.com/torvalds/linux/blob/v5.10/include/uapi/linux/perf_event.h#L308)).
#[repr(C)]
#[derive(Default)]
struct Event {
    kind: u32,
    size: u32,
    config: [u64; 5],
    wakeup_and_breakpoint: [u32; 2],
    path: u64,
    offset: u64,
}

const _: () = assert!(size_of::<Event>() == 72);

/// `PERF_FLAG_FD_CLOEXEC`, likewise.
const CLOSE_ON_EXEC: libc::c_ulong = 8;

/// Why this one cannot be opened, as no event of a program that does not exist can.
fn open(kind: u32) -> io::Error {
    let event = Event {
        kind,
        size: 72,
        path: NOWHERE.as_ptr() as u64,
        ..Event::default()
    };
    // As where commits are watched: every process, by the first processor.
    let (every, first, alone) = (-1_i32, 0_i32, -1_i32);
    // SAFETY: the kernel reads `size` bytes of the event and the text that it points to;
    // both live until after the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const event,
            every,
            first,
            alone,
            CLOSE_ON_EXEC,
        )
    };
    if fd < 0 {
        return io::Error::last_os_error();
    }
    let fd = i32::try_from(fd).unwrap_or(-1);
    // SAFETY: just opened, and nobody else's.
    drop(unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd) });
    io::Error::other("a program that does not exist was watched")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_known_only_where_event_sources_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let never = |_| unreachable!("there are none to be tried");
        assert_eq!(ask_by(folder.path(), never), Answer::Absent);
        let none = folder.path().join("none");
        assert!(matches!(ask_by(&none, never), Answer::Unknown(_)));
        fs::create_dir(folder.path().join("uprobe")).unwrap();
        let kind = folder.path().join("uprobe/type");
        fs::write(&kind, "x\n").unwrap();
        assert!(matches!(ask_by(folder.path(), never), Answer::Unknown(_)));
        fs::write(&kind, "9\n").unwrap();
        let answer = |code| {
            ask_by(folder.path(), move |kind| {
                assert_eq!(kind, 9);
                io::Error::from_raw_os_error(code)
            })
        };
        assert_eq!(answer(libc::ENOENT), Answer::Allowed);
        assert!(matches!(answer(libc::EACCES), Answer::Forbidden(_)));
        assert!(matches!(answer(libc::EPERM), Answer::Forbidden(_)));
        assert!(matches!(answer(libc::ENOSYS), Answer::Unknown(_)));
    }
}
