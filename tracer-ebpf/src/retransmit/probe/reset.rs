//! `tcp_send_reset` and `tcp_receive_reset`: connections torn down.
//!
//! Prototypes: `tcp_receive_reset(struct sock *sk)` since 4.16;
//! `tcp_send_reset(const struct sock *sk, const struct sk_buff *skb)` since
//! 4.16, with a third argument `reason` since 6.10, and with `sk` null for
//! segments that belong to no socket
//! ([6.12](https://github.com/torvalds/linux/blob/v6.12/include/trace/events/tcp.h#L98));
//! `skb` is then the segment that the reset answers.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use tracer_ebpf::{Event, EventKind, Tuple, Verdict};

use crate::counting;
use crate::filter;
use crate::kernel::{Address, field};
use crate::maps;
use crate::packet;
use crate::socket::{self, tcp_state};

#[raw_tracepoint(tracepoint = "tcp_send_reset")]
pub fn tcp_send_reset(ctx: RawTracePointContext) -> i32 {
    let sk: Address = ctx.arg(0);
    let skb: Address = ctx.arg(1);
    if let Some(tuple) = answered(sk, skb) {
        let _ = count(&tuple, true);
    }
    0
}

#[raw_tracepoint(tracepoint = "tcp_receive_reset")]
pub fn tcp_receive_reset(ctx: RawTracePointContext) -> i32 {
    if let Some(tuple) = socket::full_tuple(ctx.arg(0)) {
        let _ = count(&tuple, false);
    }
    0
}

/// The ends of the connection that a reset ends. A listener has no peer of its
/// own: then it is the sender of the segment.
#[inline(always)]
fn answered(sk: Address, skb: Address) -> Option<Tuple> {
    if sk != 0 && field!(sk, skc_state, u8)? != tcp_state::LISTEN {
        return socket::tuple(sk);
    }
    if skb == 0 {
        return None;
    }
    packet::received(skb)
}

#[inline(always)]
fn count(tuple: &Tuple, sent: bool) -> Option<()> {
    if !maps::counting() {
        return None;
    }
    let selected = match filter::verdict(tuple) {
        Verdict::Selected => true,
        Verdict::TotalsOnly => false,
        Verdict::Elsewhere | Verdict::Ignored => return None,
    };
    let totals = counting::totals(filter::namespace(tuple))?;
    // SAFETY: live map values.
    unsafe {
        let totals = &mut *totals;
        maps::add(
            if sent {
                &raw mut totals.resets_sent
            } else {
                &raw mut totals.resets_received
            },
            1,
        );
        if !selected {
            return None;
        }
        maps::add(
            if sent {
                &raw mut totals.selected_resets_sent
            } else {
                &raw mut totals.selected_resets_received
            },
            1,
        );
        if let Some(flow) = counting::flow_of_tuple(tuple) {
            maps::add(
                if sent {
                    &raw mut (*flow).resets_sent
                } else {
                    &raw mut (*flow).resets_received
                },
                1,
            );
        }
    }
    if maps::wants_events() {
        let what = if sent {
            EventKind::ResetSent
        } else {
            EventKind::ResetReceived
        };
        maps::emit(&Event {
            // SAFETY: the helper has no preconditions.
            time_ns: unsafe { bpf_ktime_get_ns() },
            tuple: *tuple,
            what: what as u32,
            ..Event::default()
        });
    }
    Some(())
}
