//! The contract of the fault that a TCX program injects.

use crate::MAX_PORTS;

/// Frozen before the fault's program is loaded.
///
/// Peers come from the trie `FAULT_PEERS`: 16-byte addresses, IPv4 as
/// `::ffff:a.b.c.d` with 96 added to the length of its prefix. When the fault
/// ends is in the array `FAULT_UNTIL`, index 0, ns of `CLOCK_MONOTONIC`: from
/// then on the program lets everything pass, whatever became of the process
/// that loaded it. It starts as 0, so that an attached program waits until
/// userspace writes the time, which is when the fault begins.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultSettings {
    /// A packet is hit if a uniform random `u32` is below this; `u64` so that
    /// 100 % (2³²) can be said.
    pub threshold: u64,
    /// How many of [`Self::ports`] are set; 0 keeps every port.
    pub port_count: u32,
    /// Explicit padding.
    pub _pad: u32,
    /// Ports, host order: a segment is kept if either of its ends has one.
    pub ports: [u16; MAX_PORTS],
}

/// What the fault did, one copy a CPU (map `FAULT_COUNTERS`, index 0).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounters {
    /// Segments on the wire that were for the peer.
    pub seen: u64,
    /// Those that were damaged.
    pub hit: u64,
    /// Bytes of the packets that were damaged, headers included.
    pub hit_bytes: u64,
    /// Packets for the peer that this fault cannot damage (not TCP, or an IPv4
    /// fragment without a TCP header) and let pass.
    pub passed: u64,
    /// Sum of the squares of the segments of each packet in [`Self::seen`].
    /// All segments of one packet share one decision, so this, not `seen`, is
    /// what the variance of [`Self::hit`] is proportional to.
    pub seen_squares: u64,
}

const _: () = assert!(size_of::<FaultSettings>() == 48);
const _: () = assert!(size_of::<FaultCounters>() == 40);

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `#[repr(C)]` struct of integers without implicit padding (size
    // asserted above).
    unsafe impl aya::Pod for super::FaultSettings {}
    // SAFETY: `#[repr(C)]` struct of `u64` only.
    unsafe impl aya::Pod for super::FaultCounters {}
}
