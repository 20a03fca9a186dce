//! Adding a commit to the sums of its server.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::bpf_get_current_task;
use tracer_ebpf::{
    BUCKETS, Backend, CommitGap, LEAST_WAIT_NS, Part, ServerCommits, SlowCommit, bucket,
};

use crate::maps::{self, NO_COMMITS, SERVERS, add, count_gap};
use crate::stages;
use crate::task::{self, Missing};

/// How often to try to be the longest, against others at the same instant.
const TRIES: u32 = 2;

/// Counts a commit whose wait is over now.
#[inline(always)]
pub(crate) fn count(backend: &Backend, now_ns: u64) {
    let total_ns = now_ns - backend.start_ns;
    let wait_ns = now_ns - backend.wait_from_ns;
    // Not remembered from commit to commit: another backend may have the number by now.
    let server = match server_of_current() {
        Ok(server) => server,
        Err(Missing::OutOfSight) => return count_gap(CommitGap::OutOfSight),
        Err(Missing::Unread) => return count_gap(CommitGap::ReadFailed),
    };
    let Some(sums) = sums_of(server) else {
        return count_gap(CommitGap::ServersFull);
    };
    // Without a flush, as of a commit that does not wait for its disk, there is none.
    let flush_ns = match backend.flush_from_ns {
        0 => 0,
        from_ns => backend.wait_from_ns.saturating_sub(from_ns),
    };
    let rest_ns = total_ns.saturating_sub(flush_ns).saturating_sub(wait_ns);
    if backend.flush_from_ns == 0 {
        note_unflushed(sums, server);
    }
    add_part(sums, Part::Total, total_ns);
    add_part(sums, Part::Flush, flush_ns);
    add_part(sums, Part::Wait, wait_ns);
    add_part(sums, Part::Rest, rest_ns);
    // SAFETY: `sums` is a live map value.
    let (commits, slow, lost) = unsafe {
        (
            &raw mut (*sums).commits,
            &raw mut (*sums).slow,
            &raw mut (*sums).slow_lost,
        )
    };
    add(commits, 1);
    let is_slow = total_ns >= maps::slow_from_ns(server);
    if wait_ns >= LEAST_WAIT_NS {
        stages::wait_ended(server, backend, now_ns, is_slow);
    }
    if !is_slow {
        return;
    }
    add(slow, 1);
    let told = maps::tell(&SlowCommit {
        start_ns: backend.start_ns,
        total_ns,
        flush_ns,
        wait_ns,
        rest_ns,
        lsn: backend.lsn,
        pid: backend.pid,
        server,
    });
    if !told {
        add(lost, 1);
    }
}

/// A commit ended and no flush of it was seen. Once one of its server's was, the function is
/// known to be called, and nothing is looked up.
#[inline(always)]
fn note_unflushed(sums: *mut ServerCommits, server: u32) {
    // SAFETY: `sums` is a live map value; volatile, because other CPUs write it, too.
    let flushes_ns = unsafe { (&raw const (*sums).sums_ns[Part::Flush as usize]).read_volatile() };
    if flushes_ns == 0 && stages::waits_for_own_disk(server) == Some(true) {
        // SAFETY: as above.
        add(unsafe { &raw mut (*sums).unflushed }, 1);
    }
}

/// A wait began whose beginning nobody saw, although it has to have been after the programs
/// were attached.
#[inline(always)]
pub(crate) fn count_unbegun() {
    if let Ok(server) = server_of_current()
        && let Some(sums) = sums_of(server)
    {
        // SAFETY: `sums` is a live map value.
        add(unsafe { &raw mut (*sums).unbegun }, 1);
    }
}

/// The sums of a server, made if it was not seen before.
#[inline(always)]
fn sums_of(server: u32) -> Option<*mut ServerCommits> {
    if let Some(sums) = SERVERS.get_ptr_mut(server) {
        return Some(sums);
    }
    let none = NO_COMMITS.get(0)?;
    // Another CPU may have been faster: then the entry exists all the same.
    let _ = SERVERS.insert(server, none, u64::from(BPF_NOEXIST));
    SERVERS.get_ptr_mut(server)
}

/// Adds one part of a commit.
#[inline(always)]
fn add_part(sums: *mut ServerCommits, part: Part, ns: u64) {
    let index = part as usize;
    // The mask keeps the index inside the array in a way that the verifier sees.
    let place = index * BUCKETS + (bucket(ns) & (BUCKETS - 1));
    // SAFETY: `sums` is a live map value, and all of these are inside it.
    let (count, sum, longest) = unsafe {
        (
            (&raw mut (*sums).buckets).cast::<u64>().add(place),
            (&raw mut (*sums).sums_ns).cast::<u64>().add(index),
            (&raw mut (*sums).longest_ns).cast::<u64>().add(index),
        )
    };
    add(count, 1);
    add(sum, ns);
    let mut tries = 0;
    // SAFETY: as above; volatile, because other CPUs write it, too.
    while tries < TRIES && unsafe { longest.read_volatile() } < ns {
        // SAFETY: as above.
        unsafe { longest.write_volatile(ns) };
        tries += 1;
    }
}

/// The process that the current one is a child of: every process of a server is
/// a child of its first.
#[inline(always)]
pub(crate) fn server_of_current() -> Result<u32, Missing> {
    let settings = maps::settings();
    // SAFETY: a helper without arguments.
    let task = unsafe { bpf_get_current_task() };
    let parent = task::read::<u64>(task, settings.real_parent)?;
    match task::of(parent, settings.tgid)? {
        // That of a first process whose parent is outside; of none here.
        0 => Err(Missing::OutOfSight),
        server => Ok(server),
    }
}
