//! What the kernel side counts for a whole network namespace.

use crate::Kind;

/// Sums over one network namespace, one copy a CPU. Everything that a filter by
/// peer or port leaves out is still in here.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Retransmitted segments by [`Kind`].
    pub segments: [u64; Kind::COUNT],
    /// Segments of those that failed to leave, by [`Kind`].
    pub failed_segments: [u64; Kind::COUNT],
    /// Tracepoint hits by [`Kind`], failed ones included.
    pub attempts: [u64; Kind::COUNT],
    /// Hits that sent something.
    pub events: u64,
    /// Hits that failed to leave this host.
    pub failed_events: u64,
    /// Retransmitted bytes.
    pub bytes: u64,
    /// Connections that reached ESTABLISHED.
    pub opened: u64,
    /// Connections that reached CLOSE.
    pub closed: u64,
    /// Resets sent.
    pub resets_sent: u64,
    /// Resets received.
    pub resets_received: u64,
    /// Segments received with a wrong TCP checksum.
    pub bad_checksums: u64,
    /// [`Self::opened`], of peers and ports that the filter keeps.
    pub selected_opened: u64,
    /// [`Self::closed`], likewise.
    pub selected_closed: u64,
    /// [`Self::resets_sent`], likewise.
    pub selected_resets_sent: u64,
    /// [`Self::resets_received`], likewise.
    pub selected_resets_received: u64,
    /// [`Self::bad_checksums`], likewise.
    pub selected_bad_checksums: u64,
    /// Segments that the filter kept but for which the flow table had no room.
    pub overflow_segments: [u64; Kind::COUNT],
    /// Their hits that sent something.
    pub overflow_events: u64,
    /// Their bytes.
    pub overflow_bytes: u64,
    /// Hits that the filter would keep, in a namespace that is not traced.
    pub elsewhere: u64,
}

const _: () = assert!(size_of::<Totals>() == 4 * 64 + 16 * 8);

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `#[repr(C)]` struct of `u64` only.
    unsafe impl aya::Pod for super::Totals {}
}
