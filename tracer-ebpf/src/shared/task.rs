//! The number of a process in the PID namespace that userspace sees it in. A part of
//! each object that tells of processes.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_current_task, bpf_probe_read_kernel};
use tracer_ebpf::PidNamespace;

/// How deep below that namespace a process is looked for, its own included: a container
/// in a container in a container. The kernel nests up to 32, but every further step is a
/// path more through the whole program, on which the verifier of 5.10 spends minutes.
const MAX_STEPS: u32 = 4;
/// `sizeof(struct upid)`, which userspace has checked.
const UPID: u32 = 16;

/// Overwritten by the loader before the kernel freezes it.
#[unsafe(no_mangle)]
static PID_NAMESPACE: PidNamespace = PidNamespace {
    inum: 0,
    task_signal: 0,
    signal_pid: 0,
    pid_level: 0,
    pid_numbers: 0,
    ns_inum: 0,
};

/// Why a process has no number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is outside of that namespace.
    OutOfSight,
    /// The kernel's memory could not be read.
    Unread,
}

/// The number of the process that runs.
#[inline(always)]
pub fn current() -> Result<u32, Missing> {
    if setting(&raw const PID_NAMESPACE.inum) == 0 {
        return Ok((bpf_get_current_pid_tgid() >> 32) as u32);
    }
    // SAFETY: a helper without arguments.
    in_namespace(unsafe { bpf_get_current_task() })
}

/// The number of the process of this `struct task_struct`, whose `tgid` is there.
#[inline(always)]
#[allow(
    dead_code,
    reason = "not every object asks for others than the current one"
)]
pub fn of(task: u64, tgid: u32) -> Result<u32, Missing> {
    if setting(&raw const PID_NAMESPACE.inum) == 0 {
        return read::<u32>(task, tgid);
    }
    in_namespace(task)
}

#[inline(always)]
fn in_namespace(task: u64) -> Result<u32, Missing> {
    let wanted = setting(&raw const PID_NAMESPACE.inum);
    let numbers = setting(&raw const PID_NAMESPACE.pid_numbers);
    let ns_inum = setting(&raw const PID_NAMESPACE.ns_inum);
    let signal = read::<u64>(task, setting(&raw const PID_NAMESPACE.task_signal))?;
    let pid = read::<u64>(signal, setting(&raw const PID_NAMESPACE.signal_pid))?;
    let level = read::<u32>(pid, setting(&raw const PID_NAMESPACE.pid_level))?;
    // From its own outward: most often the first is the one.
    let mut found = 0;
    let mut step = 0;
    while step < MAX_STEPS && found == 0 && step <= level {
        let [number, namespace] = read::<[u64; 2]>(pid, numbers + (level - step) * UPID)?;
        if read::<u32>(namespace, ns_inum)? == wanted {
            found = number as u32;
        }
        step += 1;
    }
    match found {
        0 => Err(Missing::OutOfSight),
        number => Ok(number),
    }
}

/// Volatile: the loader, which the compiler does not know of, replaces the bytes.
#[inline(always)]
fn setting(field: *const u32) -> u32 {
    // SAFETY: callers pass a field of the static above.
    unsafe { field.read_volatile() }
}

/// Reads a value `offset` bytes into a structure of the kernel.
#[inline(always)]
pub fn read<T>(base: u64, offset: u32) -> Result<T, Missing> {
    let source = (base + u64::from(offset)) as *const T;
    // SAFETY: the helper checks the address and fails where it is not mapped.
    unsafe { bpf_probe_read_kernel(source) }.map_err(|_| Missing::Unread)
}
