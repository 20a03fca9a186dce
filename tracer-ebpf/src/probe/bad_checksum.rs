//! `tcp_bad_csum`: a segment arrived damaged.
//!
//! Prototype `(const struct sk_buff *skb)` since
//! [5.10](https://github.com/torvalds/linux/blob/v5.10/include/trace/events/tcp.h#L278).
//! Fires before the socket is looked up, once for each `InCsumErrors`.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use tracer_ebpf::{Event, EventKind, Verdict};

use crate::account;
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
    let selected = match filter::verdict(&tuple) {
        Verdict::Selected => true,
        Verdict::TotalsOnly => false,
        Verdict::Elsewhere | Verdict::Ignored => return None,
    };
    let totals = account::totals(tuple.netns)?;
    // SAFETY: a live map value.
    unsafe {
        let totals = &mut *totals;
        maps::add(&raw mut totals.bad_checksums, 1);
        if selected {
            maps::add(&raw mut totals.selected_bad_checksums, 1);
        }
    }
    if selected && maps::wants_events() {
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
