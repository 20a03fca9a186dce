//! `tcp_probe`: a segment arrived on an established connection.
//!
//! Prototype `(struct sock *sk, struct sk_buff *skb)` since 4.16
//! ([6.12](https://github.com/torvalds/linux/blob/v6.12/include/trace/events/tcp.h)). Fires
//! at the beginning of `tcp_rcv_established()`, before the segment is looked at, and so
//! also for one that is discarded then, because its checksum is bad, for one.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use tracer_ebpf::{SegmentReceived, StageKind};

use crate::maps::{FOLLOWED_SOCKETS, stage_offset, tell_stage};
use crate::now_ns;
use crate::stages::kernel;

#[raw_tracepoint(tracepoint = "tcp_probe")]
pub fn tcp_probe(context: RawTracePointContext) -> i32 {
    let sock = context.arg::<u64>(0);
    // Every connection of the host comes here.
    if FOLLOWED_SOCKETS.get_ptr(sock).is_some() {
        let _ = received(sock, context.arg(1));
    }
    0
}

#[inline(always)]
fn received(sock: u64, skb: u64) -> Option<()> {
    tell_stage(SegmentReceived {
        kind: StageKind::SegmentReceived as u32,
        ack_seq: kernel(skb, stage_offset!(cb_ack_seq))?,
        sock,
        time_ns: now_ns(),
        seq: kernel(skb, stage_offset!(cb_seq))?,
        end_seq: kernel(skb, stage_offset!(cb_end_seq))?,
        snd_una: kernel(sock, stage_offset!(snd_una))?,
        rcv_nxt: kernel(sock, stage_offset!(rcv_nxt))?,
    });
    Some(())
}
