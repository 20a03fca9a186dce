//! What a walsender does with the WAL that somebody waits for: it takes it to send it,
//! and it reads the reply that releases who waits.
//!
//! These functions are called by no backend that serves a client (but for those that
//! decode WAL in a query), so that watching them in every process costs those nothing. They
//! are watched from the beginning: a walsender that connects later is followed from its
//! first message on.

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::{uprobe, uretprobe};
use aya_ebpf::programs::{ProbeContext, RetProbeContext};
use tracer_ebpf::{
    ReplyHandled, SenderMet, ServerLayout, StageGap, StageKind, WAIT_MODES, WalTaken, WalsenderHook,
};

use crate::connection;
use crate::counting::server_of_current;
use crate::maps::{
    SENDERS, Sender, count_stage_gap, follow_socket, stage_offset, tell_stage, unfollow_socket,
};
use crate::now_ns;
use crate::stages::{CTL_LSN, control, count_hook, kernel, layout_of, user};
use crate::task;

/// `bool WALRead(XLogReaderState *state, char *buf, XLogRecPtr startptr, Size count, …)`
/// begins.
#[uprobe]
pub fn wal_read(context: ProbeContext) {
    if let (Some(start), Some(count)) = (context.arg::<u64>(2), context.arg::<u64>(3)) {
        let _ = taken(start, start.wrapping_add(count));
    }
}

/// `Size WALReadFromBuffers(char *dstbuf, XLogRecPtr startptr, Size count, TimeLineID tli)`
/// begins: what version 17 and later try first.
#[uprobe]
pub fn wal_read_buffers(context: ProbeContext) {
    if let (Some(start), Some(count)) = (context.arg::<u64>(1), context.arg::<u64>(2)) {
        let _ = taken(start, start.wrapping_add(count));
    }
}

#[inline(always)]
fn taken(from_lsn: u64, to_lsn: u64) -> Option<()> {
    let time_ns = now_ns();
    let (server, layout) = walsender()?;
    count_hook(server, WalsenderHook::WalRead);
    let sock = own_connection(server, &layout)?;
    tell_stage(WalTaken {
        kind: StageKind::WalTaken as u32,
        write_seq: kernel(sock, stage_offset!(write_seq))?,
        sock,
        time_ns,
        from_lsn,
        to_lsn,
    });
    Some(())
}

/// `void SyncRepReleaseWaiters(void)` begins: a reply was read.
#[uprobe]
pub fn reply_begins(_context: ProbeContext) {
    let _ = reply_read();
}

#[inline(always)]
fn reply_read() -> Option<()> {
    let from_ns = now_ns();
    let (server, layout) = walsender()?;
    count_hook(server, WalsenderHook::Release);
    own_connection(server, &layout)?;
    let before = released_up_to(&layout)?;
    let sender = SENDERS.get_ptr_mut(bpf_get_current_pid_tgid())?;
    // SAFETY: a live map value; only its own walsender, which is in here, writes it.
    let sender = unsafe { &mut *sender };
    sender.before = before;
    sender.reply_from_ns = from_ns;
    Some(())
}

/// It returns.
#[uretprobe]
pub fn reply_ends(_context: RetProbeContext) {
    let _ = released();
}

#[inline(always)]
fn released() -> Option<()> {
    let sender = SENDERS.get_ptr_mut(bpf_get_current_pid_tgid())?;
    // SAFETY: as above.
    let sender = unsafe { &mut *sender };
    let Sender {
        sock,
        reply_from_ns,
        before,
        ..
    } = *sender;
    if sock == 0 || reply_from_ns == 0 {
        return None;
    }
    sender.reply_from_ns = 0;
    let server = server_of_current().ok()?;
    let layout = layout_of(server)?;
    count_hook(server, WalsenderHook::Released);
    let released = released_up_to(&layout)?;
    tell_stage(ReplyHandled {
        kind: StageKind::ReplyHandled as u32,
        write_seq: kernel(sock, stage_offset!(write_seq))?,
        sock,
        from_ns: reply_from_ns,
        to_ns: now_ns(),
        before,
        released,
        snd_una: kernel(sock, stage_offset!(snd_una))?,
        rcv_nxt: kernel(sock, stage_offset!(rcv_nxt))?,
        copied_seq: kernel(sock, stage_offset!(copied_seq))?,
        server,
    });
    Some(())
}

/// `WalSndCtl->lsn`.
#[inline(always)]
fn released_up_to(layout: &ServerLayout) -> Option<[u64; WAIT_MODES]> {
    user(control(layout)?.wrapping_add(CTL_LSN))
}

/// The server of the current process and its layout, if that is a walsender.
#[inline(always)]
fn walsender() -> Option<(u32, ServerLayout)> {
    let server = server_of_current().ok()?;
    let layout = layout_of(server)?;
    let own = user::<u64>(layout.my_walsnd)?;
    (own != 0).then_some((server, layout))
}

/// The connection of the walsender that runs, of which userspace is told when it is a new
/// one. Until it is told, each call tries again.
#[inline(always)]
fn own_connection(server: u32, layout: &ServerLayout) -> Option<u64> {
    let sock = connection::of_walsender(layout)?;
    let sender = current()?;
    if sender.sock == sock {
        return Some(sock);
    }
    let met = SenderMet {
        kind: StageKind::SenderMet as u32,
        pid: task::current().unwrap_or(0),
        server,
        is_logical: u32::from(user::<u8>(layout.am_db_walsender)? != 0),
        sock,
        tuple: connection::tuple(sock)?,
    };
    // What arrives from the moment on at which userspace knows of it is told.
    if !follow_socket(sock, met.pid) {
        if sender.refused != sock {
            sender.refused = sock;
            count_stage_gap(StageGap::SendersFull);
        }
        return None;
    }
    if !tell_stage(met) {
        unfollow_socket(sock);
        return None;
    }
    sender.sock = sock;
    sender.reply_from_ns = 0;
    Some(sock)
}

/// What is remembered of the walsender that runs, from now on.
#[inline(always)]
fn current() -> Option<&'static mut Sender> {
    let id = bpf_get_current_pid_tgid();
    if SENDERS.get_ptr(id).is_none()
        && SENDERS
            .insert(id, Sender::default(), u64::from(BPF_ANY))
            .is_err()
    {
        count_stage_gap(StageGap::SendersFull);
        return None;
    }
    let sender = SENDERS.get_ptr_mut(id)?;
    // SAFETY: a live map value; only its own walsender, which is in here, writes it.
    Some(unsafe { &mut *sender })
}
