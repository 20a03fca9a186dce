//! The fault: TCP segments toward chosen peers leave with a wrong checksum.
//!
//! A TCX egress program (Linux 6.6), apart from the tracing programs so that a
//! fault loads nothing else. It damages the checksum *field*, never the
//! payload. Locally built segments come here with `CHECKSUM_PARTIAL`: the field
//! holds the sum of the pseudo-header and is completed afterwards, by software
//! if the device does not offer to
//! ([`validate_xmit_skb`](https://github.com/torvalds/linux/blob/v6.18/net/core/dev.c)).
//! A damaged payload would therefore arrive under a valid checksum, whereas a
//! damaged field survives the completion: one flipped bit changes the sum by
//! ±2ⁿ, which is never 0 modulo 65,535. A device that computes checksums itself
//! may ignore the field, so userspace switches that offload off meanwhile.
#![no_std]
#![no_main]
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "the attribute wraps the program in an undocumented public function"
)]

mod maps;
mod packet;

use aya_ebpf::{
    bindings::{BPF_CSUM_LEVEL_RESET, TC_ACT_UNSPEC},
    helpers::{bpf_csum_level, bpf_get_prandom_u32, bpf_ktime_get_ns},
    macros::classifier,
    maps::lpm_trie::Key,
    programs::TcContext,
};
use maps::{FAULT_COUNTERS, FAULT_PEERS};

/// Offset of the checksum in a TCP header.
const CHECKSUM: usize = 16;

/// Always says `TC_ACT_UNSPEC`, which for TCX is `TCX_NEXT`: other people's
/// programs behind this one run as if it were not there.
///
/// `int (*)(struct __sk_buff *)`, [`BPF_TCX_EGRESS`](https://github.com/torvalds/linux/blob/v6.6/include/uapi/linux/bpf.h).
#[classifier]
pub fn corrupt(context: TcContext) -> i32 {
    // Nothing to undo when a packet turns out not to be for the fault.
    let _ = try_corrupt(&context);
    TC_ACT_UNSPEC
}

fn try_corrupt(context: &TcContext) -> Option<()> {
    // SAFETY: a helper without arguments.
    if unsafe { bpf_ktime_get_ns() } >= maps::until_ns() {
        return None;
    }
    let ip = packet::ip(context)?;
    FAULT_PEERS.get(Key::new(128, ip.destination))?;
    let counters = FAULT_COUNTERS.get_ptr_mut(0)?;
    let Some(tcp) = ip.tcp(context) else {
        // SAFETY: a pointer to this CPU's value of the map, which only this
        // program writes.
        unsafe { (*counters).passed += 1 };
        return None;
    };
    let ports: [u8; 4] = context.load(tcp).ok()?;
    let source = u16::from_be_bytes([ports[0], ports[1]]);
    let destination = u16::from_be_bytes([ports[2], ports[3]]);
    if !maps::port_wanted(source, destination) {
        return None;
    }

    // SAFETY: the context is valid for the whole run of the program.
    let segments = u64::from(unsafe { (*context.skb.skb).gso_segs }).max(1);
    let hit = lot() && flip(context, tcp + CHECKSUM).is_some();
    // SAFETY: as above.
    unsafe {
        (*counters).seen += segments;
        (*counters).seen_squares += segments * segments;
        if hit {
            (*counters).hit += segments;
            (*counters).hit_bytes += u64::from(context.len());
        }
    }
    Some(())
}

/// Whether the lot falls on this packet.
fn lot() -> bool {
    // SAFETY: a helper without arguments.
    let random = unsafe { bpf_get_prandom_u32() };
    u64::from(random) < maps::threshold()
}

/// Flips one random bit of the 16-bit field at `offset`.
fn flip(context: &TcContext, offset: usize) -> Option<()> {
    let field: u16 = context.load(offset).ok()?;
    // SAFETY: a helper without arguments.
    let bit = unsafe { bpf_get_prandom_u32() } & 15;
    // Without `BPF_F_RECOMPUTE_CSUM`, because that would keep `skb->csum`
    // consistent with the damage and so hide it from a receiver on this host.
    context.store(offset, &(field ^ (1 << bit)), 0).ok()?;
    // A forwarded packet may be marked as verified by the device it came in
    // on, and a virtual device would hand that mark to the receiver. Fails,
    // harmlessly, for packets without the mark.
    // SAFETY: the context is valid for the whole run of the program.
    unsafe { bpf_csum_level(context.skb.skb, u64::from(BPF_CSUM_LEVEL_RESET)) };
    Some(())
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
