//! What aya leaves open: a loader that has not parsed the kernel's types, what its errors
//! mean, and how often programs ran.

pub(crate) mod syscall;

use std::error::Error;
use std::os::fd::{AsRawFd, BorrowedFd};

use aya::EbpfLoader;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracer_core::recording::programs::RunStats;

use crate::kernel::descriptors::explained;

/// A loader for programs that need nothing of the kernel's BTF.
///
/// `EbpfLoader::new` of aya 0.14 reads and parses all of
/// `/sys/kernel/btf/vmlinux` (16 ms and 17 MB for a distribution's kernel) before
/// `.btf(None)` can tell it not to, and takes a file that cannot be opened for a
/// kernel without BTF. So it is called while this process may open no file, which
/// needs no privilege. No other thread may want to open one meanwhile.
#[must_use]
pub(crate) fn without_kernel_types() -> EbpfLoader<'static> {
    let limit = getrlimit(Resource::RLIMIT_NOFILE);
    let lowered = limit.is_ok_and(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, 0, hard).is_ok());
    let mut loader = EbpfLoader::new();
    if lowered
        && let Ok((soft, hard)) = limit
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, soft, hard)
    {
        log::warn!("the limit on open files could not be raised again to {soft}: {error}");
    }
    loader.btf(None);
    loader
}

/// An error with its causes, because aya's outermost message often says only that
/// a system call failed; each once, because others repeat theirs.
#[must_use]
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    explained(text)
}

/// How aya begins what the verifier found.
const VERIFIER: &str = "Verifier output";

/// The first line of an error's text without what the verifier found: that is long, and
/// there also where something else is the matter.
#[must_use]
pub(crate) fn without_log(text: &str) -> &str {
    let end = text.find(VERIFIER).unwrap_or(text.len());
    let said = text.get(..end).unwrap_or_default();
    let line = said.lines().next().unwrap_or_default();
    line.trim_end_matches(['.', ' '])
}

/// `bpf_prog_info` up to its run-time counters, see
/// [`uapi/linux/bpf.h`](https://github.com/torvalds/linux/blob/v5.10/include/uapi/linux/bpf.h#L4396).
#[repr(C)]
#[derive(Default)]
struct ProgramInfo {
    before: [u64; 24],
    run_time_ns: u64,
    run_count: u64,
    recursion_misses: u64,
}

/// `union bpf_attr` of `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct InfoByFd {
    fd: u32,
    length: u32,
    info: u64,
}

const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;

/// What the kernel spent on one program: aya reads the structure but does not
/// show these fields.
pub(crate) fn effort(program: BorrowedFd<'_>) -> std::io::Result<RunStats> {
    let mut info = ProgramInfo::default();
    let attributes = InfoByFd {
        fd: u32::try_from(program.as_raw_fd()).unwrap_or(u32::MAX),
        length: u32::try_from(size_of::<ProgramInfo>()).unwrap_or(0),
        info: (&raw mut info) as u64,
    };
    // SAFETY: the kernel writes at most `length` bytes to `info`, which is that
    // large and lives until after the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_OBJ_GET_INFO_BY_FD,
            &raw const attributes,
            size_of::<InfoByFd>(),
        )
    };
    if result < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(RunStats {
        runs: info.run_count,
        ns: info.run_time_ns,
        missed: info.recursion_misses,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_verifier_found_is_left_out() {
        for text in [
            "it failed (os error 24). Verifier output: verification time 9 usec; do this",
            "it failed (os error 24). \nVerifier output: 0: R1=ctx",
            "it failed (os error 24)",
            "it failed (os error 24).\nmore",
        ] {
            assert_eq!(without_log(text), "it failed (os error 24)");
        }
        assert_eq!(without_log(""), "");
    }
}
