//! The contract of the faults that a traffic-control program injects.

use crate::MAX_PORTS;

/// Frozen before the fault's programs are loaded.
///
/// Peers come from the trie `FAULT_PEERS`: 16-byte addresses, IPv4 as
/// `::ffff:a.b.c.d` with 96 added to the length of its prefix. When the fault
/// ends is in the array `FAULT_UNTIL`, index 0, ns of `CLOCK_MONOTONIC`: from
/// then on the programs let everything pass, whatever became of the process
/// that loaded them. It starts as 0, so that an attached program waits until
/// userspace writes the time, which is when the fault begins.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultSettings {
    /// Which packets are lost.
    pub loss: HitChance,
    /// Which of the others get a wrong checksum.
    pub corrupt: HitChance,
    /// Where the random numbers begin; 0 for the kernel's own.
    pub seed: u64,
    /// Minor number of the class that the queueing discipline is to put the
    /// rest into; 0 for none.
    pub class: u32,
    /// What a packet that came by is marked with (`skb->tc_index`), so that its
    /// duplicate is known; 0 for nothing.
    pub mark: u32,
    /// 1 if only TCP is meant, because only TCP would notice.
    pub tcp_only: u32,
    /// How many of [`Self::ports`] are set; 0 keeps every port.
    pub port_count: u32,
    /// Ports, host order: a segment is kept if either of its ends has one.
    pub ports: [u16; MAX_PORTS],
}

/// How often something befalls a packet: a chain of two states, in which both
/// numbers are equal unless one packet's luck depends on the one before.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HitChance {
    /// A packet is hit if a uniform random `u32` is below this; `u64` so that
    /// 100 % (2³²) can be said.
    pub threshold: u64,
    /// The same after a packet that was hit.
    pub threshold_after_hit: u64,
}

/// In which direction packets go. The discriminant indexes the maps.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the peers.
    Egress = 0,
    /// From the peers.
    Ingress = 1,
}

/// How many [`Direction`]s there are.
pub const DIRECTIONS: u32 = 2;

/// What a lot was drawn for, and what it fell on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Segments on the wire that it was drawn for.
    pub seen: u64,
    /// Those that it fell on.
    pub hit: u64,
    /// Bytes of the packets that it fell on, headers included.
    pub hit_bytes: u64,
    /// Sum of the squares of the segments of each packet in [`Self::seen`].
    /// All segments of one packet share one decision, so this, not `seen`, is
    /// what the variance of [`Self::hit`] is proportional to.
    pub seen_squares: u64,
}

impl Tally {
    /// Notes one draw, for a packet of so many segments and bytes.
    #[inline(always)]
    pub fn count(&mut self, hit: bool, segments: u64, bytes: u64) {
        self.seen += segments;
        self.seen_squares += segments * segments;
        if hit {
            self.hit += segments;
            self.hit_bytes += bytes;
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            seen: self.seen + other.seen,
            hit: self.hit + other.hit,
            hit_bytes: self.hit_bytes + other.hit_bytes,
            seen_squares: self.seen_squares + other.seen_squares,
        }
    }
}

/// What the fault did, one copy a CPU (map `FAULT_COUNTERS`, by [`Direction`]).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounters {
    /// Segments on the wire that were for the peer, of the ports asked for.
    pub matched: u64,
    /// Bytes of their packets, headers included.
    pub matched_bytes: u64,
    /// Sum of the squares of the segments of each packet in [`Self::matched`].
    pub matched_squares: u64,
    /// Packets of the peer that this fault leaves alone: not TCP where only TCP
    /// would notice, without ports where ports were asked for, and neighbour
    /// discovery always.
    pub passed: u64,
    /// Packets that came by again because a queueing discipline duplicated
    /// them; in no other count.
    pub repeated: u64,
    /// Packets that were lost.
    pub loss: Tally,
    /// Packets that left with a wrong checksum.
    pub corrupt: Tally,
}

/// What one CPU remembers from packet to packet (map `FAULT_MEMORY`, by
/// [`Direction`]).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BurstState {
    /// State of the random numbers, where a seed was given; 0 before the first.
    pub random: u64,
    /// 1 if the packet before was lost.
    pub lost: u32,
    /// 1 if the packet before got a wrong checksum.
    pub corrupted: u32,
}

const _: () = assert!(size_of::<FaultSettings>() == 88);
const _: () = assert!(size_of::<FaultCounters>() == 104);
const _: () = assert!(size_of::<BurstState>() == 16);

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `#[repr(C)]` struct of integers without implicit padding (size
    // asserted above).
    unsafe impl aya::Pod for super::FaultSettings {}
    // SAFETY: `#[repr(C)]` struct of `u64` only.
    unsafe impl aya::Pod for super::FaultCounters {}
}
