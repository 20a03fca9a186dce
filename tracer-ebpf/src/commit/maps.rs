//! What the programs are told, what they remember and what they count.

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use tracer_ebpf::{
    Backend, CommitGap, CommitSettings, MAX_BACKENDS, MAX_RECEIVERS, MAX_SENDERS, ServerCommits,
    ServerLayout, SlowCommit, StageGap, StageOffsets, WAIT_MODES,
};

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
pub(crate) static BACKENDS: LruHashMap<u64, Backend> =
    LruHashMap::with_max_entries(MAX_BACKENDS, 0);

/// Sums by the server's first process. Userspace takes out those that have ended; a host
/// on which more run at once is told.
#[map]
pub(crate) static SERVERS: HashMap<u32, ServerCommits> = HashMap::with_max_entries(64, 0);

/// A fresh value for a server that was not seen before: too large for the 512
/// bytes of a program's stack.
#[map]
pub(crate) static NO_COMMITS: Array<ServerCommits> = Array::with_max_entries(1, 0);

/// From when on a commit is slow, ns, by the server's first process: userspace lowers it where
/// commits are usually much quicker than that.
#[map]
static SLOW_FROM: HashMap<u32, u64> = HashMap::with_max_entries(64, 0);

/// Slow commits, some 16,000 of them between two polls.
#[map]
static SLOW_COMMITS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// What had to be given up, by [`CommitGap`].
#[map]
static COMMIT_GAPS: PerCpuArray<u64> = PerCpuArray::with_max_entries(CommitGap::COUNT as u32, 0);

/// As the loader overwrites [`COMMIT_SETTINGS`]. As loaded, no connection is found.
#[unsafe(no_mangle)]
pub(crate) static STAGE_OFFSETS: StageOffsets = StageOffsets {
    task_files: 0,
    files_fdt: 0,
    fdt_fd: 0,
    file_private: 0,
    socket_sk: 0,
    sk_protocol: 0,
    skc_family: 0,
    skc_daddr: 0,
    skc_rcv_saddr: 0,
    skc_v6_daddr: 0,
    skc_v6_rcv_saddr: 0,
    skc_dport: 0,
    skc_num: 0,
    skc_net: 0,
    net_inum: 0,
    write_seq: 0,
    snd_una: 0,
    rcv_nxt: 0,
    copied_seq: 0,
    cb_seq: 0,
    cb_end_seq: 0,
    cb_ack_seq: 0,
};

/// What userspace knows of a server, by its first process.
#[map]
pub(crate) static LAYOUTS: HashMap<u32, ServerLayout> = HashMap::with_max_entries(64, 0);

/// Connections of walsenders and walreceivers, by the address of their `struct sock`: the process
/// as userspace sees it. Userspace takes out those of processes that have ended, unless another
/// one has the address by now.
#[map]
pub(crate) static FOLLOWED_SOCKETS: HashMap<u64, u32> = HashMap::with_max_entries(256, 0);

/// Walsenders by their `pid_tgid`, which leave their entry until the place is needed.
#[map]
pub(crate) static SENDERS: LruHashMap<u64, Sender> = LruHashMap::with_max_entries(MAX_SENDERS, 0);

/// Processes that receive replication by their `pid_tgid`, likewise.
#[map]
pub(crate) static RECEIVERS: LruHashMap<u64, Receiver> =
    LruHashMap::with_max_entries(MAX_RECEIVERS, 0);

/// What is remembered of one that receives replication.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Receiver {
    /// Its process; 0 if userspace does not see it.
    pub(crate) pid: u32,
    /// The file descriptor of its connection, and 1; 0 before that is known.
    pub(crate) descriptor: u32,
    /// The address of that connection's `struct sock`; 0 if it has none over TCP, or userspace was
    /// not told of it.
    pub(crate) sock: u64,
    /// Where it is told the message that it reads; 0 if it reads none.
    pub(crate) buffer: u64,
    /// When the flush began that it is in, ns; 0 if it is in none.
    pub(crate) flush_from_ns: u64,
    /// The last connection that there was no room for.
    pub(crate) refused: u64,
    /// When the last reply was sent that userspace was told of, as it says itself.
    pub(crate) replied_at: u64,
}

/// What is remembered of a walsender.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Sender {
    /// The address of its connection's `struct sock`; 0 if it has none over TCP, or userspace was
    /// not told of it.
    pub(crate) sock: u64,
    /// The last connection that there was no room for.
    pub(crate) refused: u64,
    /// When it had read the reply that it handles now, ns; 0 if it handles none.
    pub(crate) reply_from_ns: u64,
    /// How far waits were released then.
    pub(crate) before: [u64; WAIT_MODES],
}

/// What happened to waits: of a thousand commits a second for some seconds.
#[map]
static STAGES: RingBuf = RingBuf::with_byte_size(1 << 21, 0);

/// What had to be given up of them, by [`StageGap`].
#[map]
static STAGE_GAPS: PerCpuArray<u64> = PerCpuArray::with_max_entries(StageGap::COUNT as u32, 0);

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

/// From when on a commit of this server is slow, ns.
#[inline(always)]
pub(crate) fn slow_from_ns(server: u32) -> u64 {
    let lowered = SLOW_FROM.get_ptr(server);
    // SAFETY: a live map value, which userspace replaces as a whole.
    lowered.map_or_else(|| setting!(slow_ns), |ns| unsafe { *ns })
}

/// Reads one of the offsets.
macro_rules! stage_offset {
    ($field:ident) => {
        // SAFETY: as of the settings.
        unsafe { (&raw const $crate::maps::STAGE_OFFSETS.$field).read_volatile() }
    };
}
pub(crate) use stage_offset;

/// Counts something that had to be given up.
#[inline(always)]
pub(crate) fn count_gap(gap: CommitGap) {
    if let Some(count) = COMMIT_GAPS.get_ptr_mut(gap as u32) {
        add(count, 1);
    }
}

/// Likewise of a wait's stages.
#[inline(always)]
pub(crate) fn count_stage_gap(gap: StageGap) {
    if let Some(count) = STAGE_GAPS.get_ptr_mut(gap as u32) {
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

/// Tells of a wait's stages; false if there was no room.
#[inline(always)]
pub(crate) fn tell_stage<T: 'static>(record: T) -> bool {
    match STAGES.reserve::<T>(0) {
        Some(mut place) => {
            place.write(record);
            place.submit(NO_WAKEUP);
            true
        }
        None => {
            count_stage_gap(StageGap::Lost);
            false
        }
    }
}

/// Follows a connection from now on; false if there is no room.
#[inline(always)]
pub(crate) fn follow_socket(sock: u64, pid: u32) -> bool {
    FOLLOWED_SOCKETS
        .insert(sock, pid, u64::from(BPF_ANY))
        .is_ok()
}

/// A connection that userspace was not told of is not followed.
#[inline(always)]
pub(crate) fn unfollow_socket(sock: u64) {
    let _ = FOLLOWED_SOCKETS.remove(sock);
}
