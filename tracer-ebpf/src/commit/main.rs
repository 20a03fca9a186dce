//! What a commit of PostgreSQL waited for: programs at some of its functions, in
//! every process that runs the program they are in. Those that follow a wait through the
//! walsender are in [`walsender`] and [`segment`], those that follow WAL through a standby in
//! [`walreceiver`].
//!
//! A commit is what comes to [`SyncRepWaitForLSN`], as all do that wrote something,
//! whether or not there is a standby to wait for; the end of a transaction that only
//! read does not. It begins where [`AfterTriggerEndXact`] says that the transaction
//! will be committed, or prepared, and its deferred triggers are done: once a
//! transaction, where `CommitTransactionCommand` runs once a statement, and a trap is
//! most of what all of this costs. One that fails comes to no wait, and the next begins
//! anew. What was prepared is committed by [`FinishPreparedTransaction`], outside of
//! any transaction of its own.
//!
//! It ends where [`SyncRepWaitForLSN`] returns. What follows, until the client is
//! told, is to release locks and memory.
//!
//! [`AfterTriggerEndXact`]: https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/commands/trigger.c
//! [`FinishPreparedTransaction`]: https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/access/transam/twophase.c
//! [`SyncRepWaitForLSN`]: https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/replication/syncrep.c
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::needless_pass_by_value,
    reason = "the attribute wraps the program in an undocumented public function, which \
              hands it its context"
)]

mod connection;
mod counting;
mod maps;
#[path = "../shared/object.rs"]
mod object;
mod segment;
mod stages;
#[path = "../shared/task.rs"]
mod task;
mod walreceiver;
mod walsender;

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use aya_ebpf::macros::{uprobe, uretprobe};
use aya_ebpf::programs::{ProbeContext, RetProbeContext};
use maps::{BACKENDS, count_gap};
use tracer_ebpf::{Backend, CommitGap};

fn now_ns() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// The backend that runs, if it commits.
#[inline(always)]
fn committing() -> Option<&'static mut Backend> {
    let backend = BACKENDS.get_ptr_mut(bpf_get_current_pid_tgid())?;
    // SAFETY: a live map value; only its own backend, which is in here, writes it.
    let backend = unsafe { &mut *backend };
    (backend.start_ns != 0).then_some(backend)
}

/// A commit of this backend begins.
#[inline(always)]
fn begin() {
    let id = bpf_get_current_pid_tgid();
    if let Some(backend) = BACKENDS.get_ptr_mut(id) {
        // SAFETY: as in `committing`.
        let backend = unsafe { &mut *backend };
        note_missed_end(backend);
        backend.start_ns = now_ns();
        backend.flush_from_ns = 0;
        backend.wait_from_ns = 0;
        backend.unbegun = 0;
        return;
    }
    let backend = Backend {
        start_ns: now_ns(),
        ..Backend::default()
    };
    if BACKENDS.insert(id, backend, 0).is_err() {
        count_gap(CommitGap::BackendsFull);
    }
}

/// Every wait returns. Where another transaction begins or ends before one has, the kernel did not
/// show its return, and the commit is in no count.
#[inline(always)]
fn note_missed_end(backend: &Backend) {
    if backend.start_ns != 0 && backend.wait_from_ns != 0 {
        count_gap(CommitGap::EndMissed);
    }
}

/// What this backend does from here on is part of no commit.
#[inline(always)]
fn forget() {
    if let Some(backend) = committing() {
        note_missed_end(backend);
        backend.start_ns = 0;
        backend.wait_from_ns = 0;
    }
}

/// A wait of which no beginning was seen. Of a backend's first, it may have been before the
/// programs were attached; between two of its waits there is one. A wait that is told twice, by two
/// programs at one place, is one.
#[inline(always)]
fn note_unbegun(lsn: u64) {
    let id = bpf_get_current_pid_tgid();
    if let Some(backend) = BACKENDS.get_ptr_mut(id) {
        // SAFETY: as in `committing`.
        let backend = unsafe { &mut *backend };
        if backend.start_ns == 0 && (backend.unbegun == 0 || backend.lsn != lsn) {
            if backend.unbegun != 0 {
                counting::count_unbegun();
            }
            backend.unbegun = 1;
            backend.lsn = lsn;
        }
        return;
    }
    let backend = Backend {
        unbegun: 1,
        lsn,
        ..Backend::default()
    };
    if BACKENDS.insert(id, backend, 0).is_err() {
        count_gap(CommitGap::BackendsFull);
    }
}

/// The lowest byte: of a `bool`, the rest of its register may hold anything.
#[inline(always)]
fn is_true(argument: Option<u64>) -> bool {
    argument.unwrap_or(0) & 0xff != 0
}

/// `void AfterTriggerEndXact(bool isCommit)` begins.
#[uprobe]
pub fn commit_begins(context: ProbeContext) {
    if is_true(context.arg(0)) {
        begin();
    } else {
        forget();
    }
}

/// `void FinishPreparedTransaction(const char *gid, bool isCommit)` begins.
#[uprobe]
pub fn prepared_begins(context: ProbeContext) {
    if is_true(context.arg(1)) {
        begin();
    } else {
        forget();
    }
}

/// `void XLogFlush(XLogRecPtr record)` begins. It is not only called by commits. When it
/// ends is not asked: that would be the dearest trap of all, and next comes the wait.
#[uprobe]
pub fn flush_begins(_context: ProbeContext) {
    if let Some(backend) = committing()
        && backend.flush_from_ns == 0
    {
        backend.flush_from_ns = now_ns();
    }
}

/// `void SyncRepWaitForLSN(XLogRecPtr lsn, bool commit)` begins.
#[uprobe]
pub fn wait_begins(context: ProbeContext) {
    let lsn = context.arg(0).unwrap_or(0);
    let Some(backend) = committing() else {
        return note_unbegun(lsn);
    };
    if backend.wait_from_ns == 0 {
        backend.lsn = lsn;
        backend.is_commit = u32::from(is_true(context.arg(1)));
        // Not remembered from commit to commit: another may have the place by now.
        backend.pid = task::current().unwrap_or(0);
        backend.wait_from_ns = now_ns();
    }
}

/// It is over, and the commit with it.
#[uretprobe]
pub fn wait_ends(_context: RetProbeContext) {
    if let Some(backend) = committing()
        && backend.wait_from_ns != 0
    {
        counting::count(backend, now_ns());
        backend.start_ns = 0;
        backend.wait_from_ns = 0;
    }
}
