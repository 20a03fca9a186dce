//! Where the kernel enters: tracepoints whose arguments have types, which the verifier knows.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

use crate::probe::{retransmit, state, synack};

#[btf_tracepoint(function = "tcp_retransmit_skb")]
pub fn tcp_retransmit_skb(ctx: BtfTracePointContext) -> i32 {
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

#[btf_tracepoint(function = "tcp_retransmit_synack")]
pub fn tcp_retransmit_synack(ctx: BtfTracePointContext) -> i32 {
    let _ = synack::on_hit(ctx.arg(0), ctx.arg(1));
    0
}

#[btf_tracepoint(function = "inet_sock_set_state")]
pub fn inet_sock_set_state(ctx: BtfTracePointContext) -> i32 {
    let _ = state::on_change(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}
