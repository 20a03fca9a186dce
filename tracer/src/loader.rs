//! An aya loader that has not parsed the kernel's types, and what aya's errors mean.

use std::error::Error;

use aya::EbpfLoader;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::descriptors::explained;

/// A loader for programs that need nothing of the kernel's BTF.
///
/// `EbpfLoader::new` of aya 0.14 reads and parses all of
/// `/sys/kernel/btf/vmlinux` (16 ms and 17 MB for a distribution's kernel) before
/// `.btf(None)` can tell it not to, and takes a file that cannot be opened for a
/// kernel without BTF. So it is called while this process may open no file, which
/// needs no privilege. No other thread may want to open one meanwhile.
#[must_use]
pub fn without_kernel_types() -> EbpfLoader<'static> {
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
pub fn with_causes(error: &dyn Error) -> String {
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
