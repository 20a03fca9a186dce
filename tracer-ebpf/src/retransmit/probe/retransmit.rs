//! `tcp_retransmit_skb`: one call of `__tcp_retransmit_skb`, of one or more
//! segments.
//!
//! Prototype `(const struct sock *sk, const struct sk_buff *skb)` since 4.15,
//! and since [6.17](https://github.com/torvalds/linux/blob/v6.17/include/trace/events/tcp.h)
//! a third argument `int err`, with which it also fires for calls that failed.
//!
//! The kernel adds the segments to `RetransSegs`, `total_retrans` and
//! `bytes_retrans` at once, after its early checks and before it hands the packet
//! down, so the growth of the socket's sums is exact whether the call failed or
//! not. The socket is locked at every hit.

use core::ptr;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::{bpf_jiffies64, bpf_ktime_get_ns};
use aya_log_ebpf::debug;
use tracer_ebpf::{Event, EventKind, Flow, Gap, RetransmitKind, Socket, Verdict};

use crate::access;
use crate::counting::{self, Hit};
use crate::filter;
use crate::kernel::{Address, TcpSocket, field, field_or_zero, offset};
use crate::maps::{self, OFFSETS, TOTALS};
use crate::socket;

const TCP_FIN: u8 = 0x01;
const TCP_SYN: u8 = 0x02;
/// `enum tcp_ca_state`.
const CA_RECOVERY: u8 = 3;
const CA_LOSS: u8 = 4;
/// `icsk_pending`, see
/// [`net/inet_connection_sock.h`](https://github.com/torvalds/linux/blob/v6.12/include/net/inet_connection_sock.h#L149).
const TIMER_NONE: u8 = 0;
const TIMER_LOSS_PROBE: u8 = 5;
const TIMER_REORDERING: u8 = 6;

/// A hit. `err` is 0 where the tracepoint does not pass it.
#[inline(always)]
pub fn on_hit(ctx: &impl EbpfContext, sock: Address, skb: Address, err: i32) -> Option<()> {
    let tcp = access::tcp(sock)?;
    let now = socket::retransmitted(tcp)?;
    let own = u64::from(field!(skb, cb_gso_segs, u16)?);

    let remembered = socket::remember(tcp);
    if remembered.is_null() {
        return without_memory(tcp);
    }
    // SAFETY: a live map value; the socket's lock makes us its only writer.
    let memory = unsafe { &mut *remembered };
    // `tcp_disconnect` starts the sums of a socket again at 0.
    let fresh = now.segments < memory.segments;
    let segments = u64::from(if fresh {
        now.segments
    } else {
        now.segments - memory.segments
    });
    let bytes = if fresh {
        now.bytes
    } else {
        now.bytes.wrapping_sub(memory.bytes)
    };
    memory.segments = now.segments;
    memory.bytes = now.bytes;
    if !maps::counting() {
        return None;
    }

    let totals = TOTALS.get_ptr_mut(memory.place)?;
    let view = View::read(tcp.fields, skb);
    let kind = opaque(&mut memory.last_kind, view.kind(tcp.fields, skb));
    // A call counts all of its segments or, if it failed early, none. What the
    // sums grew by beyond that went by unseen: failures where the tracepoint is
    // silent about them, and hits that the kernel withheld, because the program
    // was already running on this CPU or for a reason of its vendor's.
    let counted = if err == 0 || segments >= own {
        own.min(segments)
    } else {
        0
    };
    let surplus = segments - counted;
    let surplus_bytes = if surplus == 0 {
        0
    } else {
        bytes.saturating_sub(view.length(skb))
    };
    let hit = Hit {
        kind,
        segments: counted,
        bytes: bytes - surplus_bytes,
        failed: err != 0,
    };
    counting::count_retransmit(totals, hit);
    let mut flow = ptr::null_mut();
    if memory.verdict == Verdict::Selected as u16 {
        // SAFETY: the helper has no preconditions.
        let time = unsafe { bpf_ktime_get_ns() };
        flow = counting::flow_of(tcp, remembered);
        if flow.is_null() {
            counting::count_overflow(totals, hit);
        } else {
            counting::count_flow(flow, hit, view.tcp_flags & TCP_FIN != 0, time);
            view.keep(flow);
        }
        if maps::wants_losses() {
            emit(tcp.fields, skb, memory, &view, hit, err, time);
        }
        debug!(
            ctx,
            "retransmit: {} segments, kind {}, err {}", hit.segments, kind, err
        );
    }
    if surplus > 0 {
        if flow.is_null() && memory.verdict == Verdict::Selected as u16 {
            let unseen = Hit {
                kind: RetransmitKind::Other as u32,
                segments: surplus,
                bytes: surplus_bytes,
                failed: true,
            };
            counting::count_overflow(totals, unseen);
        }
        counting::count_unseen(totals, flow, surplus, surplus_bytes, !shows_failures());
    }
    Some(())
}

