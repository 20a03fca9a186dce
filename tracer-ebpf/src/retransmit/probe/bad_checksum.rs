//! `tcp_bad_csum`: a segment arrived with a bad checksum.
//!
//! Prototype `(const struct sk_buff *skb)` since 5.12
//! ([6.1](https://github.com/torvalds/linux/blob/v6.1/include/trace/events/tcp.h)).
//! Fires once for each `InCsumErrors`, which holds those of every peer.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use tracer_ebpf::{Ends, Event, EventKind, Verdict};

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
fn on_hit(ctx: &RawTracePointContext) -> Option<()> {
    if !maps::counting() {
        return None;
    }
    let tuple = packet::received(ctx.arg(0))?;
    if filter::verdict(&tuple) != Verdict::Selected {
        return None;
    }
    // Before the sum, which is then never the larger of the two.
    maps::add_to(&maps::BAD_CHECKSUMS, &tuple.remote, 1);
    let ends = Ends {
        remote: tuple.remote,
        remote_port: tuple.remote_port,
        local_port: tuple.local_port,
    };
    maps::add_to(&maps::BAD_CHECKSUM_ENDS, &ends, 1);
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
