//! An aya loader that has not parsed the kernel's types.

use aya::EbpfLoader;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

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
