//! One thing that happened, as the ring buffer carries it.

use crate::Tuple;

/// What an [`Event`] reports.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// `tcp_retransmit_skb`.
    Retransmit = 0,
    /// `tcp_retransmit_synack`.
    SynAck = 1,
    /// `inet_sock_set_state`.
    State = 2,
    /// `tcp_bad_csum`.
    BadChecksum = 3,
    /// `tcp_send_reset`.
    ResetSent = 4,
    /// `tcp_receive_reset`.
    ResetReceived = 5,
}

impl EventKind {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 6] = [
        Self::Retransmit,
        Self::SynAck,
        Self::State,
        Self::BadChecksum,
        Self::ResetSent,
        Self::ResetReceived,
    ];

    /// The name used in the JSON lines of `--events`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retransmit => "retransmit",
            Self::SynAck => "synack",
            Self::State => "state",
            Self::BadChecksum => "bad_checksum",
            Self::ResetSent => "reset_sent",
            Self::ResetReceived => "reset_received",
        }
    }

    /// The kind of a discriminant, if it is one.
    #[must_use]
    pub const fn from_u32(value: u32) -> Option<Self> {
        if (value as usize) < Self::ALL.len() {
            Some(Self::ALL[value as usize])
        } else {
            None
        }
    }
}

/// A record of the `EVENTS` ring buffer. Fields that an event has no value for
/// are 0; [`EventKind`] says which have one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// When, ns of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// Which flow.
    pub tuple: Tuple,
    /// An [`EventKind`].
    pub what: u32,
    /// Retransmit: a [`crate::RetransmitKind`].
    pub kind: u32,
    /// Retransmit: segments that this hit added to the kernel's count.
    pub segments: u32,
    /// Retransmit: bytes likewise.
    pub bytes: u32,
    /// Retransmit: first sequence number of the segment.
    pub seq: u32,
    /// Retransmit: sequence number after its last byte.
    pub end_seq: u32,
    /// Retransmit: the result, 0 or a negative errno or a positive
    /// `NET_XMIT_*` code.
    pub err: i32,
    /// Retransmit: retransmission timeout, jiffies.
    pub rto: u32,
    /// Retransmit: congestion window, segments.
    pub cwnd: u32,
    /// Retransmit: smoothed round-trip time, µs.
    pub srtt_us: u32,
    /// Retransmit: TCP flags of the segment (FIN 1, SYN 2, RST 4, PSH 8, ACK 16).
    pub tcp_flags: u16,
    /// TCP state (`TCP_ESTABLISHED` 1 …); State: the new one.
    pub state: u8,
    /// State: the old one.
    pub old_state: u8,
    /// Retransmit: congestion state (Open 0, Disorder 1, CWR 2, Recovery 3, Loss 4).
    pub ca_state: u8,
    /// Retransmit: exponential back-off.
    pub backoff: u8,
    /// Retransmit: segments that are not acknowledged, at most 65,535; 0 where the kernel
    /// does not tell.
    pub unacked: u16,
}

const _: () = assert!(size_of::<Event>() == 96);

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `#[repr(C)]` struct of integers without implicit padding (size
    // asserted above).
    unsafe impl aya::Pod for super::Event {}
}
