//! What a walreceiver does with the WAL that arrives: it reads a message, flushes what it has
//! written, and replies how far it is.
//!
//! Messages and replies pass through functions of libpq, whose arguments are those of its
//! documented interface, in all versions: the payload is the protocol's
//! (<https://www.postgresql.org/docs/15/protocol-replication.html>). Every client that uses
//! `COPY` calls the same functions: these programs are at the calls that
//! `libpqwalreceiver.so` makes, and nobody else is held up.
//!
//! Containers of one image have one file behind several paths, and as many programs at each call
//! in it: what runs once more finds nothing left to tell.

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::{uprobe, uretprobe};
use aya_ebpf::programs::{ProbeContext, RetProbeContext};
use tracer_ebpf::{ReceiverMet, ReplySent, StageGap, StageKind, WalFlushed, WalReceived};

use crate::connection;
use crate::counting::server_of_current;
use crate::maps::{
    RECEIVERS, Receiver, count_stage_gap, follow_socket, stage_offset, tell_stage, unfollow_socket,
};
use crate::now_ns;
use crate::stages::{kernel, user};
use crate::task;

/// `XLogData`: its letter, where the WAL begins, how far the primary is, when it was sent.
const WAL: u8 = b'w';
const WAL_HEADER: u64 = 1 + 8 + 8 + 8;
/// `Standby status update`: its letter, three positions, when it was sent, a flag.
const REPLY: u8 = b'r';
const REPLY_LENGTH: u64 = 1 + 8 + 8 + 8 + 8 + 1;
/// Where it says when it was sent.
const SENT_AT: u64 = 1 + 8 + 8 + 8;

/// `int PQgetCopyData(PGconn *conn, char **buffer, int async)` begins.
#[uprobe]
pub fn message_begins(context: ProbeContext) {
    if let Some(receiver) = current().or_else(meet) {
        receiver.buffer = context.arg(1).unwrap_or(0);
    }
}

/// It returns the length of what it read; 0 if there was nothing.
#[uretprobe]
pub fn message_ends(context: RetProbeContext) {
    let length = context.ret::<i32>();
    if let Ok(length) = u64::try_from(length)
        && length > WAL_HEADER
    {
        let _ = received(length);
    }
}

#[inline(always)]
fn received(length: u64) -> Option<()> {
    let time_ns = now_ns();
    let receiver = current()?;
    let buffer = core::mem::take(&mut receiver.buffer);
    if buffer == 0 {
        return None;
    }
    let message = user::<u64>(buffer)?;
    if user::<u8>(message)? != WAL {
        return None;
    }
    let from_lsn = u64::from_be(user(message.wrapping_add(1))?);
    let sock = socket(receiver).unwrap_or(0);
    tell_stage(WalReceived {
        kind: StageKind::WalReceived as u32,
        pid: receiver.pid,
        sock,
        time_ns,
        from_lsn,
        to_lsn: from_lsn.wrapping_add(length - WAL_HEADER),
        copied_seq: number(sock, stage_offset!(copied_seq)),
        rcv_nxt: number(sock, stage_offset!(rcv_nxt)),
        snd_una: number(sock, stage_offset!(snd_una)),
        _pad: 0,
    });
    Some(())
}

/// `int PQsocket(const PGconn *conn)` returns the descriptor of the connection, on which it
/// waits next.
#[uretprobe]
pub fn socket_told(context: RetProbeContext) {
    if let Some(receiver) = current()
        && let Ok(descriptor) = u32::try_from(context.ret::<i32>())
    {
        receiver.descriptor = descriptor + 1;
    }
}

/// `int PQputCopyData(PGconn *conn, const char *buffer, int nbytes)` begins.
#[uprobe]
pub fn reply_sent(context: ProbeContext) {
    if let (Some(buffer), Some(length)) = (context.arg::<u64>(1), context.arg::<u64>(2))
        && length & 0xffff_ffff == REPLY_LENGTH
    {
        let _ = replied(buffer);
    }
}

