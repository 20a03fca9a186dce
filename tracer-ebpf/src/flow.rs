//! What the kernel side keeps for one flow.

/// The two ends of a TCP connection as this host sees them, in one network
/// namespace. The key of a flow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tuple {
    /// Local address, network order, IPv4 as `::ffff:a.b.c.d`.
    pub local: [u8; 16],
    /// Remote address, likewise.
    pub remote: [u8; 16],
    /// Local port, host order.
    pub local_port: u16,
    /// Remote port, host order.
    pub remote_port: u16,
    /// Inode number of the network namespace (`net:[N]` in `/proc/PID/ns/net`).
    pub netns: u32,
}

/// A port of a peer's.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    /// The peer's address, network order, IPv4 as `::ffff:a.b.c.d`.
    pub address: [u8; 16],
    /// Host order.
    pub port: u16,
    /// Always 0.
    pub _pad: u16,
    /// Inode number of the network namespace that it is reached from.
    pub netns: u32,
}

/// The ends of a connection, as a segment that arrived names them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ends {
    /// The sender's address, network order, IPv4 as `::ffff:a.b.c.d`.
    pub remote: [u8; 16],
    /// Host order.
    pub remote_port: u16,
    /// Host order.
    pub local_port: u16,
}

impl Tuple {
    /// As a segment names them that arrives on it.
    #[must_use]
    #[inline(always)]
    pub const fn ends(&self) -> Ends {
        Ends {
            remote: self.remote,
            remote_port: self.remote_port,
            local_port: self.local_port,
        }
    }
}

/// Why the kernel retransmitted. The discriminant indexes the counter arrays of
/// [`Flow`] and [`crate::Totals`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetransmitKind {
    /// Tail loss probe (RFC 8985): the probe timer fired before the RTO.
    Tlp = 0,
    /// Retransmission timeout: the head of the queue, retransmitted by the timer.
    Rto = 1,
    /// Fast retransmit: recovery driven by acknowledgements.
    Fast = 2,
    /// RACK reordering timer: recovery driven by the clock.
    Rack = 3,
    /// What follows a timeout while the congestion window grows again.
    SlowStart = 4,
    /// A SYN, by timeout.
    Syn = 5,
    /// A SYN-ACK, by the listener's timer or a repeated SYN.
    SynAck = 6,
    /// Everything else: what is sent into a closed window, and segments that the
    /// kernel counted without a visible hit.
    Other = 7,
}

impl RetransmitKind {
    /// Number of kinds: the length of every array indexed by [`RetransmitKind`].
    pub const COUNT: usize = 8;
    /// All kinds, in the order of their discriminants.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Tlp,
        Self::Rto,
        Self::Fast,
        Self::Rack,
        Self::SlowStart,
        Self::Syn,
        Self::SynAck,
        Self::Other,
    ];

    /// The name used in the report's JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tlp => "tlp",
            Self::Rto => "rto",
            Self::Fast => "fast",
            Self::Rack => "rack",
            Self::SlowStart => "slow_start",
            Self::Syn => "syn",
            Self::SynAck => "synack",
            Self::Other => "other",
        }
    }

    /// The kind of a discriminant, if it is one.
    pub const fn from_u32(value: u32) -> Option<Self> {
        if (value as usize) < Self::COUNT {
            Some(Self::ALL[value as usize])
        } else {
            None
        }
    }
}

/// A socket that retransmitted, as the programs remember it (map `SOCKETS`, keyed
/// by the address of its `struct sock`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Socket {
    /// Which flow.
    pub tuple: Tuple,
    /// `bytes_retrans` of the socket that is already accounted for.
    pub bytes: u64,
    /// `total_retrans` of the socket that is already accounted for.
    pub segments: u32,
    /// Slot of the flow in `FLOWS`; [`Self::NO_SLOT`] before it needs one.
    pub slot: u32,
    /// What the filters say of the socket: [`Verdict::TotalsOnly`] or [`Verdict::Selected`],
    /// for no other is remembered.
    pub verdict: u16,
    /// The [`RetransmitKind`] of the last hit.
    pub last_kind: u16,
    /// Place of its namespace's sums in `TOTALS`; [`Self::NO_PLACE`] if there was none left.
    pub place: u32,
}

impl Socket {
    /// Marks a socket without a slot.
    pub const NO_SLOT: u32 = u32::MAX;
    /// Marks a namespace without a place.
    pub const NO_PLACE: u32 = u32::MAX;
}

