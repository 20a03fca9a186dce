//! `tcp_retransmit_synack`: a SYN-ACK retransmitted by its timer or for a repeated
//! SYN.
//!
//! Prototype `(const struct sock *sk, const struct request_sock *req)` since
//! 4.16. Each hit adds one to `RetransSegs`
//! ([`tcp_rtx_synack`](https://github.com/torvalds/linux/blob/v6.12/net/ipv4/tcp_output.c#L4368))
//! and to no socket's sum, except under passive Fast Open, where `sk` is the
//! child and its sum grows as well. The listener is not locked.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use tracer_ebpf::{Event, EventKind, RetransmitKind, Verdict};

use crate::access;
use crate::counting::{self, Hit};
use crate::filter;
use crate::kernel::{Address, field};
use crate::maps;
use crate::socket::{self, tcp_state};

/// A hit.
#[inline(always)]
pub fn on_hit(sock: Address, request: Address) -> Option<()> {
    if field!(sock, skc_state, u8)? != tcp_state::LISTEN {
        account_for_child(sock);
    }
    if !maps::counting() {
        return None;
    }
    let tuple = socket::tuple(request)?;
    let totals = counting::totals(tuple.netns)?;
    let hit = Hit {
        kind: RetransmitKind::SynAck as u32,
        segments: 1,
        bytes: 0,
        failed: false,
    };
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_ktime_get_ns() };
    match filter::verdict(&tuple) {
        Verdict::Selected => {
            counting::count_synack_total(totals);
            match counting::flow_of_tuple(&tuple) {
                Some(flow) => counting::count_synack(flow, now),
                None => counting::count_overflow(totals, hit),
            }
            if maps::wants_events() {
                maps::emit(&Event {
                    time_ns: now,
                    tuple,
                    what: EventKind::SynAck as u32,
                    kind: RetransmitKind::SynAck as u32,
                    segments: 1,
                    state: tcp_state::NEW_SYN_RECV,
                    ..Event::default()
                });
            }
        }
        Verdict::TotalsOnly => counting::count_synack_total(totals),
        // SAFETY: a live map value.
        Verdict::Elsewhere => maps::add(unsafe { &raw mut (*totals).elsewhere }, 1),
        Verdict::Ignored => {}
    }
    Some(())
}

/// Passive Fast Open: what the SYN-ACK adds to the child's sum is counted here
/// and must not be found there again.
#[inline(always)]
fn account_for_child(sock: Address) {
    let Some(tcp) = access::tcp(sock) else {
        return;
    };
    let child = socket::remember(tcp);
    if !child.is_null() {
        // SAFETY: a live map value; the child is locked.
        unsafe { (*child).segments += 1 };
    }
}
