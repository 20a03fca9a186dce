//! `inet_sock_set_state`: births and deaths of sockets.
//!
//! Prototype `(const struct sock *sk, const int oldstate, const int newstate)`
//! since 4.16; fires for every TCP, SCTP and MPTCP socket, before the new state
//! is stored. Every TCP socket that was ever connected ends here in CLOSE.

use core::mem::MaybeUninit;
use core::ptr;

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_get_current_comm;
use tracer_ebpf::{Event, EventKind, Owner, RetransmitKind, Service, Socket, Tuple, Verdict};

use crate::access;
use crate::counting::{self, Hit};
use crate::filter;
use crate::kernel::{Address, TcpSocket, field};
use crate::maps::{self, BASELINES, FLOWS, OWNERS, TOTALS};
use crate::probe::retransmit;
use crate::socket::{self, Retransmitted, tcp_state};
use crate::task;

/// A change of state.
#[inline(always)]
pub fn on_change(sock: Address, old: i32, new: i32) -> Option<()> {
    let (old, new) = (old as u8, new as u8);
    let matters = matches!(
        new,
        tcp_state::SYN_SENT | tcp_state::ESTABLISHED | tcp_state::CLOSE
    );
    if !matters && !maps::wants_events() {
        return None;
    }
    let tcp = access::tcp(sock)?;
    let tuple = socket::full_tuple(tcp.fields)?;
    let verdict = filter::verdict(&tuple);
    match new {
        tcp_state::SYN_SENT => on_connect(tcp, &tuple),
        tcp_state::ESTABLISHED if old == tcp_state::SYN_RECV => on_accept(tcp, &tuple),
        tcp_state::ESTABLISHED if old == tcp_state::SYN_SENT => on_answer(tcp, &tuple, verdict),
        _ => {}
    }
    if maps::counting() && (verdict as u32) < Verdict::Ignored as u32 {
        let selected = verdict == Verdict::Selected;
        count(&tuple, selected, old, new);
        if selected && maps::wants_events() {
            maps::emit(&Event {
                // SAFETY: the helper has no preconditions.
                time_ns: unsafe { bpf_ktime_get_ns() },
                tuple,
                what: EventKind::State as u32,
                state: new,
                old_state: old,
                ..Event::default()
            });
        }
    }
    if new == tcp_state::CLOSE {
        on_close(tcp, &tuple, verdict);
    }
    Some(())
}

/// `connect`: the process on the CPU is the owner. The socket has its peer but
/// not yet its own port.
#[inline(always)]
fn on_connect(tcp: TcpSocket, tuple: &Tuple) {
    socket::forget(tcp);
    if !filter::keeps_peer(&tuple.remote) {
        return;
    }
    // 0 says that nobody is known: one that userspace cannot see is nobody to it.
    let pid = task::current().unwrap_or(0);
    let mut owner = MaybeUninit::<Owner>::uninit();
    let fields = owner.as_mut_ptr();
    // SAFETY: every field is written; the helper fills its memory also where it fails.
    let owner = unsafe {
        (*fields).pid = pid;
        (*fields)._pad = 0;
        let comm = &raw mut (*fields).comm;
        bpf_get_current_comm(comm.cast(), size_of_val(&*comm) as u32);
        owner.assume_init_ref()
    };
    let _ = OWNERS.insert(tcp.sock, owner, 0);
}

/// A child is born with the SYN-ACKs that its request had retransmitted in its sum
/// ([`tcp_create_openreq_child`](https://github.com/torvalds/linux/blob/v6.12/net/ipv4/tcp_minisocks.c#L524));
/// those were counted one by one.
#[inline(always)]
fn on_accept(tcp: TcpSocket, tuple: &Tuple) {
    if let Some(now) = socket::retransmitted(tcp)
        && now.segments > 0
    {
        let remembered = socket::remember_as(tcp, tuple);
        if remembered.is_null() {
            return;
        }
        // SAFETY: a live map value; the child is locked.
        unsafe {
            (*remembered).segments = now.segments;
            (*remembered).bytes = now.bytes;
        }
    }
}