/// What the filters say of a flow.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Counted in the totals of its namespace only.
    TotalsOnly = 0,
    /// Counted in the totals and as a flow.
    Selected = 1,
    /// In a namespace that is not traced, and not what the filter asks for.
    Ignored = 2,
    /// In a namespace that is not traced, though the filter would keep it.
    Elsewhere = 3,
}

/// A process that opened a socket, seen while it was on the CPU.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Process (thread group) id in the initial PID namespace; 0 if unknown.
    pub pid: u32,
    /// Explicit padding.
    pub _pad: u32,
    /// `comm` of the task, NUL-padded.
    pub comm: [u8; 16],
}

/// Counters and last readings of one flow. One slot of the `FLOWS` array; a
/// tuple that was used again later, or whose SYN-ACKs were counted before it
/// had a socket, has several, which userspace adds up.
///
/// Counters grow by atomic addition. The readings have one writer at a time,
/// because the kernel holds the socket's lock at every hit.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Which flow; all zero while the slot was never used.
    pub tuple: Tuple,
    /// Retransmitted segments by [`RetransmitKind`], as the kernel counts them.
    pub segments: [u64; RetransmitKind::COUNT],
    /// Calls that sent something, by any kind.
    pub events: u64,
    /// Calls that failed to leave this host; never grows on kernels whose
    /// tracepoint has no `err`.
    pub failed_events: u64,
    /// Segments that the kernel counted though they failed to leave.
    pub failed_segments: u64,
    /// Retransmitted bytes of sequence space as in `tcpi_bytes_retrans`.
    pub bytes: u64,
    /// Hits whose segment carried a FIN.
    pub fin: u64,
    /// Resets sent.
    pub resets_sent: u64,
    /// Resets received.
    pub resets_received: u64,
    /// Time of the first hit, ns of `CLOCK_MONOTONIC`; 0 if none.
    pub first_ns: u64,
    /// Time of the last hit, likewise.
    pub last_ns: u64,
    /// When the peer answered a SYN that had been retransmitted, likewise; 0 if it did not,
    /// or no SYN was.
    pub answered_ns: u64,
    /// When the socket closed, likewise; 0 while open. Written last: nobody but userspace,
    /// which gives the slot back, changes anything after it.
    pub closed_ns: u64,
    /// Inode of the socket's file; 0 if it has none (orphaned, or not accepted).
    pub inode: u64,
    /// Who opened it, where that was seen.
    pub owner: Owner,
    /// Smoothed round-trip time in µs at the last hit.
    pub srtt_us: u32,
    /// Retransmission timeout in jiffies at the last hit.
    pub rto: u32,
    /// The largest retransmission timeout seen at a hit, in jiffies.
    pub rto_max: u32,
    /// Congestion window in segments at the last hit.
    pub cwnd: u32,
    /// Exponential back-off of the timer at the last hit.
    pub backoff: u32,
    /// The largest back-off seen at a hit.
    pub backoff_max: u32,
}

const _: () = assert!(size_of::<Tuple>() == 40);
const _: () = assert!(size_of::<Service>() == 24);
const _: () = assert!(size_of::<Ends>() == 20);
const _: () = assert!(size_of::<Socket>() == 64);
const _: () = assert!(size_of::<Owner>() == 24);
const _: () = assert!(size_of::<Flow>() == 40 + 64 + 96 + 24 + 24);
const _: () = assert!(size_of::<Flow>() == size_of::<[u64; Flow::WORDS]>());

impl Flow {
    /// How many words it is.
    pub const WORDS: usize = 31;

    /// As words of the machine.
    #[must_use]
    pub fn to_words(self) -> [u64; Self::WORDS] {
        // SAFETY: of the same size (asserted above), and every byte is initialised: there is no
        // implicit padding.
        unsafe { core::mem::transmute(self) }
    }

    /// What [`Self::to_words`] made of it.
    #[must_use]
    pub fn from_words(words: [u64; Self::WORDS]) -> Self {
        // SAFETY: of the same size (asserted above), and any bytes are a value.
        unsafe { core::mem::transmute(words) }
    }
}

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `#[repr(C)]` structs of integers and byte arrays without implicit
    // padding (sizes asserted above), so any bytes are a value and every byte
    // of a value is initialised.
    unsafe impl aya::Pod for super::Tuple {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Service {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Ends {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Socket {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Owner {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Flow {}
}
