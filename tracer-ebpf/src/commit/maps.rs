//! What the programs are told, what they remember and what they count.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use tracer_ebpf::{Backend, CommitGap, CommitSettings, ServerCommits, SlowCommit};

/// Overwritten by the loader before the kernel freezes it. As loaded, no commit
/// is slow and no server is found.
#[unsafe(no_mangle)]
static COMMIT_SETTINGS: CommitSettings = CommitSettings {
    slow_ns: u64::MAX,
    real_parent: 0,
    tgid: 0,
};

/// One entry a backend that has committed, for its life and beyond: nothing says
/// when one dies, and it leaves its entry until the place is needed. More places
/// than a host has backends, because one that loses its place in the midst of a
/// commit is not counted.
#[map]
pub(crate) static BACKENDS: LruHashMap<u64, Backend> = LruHashMap::with_max_entries(16_384, 0);

/// Sums by the server's first process. Userspace takes out those that have ended; a host
/// on which more run at once is told.
#[map]
pub(crate) static SERVERS: HashMap<u32, ServerCommits> = HashMap::with_max_entries(64, 0);

/// A fresh value for a server that was not seen before: too large for the 512
/// bytes of a program's stack.
#[map]
pub(crate) static NO_COMMITS: Array<ServerCommits> = Array::with_max_entries(1, 0);

/// Slow commits, some 16,000 of them between two polls.
#[map]
static SLOW_COMMITS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// What had to be given up, by [`CommitGap`].
#[map]
static COMMIT_GAPS: PerCpuArray<u64> = PerCpuArray::with_max_entries(CommitGap::COUNT as u32, 0);

/// Userspace polls when it likes, and need not be woken.
const NO_WAKEUP: u64 = 1;

/// Reads one of the settings.
macro_rules! setting {
    ($field:ident) => {
        // SAFETY: points into a static; volatile because the loader, which the
        // compiler does not know of, replaces its bytes.
        unsafe { (&raw const $crate::maps::COMMIT_SETTINGS.$field).read_volatile() }
    };
}

pub(crate) fn settings() -> CommitSettings {
    CommitSettings {
        slow_ns: setting!(slow_ns),
        real_parent: setting!(real_parent),
        tgid: setting!(tgid),
    }
}

/// Counts something that had to be given up.
#[inline(always)]
pub(crate) fn count_gap(gap: CommitGap) {
    if let Some(count) = COMMIT_GAPS.get_ptr_mut(gap as u32) {
        add(count, 1);
    }
}

/// Adds to a counter of a map, atomically: backends on other CPUs do likewise.
#[inline(always)]
pub(crate) fn add(counter: *mut u64, value: u64) {
    // SAFETY: callers pass the address of an aligned `u64` in a live map value.
    // In assembly, because LLVM must not choose the form that returns the old
    // value, which 5.10 lacks.
    unsafe {
        core::arch::asm!("lock *(u64 *)({counter} + 0) += {value}", counter = in(reg) counter, value = in(reg) value);
    }
}

/// Tells of a slow commit; false if there was no room.
#[inline(always)]
pub(crate) fn tell(slow: &SlowCommit) -> bool {
    match SLOW_COMMITS.reserve::<SlowCommit>(0) {
        Some(mut record) => {
            record.write(*slow);
            record.submit(NO_WAKEUP);
            true
        }
        None => false,
    }
}
