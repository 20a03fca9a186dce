//! The contract of the fault that a TCX program injects.

/// Frozen before the fault's program is loaded; peers and ports come from the
/// fault's own maps.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultSettings {
    /// A packet is hit if a uniform random `u32` is below this; `u64` so that
    /// 100 % (2³²) can be said.
    pub threshold: u64,
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
}

const _: () = assert!(size_of::<FaultSettings>() == 8);
const _: () = assert!(size_of::<FaultCounters>() == 32);

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `#[repr(C)]` structs of `u64` only.
    unsafe impl aya::Pod for super::FaultSettings {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::FaultCounters {}
}