/// A hit of a socket that is not remembered. In a namespace that is not traced none is; and
/// where there was no room for one, its sum tells later what this hit has added.
#[inline(always)]
fn without_memory(tcp: TcpSocket) -> Option<()> {
    if !maps::counting() {
        return None;
    }
    let tuple = socket::tuple(tcp.fields)?;
    match filter::verdict(&tuple) {
        Verdict::Ignored => {}
        Verdict::Elsewhere => {
            let totals = counting::totals(tuple.netns)?;
            // SAFETY: a live map value.
            maps::add(unsafe { &raw mut (*totals).elsewhere }, 1);
        }
        Verdict::Selected | Verdict::TotalsOnly => maps::count_gap(Gap::SocketsFull),
    }
    Some(())
}

/// Whether the tracepoint shows calls that failed, and passes why.
#[inline(always)]
pub fn shows_failures() -> bool {
    offset(&raw const OFFSETS.retransmit_has_err) == 1
}

/// What a hit shows of the socket's congestion control and timers.
struct View {
    tcp_flags: u8,
    ca_state: u8,
    pending: u8,
    backoff: u8,
    rto: u32,
    srtt_us: u32,
    cwnd: u32,
    unacked: u32,
}

impl View {
    #[inline(always)]
    fn read(sk: Address, skb: Address) -> Self {
        let shift = offset(&raw const OFFSETS.icsk_ca_state_shift) & 7;
        let mask = offset(&raw const OFFSETS.icsk_ca_state_mask);
        Self {
            // The low byte of two in recent kernels: FIN to CWR as on the wire.
            tcp_flags: field_or_zero!(skb, cb_tcp_flags, u8),
            ca_state: ((u32::from(field_or_zero!(sk, icsk_ca_state, u8)) >> shift) & mask) as u8,
            pending: field_or_zero!(sk, icsk_pending, u8),
            backoff: field_or_zero!(sk, icsk_backoff, u8),
            rto: field_or_zero!(sk, icsk_rto, u32),
            srtt_us: field_or_zero!(sk, srtt_us, u32) >> 3,
            cwnd: field_or_zero!(sk, snd_cwnd, u32),
            unacked: field_or_zero!(sk, packets_out, u32),
        }
    }

    /// Why this segment is retransmitted, known from what its caller leaves behind:
    /// [`tcp_timer.c`](https://github.com/torvalds/linux/blob/v6.12/net/ipv4/tcp_timer.c#L690)
    /// clears `icsk_pending` before a timeout and leaves it as it is before a
    /// probe or RACK's timer.
    ///
    /// A probe is armed while nothing is known to be lost, one is outstanding at
    /// most, and the first retransmit of a recovery that leaves this host arms
    /// another timer. Until then acknowledgements find the probe armed, even due;
    /// what tells them apart is that a probe is always the tail.
    #[inline(always)]
    fn kind(&self, sk: Address, skb: Address) -> RetransmitKind {
        if self.tcp_flags & TCP_SYN != 0 {
            return RetransmitKind::Syn;
        }
        if self.pending == TIMER_NONE && self.ca_state == CA_LOSS {
            // Into a closed window the timer sends as well, but does not count
            // that as a timeout.
            return match field!(sk, snd_wnd, u32) {
                Some(0) => RetransmitKind::Other,
                _ => RetransmitKind::Rto,
            };
        }
        if self.pending == TIMER_LOSS_PROBE
            && self.ca_state < CA_LOSS
            && field_or_zero!(sk, tlp_high_seq, u32) == 0
            && due(sk).unwrap_or(self.ca_state < CA_RECOVERY)
            && (self.ca_state < CA_RECOVERY || self.is_tail(sk, skb))
        {
            return RetransmitKind::Tlp;
        }
        match self.ca_state {
            CA_LOSS => RetransmitKind::SlowStart,
            CA_RECOVERY if self.pending == TIMER_REORDERING && due(sk).unwrap_or(true) => {
                RetransmitKind::Rack
            }
            // Where a recovery was taken back, the queue may still be retransmitted; the
            // kernel counts that as fast as well.
            _ => RetransmitKind::Fast,
        }
    }

