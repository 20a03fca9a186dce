//! In whose numbers processes are told.

/// The PID namespace that userspace sees processes in, and where the running kernel
/// keeps what leads to a process's number there. Frozen before programs are loaded.
///
/// A process has a number in its own namespace and in each one around that:
/// `struct upid` in
/// [`pid.h`](https://github.com/torvalds/linux/blob/v6.12/include/linux/pid.h#L48).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PidNamespace {
    /// Its inode, as in `pid:[N]`; 0 for the kernel's first one, whose numbers are at
    /// hand and which needs none of the rest.
    pub inum: u32,
    /// `task_struct.signal`, a pointer.
    pub task_signal: u32,
    /// `signal_struct.pids[PIDTYPE_TGID]`, a pointer.
    pub signal_pid: u32,
    /// `pid.level`: how many namespaces are around the process's own.
    pub pid_level: u32,
    /// `pid.numbers`: a `struct upid` for each of these, the outermost first, of 16
    /// bytes: `nr`, and at 8 `ns`.
    pub pid_numbers: u32,
    /// `pid_namespace.ns.inum`.
    pub ns_inum: u32,
}

const _: () = assert!(size_of::<PidNamespace>() == 24);

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `#[repr(C)]` struct of `u32` only.
    unsafe impl aya::Pod for super::PidNamespace {}
}
