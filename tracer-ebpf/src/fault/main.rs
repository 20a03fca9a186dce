//! Faults on purpose: packets to or from chosen peers are lost, leave with a
//! wrong checksum, or are sent through a queueing discipline's troubled class.
//!
//! Traffic-control programs, apart from the tracing programs so that a fault
//! loads nothing else. One a place: [`fault_out`] and [`fault_in`] for TCX
//! (Linux 6.6) and `clsact`, [`fault_queue`] for a filter of a queueing
//! discipline.
//!
//! What is changed is the TCP checksum *field*, never to the payload. Locally
//! built segments come here with `CHECKSUM_PARTIAL`: the field holds the sum of
//! the pseudo-header and is completed afterwards, by software if the device does
//! not offer to
//! ([`validate_xmit_skb`](https://github.com/torvalds/linux/blob/v6.18/net/core/dev.c)).
//! A corrupt payload would therefore arrive under a valid checksum, whereas a
//! changed field survives the completion: one flipped bit changes the sum by
//! ±2ⁿ, which is never 0 modulo 65,535. A device that computes checksums itself
//! may ignore the field, so userspace switches that offload off meanwhile.
#![no_std]
#![no_main]
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::needless_pass_by_value,
    reason = "the attribute wraps the program in an undocumented public function, which \
              hands it its context"
)]

mod maps;
#[path = "../shared/object.rs"]
mod object;
mod packet;
mod random;

use aya_ebpf::{
    bindings::{BPF_CSUM_LEVEL_RESET, TC_ACT_OK, TC_ACT_SHOT, TC_ACT_STOLEN, TC_ACT_UNSPEC},
    helpers::{bpf_csum_level, bpf_ktime_get_ns, bpf_redirect},
    macros::classifier,
    maps::lpm_trie::Key,
    programs::TcContext,
};
use maps::{FAULT_COUNTERS, FAULT_PEERS};
use packet::{Ip, Transport};
use random::Chance;
use tracer_ebpf::{Direction, FaultCounters};

/// Offset of the checksum in a TCP header.
const CHECKSUM: usize = 16;

/// What becomes of a packet.
#[derive(PartialEq, Eq)]
enum Fate {
    /// As if this program were not there.
    Passes,
    /// It is gone.
    Lost,
    /// It is meant, and goes on.
    Matched,
}

/// What leaves, before any queue.
///
/// A lost packet is redirected to interface 0, which no namespace has: the
/// kernel then frees it and tells the sender that it was sent
/// ([`skb_do_redirect`](https://github.com/torvalds/linux/blob/v6.18/net/core/filter.c)
/// in `sch_handle_egress`). `TC_ACT_SHOT` would tell the local TCP that the
/// device refused it, which is no loss on the network.
///
/// Otherwise it says `TC_ACT_UNSPEC`, which for TCX is `TCX_NEXT`: other people's
/// programs behind this one run as if it were not there.
#[classifier]
pub fn fault_out(context: TcContext) -> i32 {
    match fate(&context, Direction::Egress) {
        // SAFETY: a helper that takes numbers.
        Fate::Lost => unsafe { bpf_redirect(0, 0) as i32 },
        Fate::Passes | Fate::Matched => TC_ACT_UNSPEC,
    }
}

/// What arrives, before any protocol has seen it.
#[classifier]
pub fn fault_in(context: TcContext) -> i32 {
    match fate(&context, Direction::Ingress) {
        Fate::Lost => TC_ACT_SHOT,
        Fate::Passes | Fate::Matched => TC_ACT_UNSPEC,
    }
}

/// What leaves, as the filter of a queueing discipline that has a class for it.
/// To say that a packet was stolen loses it without telling the sender, too
/// ([`prio_classify`](https://github.com/torvalds/linux/blob/v6.18/net/sched/sch_prio.c)).
#[classifier]
pub fn fault_queue(context: TcContext) -> i32 {
    match fate(&context, Direction::Egress) {
        Fate::Passes => TC_ACT_UNSPEC,
        Fate::Lost => TC_ACT_STOLEN,
        Fate::Matched => {
            if maps::settings().tcp_only() {
                // netem is going to corrupt it.
                unmark(&context);
            }
            // SAFETY: the context is valid for the whole run of the program.
            unsafe { (*context.skb.skb).tc_classid = maps::settings().class() };
            TC_ACT_OK
        }
    }
}

