//! The end of a wait for a standby, for userspace to set beside what its walsenders did.

use aya_ebpf::helpers::bpf_probe_read_user;
use tracer_ebpf::{
    Backend, ServerLayout, ServerMet, StageGap, StageKind, WAIT_MODES, WaitEnded, WalsenderHook,
    awaits_by_shared,
};

use crate::maps::{LAYOUTS, add, count_stage_gap, tell_stage};
use crate::task;

/// `lsn` of `WalSndCtlData`, behind three list heads of two pointers each
/// (<https://github.com/postgres/postgres/blob/REL_15_STABLE/src/include/replication/walsender_private.h>,
/// the same from 13 to 18).
pub(crate) const CTL_LSN: u64 = 48;
/// What says behind it whether any standby is awaited.
const CTL_STANDBYS: u64 = CTL_LSN + 8 * WAIT_MODES as u64;

/// `WalSndCtl`, if the server has it.
#[inline(always)]
pub(crate) fn control(layout: &ServerLayout) -> Option<u64> {
    user::<u64>(layout.walsnd_ctl).filter(|control| *control != 0)
}

/// Whether commits of this backend wait for any standby, by its own `synchronous_standby_names`.
/// Of a wait that ended because the names were taken away, the backend still has them: it reads
/// its configuration between two statements.
#[inline(always)]
fn names_any(layout: &ServerLayout) -> Option<bool> {
    let names = user::<u64>(layout.standby_names)?;
    Some(user::<u8>(names)? != 0)
}

/// The same, otherwise by what the server's processes share of that. The names are on a page that
/// a backend looks at once, when it reads them: it may have been swapped out since, and a program
/// cannot wait until it is back.
#[inline(always)]
fn awaits(layout: &ServerLayout) -> Option<bool> {
    let shared = || user(control(layout)?.wrapping_add(CTL_STANDBYS));
    names_any(layout).or_else(|| awaits_by_shared(shared()))
}

/// The wait of this backend is over now.
#[inline(always)]
pub(crate) fn wait_ended(server: u32, backend: &Backend, now_ns: u64, is_slow: bool) {
    let Some(layout) = layout_of(server) else {
        return;
    };
    let awaits = awaits(&layout);
    // Without a standby it was a processor that the backend waited for.
    if awaits == Some(false) {
        return;
    }
    let synchronous_commit = user::<u32>(layout.synchronous_commit);
    if awaits.is_none() || synchronous_commit.is_none() {
        count_stage_gap(StageGap::SettingsUnread);
    }
    let Some(synchronous_commit) = synchronous_commit else {
        return;
    };
    tell_stage(WaitEnded {
        kind: StageKind::WaitEnded as u32,
        pid: backend.pid,
        server,
        synchronous_commit,
        start_ns: backend.start_ns,
        from_ns: backend.wait_from_ns,
        to_ns: now_ns,
        lsn: backend.lsn,
        is_commit: backend.is_commit,
        is_slow: u32::from(is_slow),
    });
}

/// Whether a commit of this backend waits until its own server has flushed it
/// (`SYNCHRONOUS_COMMIT_OFF` is 0,
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/include/access/xact.h>); [`None`]
/// where that is not known.
#[inline(always)]
pub(crate) fn waits_for_own_disk(server: u32) -> Option<bool> {
    let level = user::<u32>(layout_of(server)?.synchronous_commit)?;
    Some(level != 0)
}

/// Counts that a function was called in a server's walsender.
#[inline(always)]
pub(crate) fn count_hook(server: u32, hook: WalsenderHook) {
    if let Some(layout) = LAYOUTS.get_ptr_mut(server) {
        // SAFETY: a live map value, and the place is inside it.
        add(unsafe { &raw mut (*layout).calls[hook as usize] }, 1);
    }
}

/// Where a server keeps things. Userspace is told of one that it has not been asked about,
/// and answers.
#[inline(always)]
pub(crate) fn layout_of(server: u32) -> Option<ServerLayout> {
    let Some(layout) = LAYOUTS.get_ptr(server) else {
        tell_stage(ServerMet {
            kind: StageKind::ServerMet as u32,
            server,
        });
        return None;
    };
    // SAFETY: a live map value, which userspace replaces as a whole.
    let layout = unsafe { *layout };
    (layout.my_walsnd != 0).then_some(layout)
}

/// Reads what the current process has at an address.
#[inline(always)]
pub(crate) fn user<T>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address and fails where nothing is mapped.
    unsafe { bpf_probe_read_user(address as *const T) }.ok()
}

/// Reads a value `offset` bytes into a structure of the kernel.
#[inline(always)]
pub(crate) fn kernel<T>(base: u64, offset: u32) -> Option<T> {
    task::read(base, offset).ok()
}
