//! `tcp_bad_csum`: a segment arrived with a bad checksum.
//!
//! Prototype `(const struct sk_buff *skb)` since 5.12
//! ([6.1](https://github.com/torvalds/linux/blob/v6.1/include/trace/events/tcp.h)).
//! Fires once for each `InCsumErrors`, which holds those of every peer.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use tracer_ebpf::{Event, EventKind, Verdict};

use crate::counting;
use crate::filter;
use crate::maps;
use crate::packet;

#[raw_tracepoint(tracepoint = "tcp_bad_csum")]
pub fn tcp_bad_csum(ctx: RawTracePointContext) -> i32 {
    let _ = on_hit(&ctx);
    0
}

#[inline(always)]
fn count_peer(peer: &[u8; 16]) {
    if maps::BAD_CHECKSUMS.get_ptr_mut(peer).is_none() {
        // Another CPU may be first: then there is an entry to add to as well.
        let _ = maps::BAD_CHECKSUMS.insert(peer, 0, u64::from(BPF_NOEXIST));
    }
    if let Some(count) = maps::BAD_CHECKSUMS.get_ptr_mut(peer) {
        maps::add(count, 1);
    }
}

#[inline(always)]
fn on_hit(ctx: &RawTracePointContext) -> Option<()> {
    if !maps::counting() {
        return None;
    }
    let tuple = packet::received(ctx.arg(0))?;
    if filter::verdict(&tuple) != Verdict::Selected {
        return None;
    }
    // Before the sum, which is then never the larger of the two.
    count_peer(&tuple.remote);
    let totals = counting::totals(filter::namespace(&tuple))?;
    // SAFETY: a live map value.
    maps::add(unsafe { &raw mut (*totals).selected_bad_checksums }, 1);
    if maps::wants_losses() {
        maps::emit(&Event {
            // SAFETY: the helper has no preconditions.
            time_ns: unsafe { bpf_ktime_get_ns() },
            tuple,
            what: EventKind::BadChecksum as u32,
            ..Event::default()
        });
    }
    Some(())
}