#[inline(always)]
fn fate(context: &TcContext, direction: Direction) -> Fate {
    // Nothing to undo when a packet turns out not to be for the fault.
    try_fate(context, direction).unwrap_or(Fate::Passes)
}

#[inline(always)]
fn try_fate(context: &TcContext, direction: Direction) -> Option<Fate> {
    // SAFETY: a helper without arguments.
    if unsafe { bpf_ktime_get_ns() } >= maps::until_ns() {
        return None;
    }
    let ip = packet::ip(context, direction)?;
    FAULT_PEERS.get(Key::new(128, ip.peer))?;
    let counters = FAULT_COUNTERS.get_ptr_mut(direction as u32)?;
    // SAFETY: a pointer to this CPU's value of the map. Only these programs write
    // it, and none interrupts another on the same CPU between two instructions
    // of an update: see the map.
    let counters = unsafe { &mut *counters };
    let transport = ip.transport(context);
    if !wanted(context, &transport) {
        counters.passed += 1;
        return None;
    }
    if is_repeated(context) {
        counters.repeated += 1;
        return Some(Fate::Matched);
    }
    // SAFETY: the context is valid for the whole run of the program.
    let segments = u64::from(unsafe { (*context.skb.skb).gso_segs }).max(1);
    let bytes = u64::from(context.len());
    counters.matched += segments;
    counters.matched_bytes += bytes;
    counters.matched_squares += segments * segments;
    Some(befall(
        context, direction, &transport, counters, segments, bytes,
    ))
}

/// Draws the lots.
#[inline(always)]
fn befall(
    context: &TcContext,
    direction: Direction,
    transport: &Transport,
    counters: &mut FaultCounters,
    segments: u64,
    bytes: u64,
) -> Fate {
    let settings = maps::settings();
    let Some(mut chance) = Chance::of(direction) else {
        return Fate::Matched;
    };
    if settings.loses() {
        let hit = chance.loses();
        counters.loss.count(hit, segments, bytes);
        if hit {
            return Fate::Lost;
        }
    }
    if direction as u32 == Direction::Egress as u32 && settings.corrupts() {
        match transport {
            Transport::Tcp(offset) => {
                let hit = chance.corrupts() && flip(context, offset + CHECKSUM, &mut chance);
                counters.corrupt.count(hit, segments, bytes);
            }
            _ => counters.passed += 1,
        }
    }
    Fate::Matched
}

/// Whether the packet is one that was asked for.
#[inline(always)]
fn wanted(context: &TcContext, transport: &Transport) -> bool {
    let settings = maps::settings();
    if settings.tcp_only() && !matches!(transport, Transport::Tcp(_)) {
        return false;
    }
    match transport {
        Transport::NeighbourDiscovery => false,
        Transport::Tcp(offset) | Transport::Udp(offset) => {
            settings.any_port() || Ip::ports(context, *offset).is_some_and(maps::port_wanted)
        }
        Transport::Other => settings.any_port(),
    }
}

/// Whether a queueing discipline sends this copy of a packet through its filters
/// for the second time
/// ([`netem_enqueue`](https://github.com/torvalds/linux/blob/v6.18/net/sched/sch_netem.c)
/// gives a duplicate to the root again).
#[inline(always)]
fn is_repeated(context: &TcContext) -> bool {
    let mark = maps::settings().mark();
    if mark == 0 {
        return false;
    }
    // SAFETY: the context is valid for the whole run of the program.
    unsafe {
        if (*context.skb.skb).tc_index == mark {
            return true;
        }
        (*context.skb.skb).tc_index = mark;
    }
    false
}

/// Flips one random bit of the 16-bit field at `offset`.
#[inline(always)]
fn flip(context: &TcContext, offset: usize, chance: &mut Chance) -> bool {
    let Ok(field) = context.load::<u16>(offset) else {
        return false;
    };
    let bit = chance.number() & 15;
    // Without `BPF_F_RECOMPUTE_CSUM`, because that would keep `skb->csum`
    // consistent with the change and so hide it from a receiver on this host.
    if context.store(offset, &(field ^ (1 << bit)), 0).is_err() {
        return false;
    }
    unmark(context);
    true
}

/// A forwarded packet may be marked as verified by the device it came in on, and a
/// virtual device would hand that mark to the receiver.
#[inline(always)]
fn unmark(context: &TcContext) {
    // Fails, harmlessly, for packets without the mark.
    // SAFETY: the context is valid for the whole run of the program.
    unsafe { bpf_csum_level(context.skb.skb, u64::from(BPF_CSUM_LEVEL_RESET)) };
}