#[inline(always)]
fn replied(buffer: u64) -> Option<()> {
    let time_ns = now_ns();
    let receiver = current()?;
    if user::<u8>(buffer)? != REPLY {
        return None;
    }
    let sent_at = user::<u64>(buffer.wrapping_add(SENT_AT))?;
    if receiver.replied_at == sent_at {
        return None;
    }
    receiver.replied_at = sent_at;
    let sock = socket(receiver).unwrap_or(0);
    tell_stage(ReplySent {
        kind: StageKind::ReplySent as u32,
        pid: receiver.pid,
        sock,
        time_ns,
        write_lsn: u64::from_be(user(buffer.wrapping_add(1))?),
        flush_lsn: u64::from_be(user(buffer.wrapping_add(9))?),
        apply_lsn: u64::from_be(user(buffer.wrapping_add(17))?),
        write_seq: number(sock, stage_offset!(write_seq)),
        snd_una: number(sock, stage_offset!(snd_una)),
        rcv_nxt: number(sock, stage_offset!(rcv_nxt)),
        _pad: 0,
    });
    Some(())
}

/// `void issue_xlog_fsync(int fd, XLogSegNo segno, …)` begins.
#[uprobe]
pub fn receiver_flush_begins(_context: ProbeContext) {
    if let Some(receiver) = current() {
        receiver.flush_from_ns = now_ns();
    }
}

/// It returns.
#[uretprobe]
pub fn receiver_flush_ends(_context: RetProbeContext) {
    let Some(receiver) = current() else {
        return;
    };
    if receiver.flush_from_ns != 0 {
        tell_stage(WalFlushed {
            kind: StageKind::WalFlushed as u32,
            pid: receiver.pid,
            from_ns: receiver.flush_from_ns,
            to_ns: now_ns(),
        });
        receiver.flush_from_ns = 0;
    }
}

/// The process that runs, if it was met.
#[inline(always)]
fn current() -> Option<&'static mut Receiver> {
    let receiver = RECEIVERS.get_ptr_mut(bpf_get_current_pid_tgid())?;
    // SAFETY: a live map value; only its own process, which is in here, writes it.
    Some(unsafe { &mut *receiver })
}

/// The process that runs, from now on. Userspace is told; until it is, each message tries again.
#[inline(always)]
fn meet() -> Option<&'static mut Receiver> {
    let receiver = Receiver {
        pid: task::current().ok()?,
        ..Receiver::default()
    };
    let server = server_of_current().ok()?;
    let id = bpf_get_current_pid_tgid();
    if RECEIVERS.insert(id, receiver, u64::from(BPF_ANY)).is_err() {
        count_stage_gap(StageGap::SendersFull);
        return None;
    }
    let told = tell_stage(ReceiverMet {
        kind: StageKind::ReceiverMet as u32,
        pid: receiver.pid,
        server,
        ..ReceiverMet::default()
    });
    if !told {
        let _ = RECEIVERS.remove(id);
    }
    current()
}

/// The connection of the walreceiver that runs, of which userspace is told when it is a new
/// one. Until it is told, each message tries again.
#[inline(always)]
fn socket(receiver: &mut Receiver) -> Option<u64> {
    let sock = connection::of_descriptor(receiver.descriptor.checked_sub(1)?)?;
    if receiver.sock == sock {
        return Some(sock);
    }
    let met = ReceiverMet {
        kind: StageKind::ReceiverMet as u32,
        pid: receiver.pid,
        server: server_of_current().ok()?,
        _pad: 0,
        sock,
        tuple: connection::tuple(sock)?,
    };
    if !follow_socket(sock, met.pid) {
        if receiver.refused != sock {
            receiver.refused = sock;
            count_stage_gap(StageGap::SendersFull);
        }
        return None;
    }
    if !tell_stage(met) {
        unfollow_socket(sock);
        return None;
    }
    receiver.sock = sock;
    Some(sock)
}

/// One of the socket's sequence numbers; 0 if there is no socket.
#[inline(always)]
fn number(sock: u64, offset: u32) -> u32 {
    if sock == 0 {
        return 0;
    }
    kernel(sock, offset).unwrap_or(0)
}
