//! The contract of the programs that split commits of PostgreSQL into their parts.

/// The most backends that are remembered, unless there are so many processors that the loader makes
/// room for more.
pub const MAX_BACKENDS: u32 = 16_384;
/// The most walsenders, likewise.
pub const MAX_SENDERS: u32 = 512;
/// The most processes that receive replication, likewise.
pub const MAX_RECEIVERS: u32 = 128;

/// A part of a commit. The discriminant indexes the arrays of [`ServerCommits`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// From the end of deferred triggers (`AfterTriggerEndXact`) to the return of
    /// `SyncRepWaitForLSN`.
    Total = 0,
    /// Within it from the beginning of `XLogFlush` to that of `SyncRepWaitForLSN`: this
    /// server's own log, and the status of the transaction.
    Flush = 1,
    /// Within it in `SyncRepWaitForLSN`: the standby.
    Wait = 2,
    /// What is left: what precedes the flush, as the commit's own record.
    Rest = 3,
}

impl Part {
    /// How many there are.
    pub const COUNT: usize = 4;
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; Self::COUNT] = [Self::Total, Self::Flush, Self::Wait, Self::Rest];
}

/// Buckets of a histogram: four for each doubling, from 256 ns to 2⁴¹ ns (36
/// minutes), and the last one for what is longer.
pub const BUCKETS: usize = 128;

/// Durations are told apart in units of 2⁸ ns.
const UNIT_SHIFT: u32 = 8;

/// The bucket of a duration in ns. Below four units a bucket is a unit.
#[must_use]
#[inline(always)]
pub const fn bucket(ns: u64) -> usize {
    let units = ns >> UNIT_SHIFT;
    if units < 4 {
        return units as usize;
    }
    let highest = 63 - units.leading_zeros();
    let quarter = (units >> (highest - 2)) & 3;
    let index = (highest as usize - 1) * 4 + quarter as usize;
    if index < BUCKETS { index } else { BUCKETS - 1 }
}

/// The least duration of a bucket, ns; of the bucket behind the last, what no
/// duration reaches.
#[must_use]
pub const fn bucket_start(index: usize) -> u64 {
    if index >= BUCKETS {
        return u64::MAX;
    }
    if index < 4 {
        return (index as u64) << UNIT_SHIFT;
    }
    let highest = index / 4 + 1;
    (4 + (index % 4) as u64) << (highest - 2) << UNIT_SHIFT
}

/// Frozen before the programs are loaded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitSettings {
    /// Commits that take as long, ns, are also told one by one.
    pub slow_ns: u64,
    /// `task_struct.real_parent`.
    pub real_parent: u32,
    /// `task_struct.tgid`.
    pub tgid: u32,
}

/// What is remembered of a backend: one a process, by its `pid_tgid`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backend {
    /// When the commit that is not over began, ns of `CLOCK_MONOTONIC`; 0 if none
    /// is.
    pub start_ns: u64,
    /// When it began to bring the WAL to the disk; 0 if it has not.
    pub flush_from_ns: u64,
    /// When the wait that is not over began; 0 if none is.
    pub wait_from_ns: u64,
    /// The position in the WAL that the wait is for, or the last one whose beginning was not
    /// seen.
    pub lsn: u64,
    /// The process as userspace sees it, known while it waits; 0 if it does not see it.
    pub pid: u32,
    /// 1 for a commit, 0 for a `PREPARE`.
    pub is_commit: u32,
    /// Waits that came since the last beginning was seen, and had none.
    pub unbegun: u32,
    /// Always 0.
    pub _pad: u32,
}

/// Sums of one server.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerCommits {
    /// Commits by [`Part`] and [`bucket`].
    pub buckets: [[u64; BUCKETS]; Part::COUNT],
    /// Time spent, ns, by [`Part`].
    pub sums_ns: [u64; Part::COUNT],
    /// The longest, ns, by [`Part`]: of two at the same instant, it may be the
    /// shorter.
    pub longest_ns: [u64; Part::COUNT],
    /// Commits that wrote.
    pub commits: u64,
    /// Those of them that were slow.
    pub slow: u64,
    /// Slow ones that the ring buffer had no room for.
    pub slow_lost: u64,
    /// Commits that had to wait for their disk, and whose flush was not seen; counted as long
    /// as none was.
    pub unflushed: u64,
    /// Waits whose beginning was not seen, although it was after the programs were attached.
    pub unbegun: u64,
}

impl ServerCommits {
    /// Of a server that has committed nothing.
    pub const NONE: Self = Self {
        buckets: [[0; BUCKETS]; Part::COUNT],
        sums_ns: [0; Part::COUNT],
        longest_ns: [0; Part::COUNT],
        commits: 0,
        slow: 0,
        slow_lost: 0,
        unflushed: 0,
        unbegun: 0,
    };

    /// Commits whose flush was seen: of one that was, the beginning and the end are never in
    /// the first bucket, because two traps lie between them.
    #[must_use]
    pub fn flushed(&self) -> u64 {
        let flushes = self.buckets[Part::Flush as usize].iter();
        flushes
            .skip(1)
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Adds those of another server.
    #[cfg(feature = "user")]
    pub fn add(&mut self, more: &Self) {
        let buckets = self.buckets.as_flattened_mut().iter_mut();
        let sums = buckets.chain(&mut self.sums_ns);
        let more_sums = more.buckets.as_flattened().iter().chain(&more.sums_ns);
        for (sum, more) in sums.zip(more_sums) {
            *sum += more;
        }
        for (longest, other) in self.longest_ns.iter_mut().zip(more.longest_ns) {
            *longest = other.max(*longest);
        }
        self.commits += more.commits;
        self.slow += more.slow;
        self.slow_lost += more.slow_lost;
        self.unflushed += more.unflushed;
        self.unbegun += more.unbegun;
    }
}

/// A slow commit: a record of the ring buffer `SLOW_COMMITS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlowCommit {
    /// When it began, ns of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// How long it took: the sum of the others.
    pub total_ns: u64,
    /// See [`Part::Flush`].
    pub flush_ns: u64,
    /// See [`Part::Wait`].
    pub wait_ns: u64,
    /// See [`Part::Rest`].
    pub rest_ns: u64,
    /// The position in the WAL that it waited for.
    pub lsn: u64,
    /// The backend's process.
    pub pid: u32,
    /// The server's first process.
    pub server: u32,
}

/// What the programs had to give up; indexes the per-CPU array `COMMIT_GAPS`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitGap {
    /// A backend that there was no room to remember: a commit not counted.
    BackendsFull = 0,
    /// A server that there was no room for, likewise.
    ServersFull = 1,
    /// Whose child the backend is could not be read, likewise.
    ReadFailed = 2,
    /// Its server is outside of the PID namespace that userspace sees.
    OutOfSight = 3,
    /// The kernel did not show the end of its wait: a commit not counted.
    EndMissed = 4,
}

impl CommitGap {
    /// Number of gaps.
    pub const COUNT: usize = 5;
}

const _: () = assert!(size_of::<CommitSettings>() == 16);
const _: () = assert!(size_of::<Backend>() == 48);
const _: () = assert!(size_of::<ServerCommits>() == 4 * 128 * 8 + 13 * 8);
const _: () = assert!(size_of::<SlowCommit>() == 56);

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `#[repr(C)]` structs of integers without implicit padding (sizes
    // asserted above).
    unsafe impl aya::Pod for super::CommitSettings {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Backend {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::ServerCommits {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::SlowCommit {}
}
