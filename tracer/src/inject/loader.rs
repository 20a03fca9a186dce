//! An aya loader that has not parsed the kernel's types.

use std::thread;

use aya::EbpfLoader;
use nix::{
    sched::{CloneFlags, unshare},
    unistd::chroot,
};

/// A loader without BTF of the kernel, for programs that read no kernel type.
///
/// `EbpfLoader::new` of aya 0.14 reads and parses the whole of
/// `/sys/kernel/btf/vmlinux` (17 MB of memory, 16 ms) even if `.btf(None)` then
/// throws it away, and takes its absence for "no BTF". So it is called where
/// that file is not to be found: on a thread with a root directory of its own
/// (`CLONE_FS`), which ends with the call. Where that is not permitted, the
/// loader is the same and only the memory is spent.
pub(super) fn without_kernel_types() -> EbpfLoader<'static> {
    let elsewhere = || {
        // Any directory without `sys/kernel/btf` in it will do.
        let _ = unshare(CloneFlags::CLONE_FS).and_then(|()| chroot("/proc"));
        EbpfLoader::new()
    };
    let mut loader =
        thread::scope(|scope| scope.spawn(elsewhere).join()).unwrap_or_else(|_| EbpfLoader::new());
    loader.btf(None);
    loader
}
