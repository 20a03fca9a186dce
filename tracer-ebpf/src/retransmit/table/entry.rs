//! Where the kernel enters: raw tracepoints.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

use crate::probe::{retransmit, state, synack};

#[raw_tracepoint(tracepoint = "tcp_retransmit_skb")]
pub fn tcp_retransmit_skb(ctx: RawTracePointContext) -> i32 {
    // The kernel refuses a program that may read an argument that the tracepoint does
    // not have; the constant removes this read.
    let err = if retransmit::shows_failures() {
        ctx.arg(2)
    } else {
        0
    };
    let _ = retransmit::on_hit(&ctx, ctx.arg(0), ctx.arg(1), err);
    0
}

#[raw_tracepoint(tracepoint = "tcp_retransmit_synack")]
pub fn tcp_retransmit_synack(ctx: RawTracePointContext) -> i32 {
    let _ = synack::on_hit(ctx.arg(0), ctx.arg(1));
    0
}

#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn inet_sock_set_state(ctx: RawTracePointContext) -> i32 {
    let _ = state::on_change(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}