/// The peer has answered a SYN: where that had been retransmitted, its flow says so, too.
#[inline(always)]
fn on_answer(tcp: TcpSocket, tuple: &Tuple, verdict: Verdict) {
    if verdict != Verdict::Selected || !maps::counting() {
        return;
    }
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    let service = Service {
        address: tuple.remote,
        port: tuple.remote_port,
        _pad: 0,
        netns: tuple.netns,
    };
    let _ = maps::ANSWERED.insert(service, now, 0);
    let found = socket::find(tcp, tuple);
    if found.is_null() {
        return;
    }
    // SAFETY: a live map value; the socket's lock makes us its only user.
    let slot = unsafe { (*found).slot };
    if slot != Socket::NO_SLOT
        && let Some(flow) = FLOWS.get_ptr_mut(slot)
    {
        // SAFETY: as above.
        unsafe { (*flow).answered_ns = now };
    }
}

/// Counts openings and closings. A connection that never came to be is none.
#[inline(always)]
fn count(tuple: &Tuple, selected: bool, old: u8, new: u8) {
    let opened = new == tcp_state::ESTABLISHED;
    let closed = new == tcp_state::CLOSE && old != tcp_state::LISTEN && old != tcp_state::SYN_SENT;
    if !opened && !closed {
        return;
    }
    let Some(totals) = counting::totals(tuple.netns) else {
        return;
    };
    // SAFETY: a live map value.
    unsafe {
        let totals = &mut *totals;
        if opened {
            maps::add(&raw mut totals.opened, 1);
            if selected {
                maps::add(&raw mut totals.selected_opened, 1);
            }
        } else {
            maps::add(&raw mut totals.closed, 1);
            if selected {
                maps::add(&raw mut totals.selected_closed, 1);
            }
        }
    }
}

/// What is read of a socket last: what it retransmitted since its last hit, and the
/// end of everything that is remembered of it.
#[inline(always)]
fn on_close(tcp: TcpSocket, tuple: &Tuple, verdict: Verdict) {
    let _ = OWNERS.remove(tcp.sock);
    if verdict == Verdict::Selected
        && maps::counting()
        && let Some(sent @ 1..) = field!(tcp.fields, segs_out, u32)
    {
        maps::add_to(&maps::SENT, &tuple.remote, u64::from(sent));
    }
    let Some(now) = socket::retransmitted(tcp) else {
        return;
    };
    if now.segments == 0 {
        return;
    }
    if matches!(verdict, Verdict::Selected | Verdict::TotalsOnly) {
        let found = socket::find(tcp, tuple);
        // Where the tracepoint shows failures, this was a hit that was withheld; and where
        // there was no room to remember the socket, it may have been shown.
        let mut failed = !retransmit::shows_failures();
        let memory = if found.is_null() {
            failed = failed && !maps::had_no_room();
            socket::first_seen(tuple, verdict)
        } else {
            // SAFETY: a live map value; the socket's lock makes us its only user.
            unsafe { *found }
        };
        let memory = account_for_rest(tcp, memory, now, failed);
        note_closed(memory.slot);
        socket::forget(tcp);
    }
    // The tuple may be used again by a socket that starts at 0.
    let _ = BASELINES.remove(tuple);
}

/// Says in the flow that its socket is gone: the last that is written there, for userspace
/// may then give the slot to another.
#[inline(always)]
fn note_closed(slot: u32) {
    if slot != Socket::NO_SLOT
        && let Some(flow) = FLOWS.get_ptr_mut(slot)
    {
        // SAFETY: a live map value and the helper has no preconditions. Volatile, so that it
        // stays behind what was counted.
        unsafe { (&raw mut (*flow).closed_ns).write_volatile(bpf_ktime_get_ns()) };
    }
}

/// Counts what no hit showed; returns what was known of the socket, with its slot.
#[inline(always)]
fn account_for_rest(
    tcp: TcpSocket,
    mut memory: Socket,
    now: Retransmitted,
    failed: bool,
) -> Socket {
    let segments = u64::from(now.segments.saturating_sub(memory.segments));
    if segments == 0 || !maps::counting() {
        return memory;
    }
    let bytes = now.bytes.saturating_sub(memory.bytes);
    let Some(totals) = TOTALS.get_ptr_mut(memory.place) else {
        return memory;
    };
    let mut flow = ptr::null_mut();
    if memory.verdict == Verdict::Selected as u16 {
        flow = counting::flow_of(tcp, &raw mut memory);
        if flow.is_null() {
            let kind = RetransmitKind::Other as u32;
            counting::count_overflow(
                totals,
                Hit {
                    kind,
                    segments,
                    bytes,
                    failed: true,
                },
            );
        }
    }
    counting::count_unseen(totals, flow, segments, bytes, failed);
    memory
}