    /// Whether this is the last segment that was sent, alone.
    #[inline(always)]
    fn is_tail(&self, sk: Address, skb: Address) -> bool {
        field_or_zero!(skb, cb_gso_segs, u16) == 1
            && field_or_zero!(skb, cb_end_seq, u32) == field_or_zero!(sk, snd_nxt, u32)
    }

    /// Length of the segment in sequence space, without SYN and FIN: what
    /// `bytes_retrans` grows by.
    #[inline(always)]
    fn length(&self, skb: Address) -> u64 {
        let seq = field_or_zero!(skb, cb_seq, u32);
        let end = field_or_zero!(skb, cb_end_seq, u32);
        let flags =
            u32::from(self.tcp_flags & TCP_SYN != 0) + u32::from(self.tcp_flags & TCP_FIN != 0);
        u64::from(end.wrapping_sub(seq).wrapping_sub(flags))
    }

    /// Leaves the readings in the flow.
    #[inline(always)]
    fn keep(&self, flow: *mut Flow) {
        // SAFETY: a live map value; the socket's lock makes us its only writer.
        let flow = unsafe { &mut *flow };
        flow.srtt_us = self.srtt_us;
        flow.cwnd = self.cwnd;
        flow.rto = self.rto;
        if self.rto > flow.rto_max {
            flow.rto_max = self.rto;
        }
        let backoff = u32::from(self.backoff);
        flow.backoff = backoff;
        if backoff > flow.backoff_max {
            flow.backoff_max = backoff;
        }
    }
}

/// The same kind, in a form that the verifier takes for any: what follows is then
/// looked at once and not once a kind.
#[inline(always)]
fn opaque(memory: &mut u16, kind: RetransmitKind) -> u32 {
    // SAFETY: a live map value; volatile, so that the way through memory stays.
    unsafe {
        ptr::write_volatile(memory, kind as u16);
        u32::from(ptr::read_volatile(memory))
    }
}

/// Whether the pending timer is due: only then can it be what sends.
#[inline(always)]
fn due(sk: Address) -> Option<bool> {
    let at = field!(sk, icsk_timeout, u64)?;
    // SAFETY: the helper has no preconditions.
    let now = unsafe { bpf_jiffies64() };
    // Jiffies wrap: compare as `time_after_eq` does.
    Some(now.wrapping_sub(at) as i64 >= 0)
}

#[inline(always)]
fn emit(sk: Address, skb: Address, memory: &Socket, view: &View, hit: Hit, err: i32, time_ns: u64) {
    let event = Event {
        time_ns,
        tuple: memory.tuple,
        what: EventKind::Retransmit as u32,
        kind: hit.kind,
        segments: hit.segments as u32,
        bytes: hit.bytes as u32,
        seq: field_or_zero!(skb, cb_seq, u32),
        end_seq: field_or_zero!(skb, cb_end_seq, u32),
        err,
        rto: view.rto,
        cwnd: view.cwnd,
        srtt_us: view.srtt_us,
        tcp_flags: u16::from(view.tcp_flags),
        state: field_or_zero!(sk, skc_state, u8),
        old_state: 0,
        ca_state: view.ca_state,
        backoff: view.backoff,
        unacked: view.unacked.min(u32::from(u16::MAX)) as u16,
    };
    maps::emit(&event);
}
