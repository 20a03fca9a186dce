//! `inet_sock_set_state`: births and deaths of sockets.
//!
//! Prototype `(const struct sock *sk, const int oldstate, const int newstate)`
//! since 4.16; fires for every TCP, SCTP and MPTCP socket, before the new state
//! is stored. Every TCP socket that was ever connected ends here in CLOSE.

use aya_ebpf::helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use tracer_ebpf::{Event, EventKind, Owner, Tuple, Verdict};

use crate::account;
use crate::filter;
use crate::kernel::Address;
use crate::maps::{self, BASELINES, FLOWS, OWNERS, SOCKETS};
use crate::socket::{self, Retransmitted, tcp_state};

#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn inet_sock_set_state(ctx: RawTracePointContext) -> i32 {
    let sk: Address = ctx.arg(0);
    let old: i32 = ctx.arg(1);
    let new: i32 = ctx.arg(2);
    let (old, new) = (old as u8, new as u8);
    if !socket::is_tcp(sk) {
        return 0;
    }
    match new {
        tcp_state::SYN_SENT => on_connect(sk),
        tcp_state::ESTABLISHED if old == tcp_state::SYN_RECV => on_accept(sk),
        _ => {}
    }
    let _ = on_change(sk, old, new);
    if new == tcp_state::CLOSE {
        let _ = on_close(sk);
    }
    0
}

/// `connect`: the process on the CPU is the owner. The socket has its peer but
/// not yet its own port.
#[inline(always)]
fn on_connect(sk: Address) {
    let Some(tuple) = socket::tuple(sk) else {
        return;
    };
    if !filter::keeps_peer(&tuple.remote) {
        return;
    }
    let owner = Owner {
        pid: (bpf_get_current_pid_tgid() >> 32) as u32,
        _pad: 0,
        comm: bpf_get_current_comm().unwrap_or_default(),
    };
    let _ = OWNERS.insert(sk, owner, 0);
}

/// A child is born with the SYN-ACKs that its request had sent again in its sum
/// ([`tcp_create_openreq_child`](https://github.com/torvalds/linux/blob/v6.12/net/ipv4/tcp_minisocks.c#L524));
/// those were counted one by one.
#[inline(always)]
fn on_accept(sk: Address) {
    let Some(now) = socket::retransmitted(sk) else {
        return;
    };
    if now.segments == 0 {
        return;
    }
    if SOCKETS.get_ptr(sk).is_some() {
        return;
    }
    if let Some(tuple) = socket::full_tuple(sk) {
        socket::insert(sk, &tuple, now);
    }
}

/// Counts openings and closings, and reports the change to those who asked.
#[inline(always)]
fn on_change(sk: Address, old: u8, new: u8) -> Option<()> {
    let opened = new == tcp_state::ESTABLISHED;
    let closed = new == tcp_state::CLOSE && old != tcp_state::LISTEN && old != tcp_state::SYN_SENT;
    if !maps::counting() || !(opened || closed || maps::wants_events()) {
        return None;
    }
    let tuple = socket::full_tuple(sk)?;
    let verdict = filter::verdict(&tuple);
    let selected = match verdict {
        Verdict::Selected => true,
        Verdict::TotalsOnly => false,
        Verdict::Elsewhere | Verdict::Ignored => return None,
    };
    let totals = account::totals(tuple.netns)?;
    // SAFETY: a live map value.
    unsafe {
        let totals = &mut *totals;
        if opened {
            maps::add(&raw mut totals.opened, 1);
            if selected {
                maps::add(&raw mut totals.selected_opened, 1);
            }
        }
        if closed {
            maps::add(&raw mut totals.closed, 1);
            if selected {
                maps::add(&raw mut totals.selected_closed, 1);
            }
        }
    }
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
    Some(())
}

/// The last look at a socket: what it retransmitted since its last hit, and the
/// end of everything that is remembered of it.
#[inline(always)]
fn on_close(sk: Address) -> Option<()> {
    let _ = OWNERS.remove(sk);
    let now = socket::retransmitted(sk)?;
    if now.segments == 0 {
        return None;
    }
    let tuple = socket::full_tuple(sk)?;
    if let Some(remembered) = socket::remember(sk) {
        // SAFETY: a live map value; the socket's lock makes us its only user.
        let memory = unsafe { *remembered };
        let unseen = Retransmitted {
            segments: now.segments.saturating_sub(memory.segments),
            bytes: now.bytes.saturating_sub(memory.bytes),
        };
        let flow = if memory.slot < u32::MAX {
            FLOWS.get_ptr_mut(memory.slot)
        } else {
            None
        };
        if let Some(flow) = flow {
            // SAFETY: a live map value and the helper has no preconditions.
            unsafe { (*flow).closed_ns = bpf_ktime_get_ns() };
        }
        if unseen.segments > 0 && maps::counting() {
            count_unseen(sk, &tuple, remembered, unseen);
        }
        let _ = SOCKETS.remove(sk);
    }
    // The tuple may be used again by a socket that starts at 0.
    let _ = BASELINES.remove(tuple);
    Some(())
}

#[inline(always)]
fn count_unseen(
    sk: Address,
    tuple: &Tuple,
    remembered: *mut tracer_ebpf::Socket,
    unseen: Retransmitted,
) {
    // SAFETY: a live map value.
    let verdict = unsafe { (*remembered).verdict };
    if verdict >= Verdict::Ignored as u32 {
        return;
    }
    let Some(totals) = account::totals(tuple.netns) else {
        return;
    };
    let flow = if verdict == Verdict::Selected as u32 {
        account::flow_of(sk, remembered)
    } else {
        None
    };
    if verdict == Verdict::Selected as u32 && flow.is_none() {
        account::count_overflow(
            totals,
            account::Hit {
                kind: tracer_ebpf::Kind::Other,
                segments: u64::from(unseen.segments),
                bytes: unseen.bytes,
                failed: true,
            },
        );
    }
    account::count_unseen(totals, flow, u64::from(unseen.segments), unseen.bytes, true);
}
