//! What the kernel side counts for a whole network namespace.

use crate::RetransmitKind;

/// How many network namespaces are counted at most; a host with more of them is told so.
pub const MAX_NAMESPACES: u32 = 1_024;

/// Sums over one network namespace, one copy a CPU. Everything that a filter by
/// peer or port leaves out is still in here.
///
/// What `tcp_retransmit_skb` adds at each hit is written by no other program: where a program
/// is not interrupted by itself, it needs no lock for that.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Retransmitted segments by [`RetransmitKind`].
    pub segments: [u64; RetransmitKind::COUNT],
    /// Segments of those that failed to leave, by [`RetransmitKind`].
    pub failed_segments: [u64; RetransmitKind::COUNT],
    /// Tracepoint hits by [`RetransmitKind`], failed ones included.
    pub attempts: [u64; RetransmitKind::COUNT],
    /// Hits that failed to leave this host.
    pub failed_events: u64,
    /// Retransmitted bytes.
    pub bytes: u64,
    /// Segments that the kernel counted and no hit showed. [`Self::with_unseen`] adds them
    /// to [`RetransmitKind::Other`].
    pub unseen_segments: u64,
    /// Their bytes.
    pub unseen_bytes: u64,
    /// Those of them that failed to leave.
    pub unseen_failed_segments: u64,
    /// Connections that reached ESTABLISHED.
    pub opened: u64,
    /// Connections that reached CLOSE.
    pub closed: u64,
    /// Resets sent.
    pub resets_sent: u64,
    /// Resets received.
    pub resets_received: u64,
    /// [`Self::opened`], of peers and ports that the filter keeps.
    pub selected_opened: u64,
    /// [`Self::closed`], likewise.
    pub selected_closed: u64,
    /// [`Self::resets_sent`], likewise.
    pub selected_resets_sent: u64,
    /// [`Self::resets_received`], likewise.
    pub selected_resets_received: u64,
    /// Segments with a wrong TCP checksum received from peers that the filter
    /// keeps. Of all peers, the kernel's `InCsumErrors` tells.
    pub selected_bad_checksums: u64,
    /// Segments that the filter kept but for which the flow table had no room.
    pub overflow_segments: [u64; RetransmitKind::COUNT],
    /// Their hits that sent something.
    pub overflow_events: u64,
    /// Their bytes.
    pub overflow_bytes: u64,
    /// Hits that the filter would keep, in a namespace that is not traced.
    pub elsewhere: u64,
}

impl Totals {
    /// Hits that sent something.
    #[must_use]
    pub fn events(&self) -> u64 {
        // Another CPU may have counted the attempt and not yet that it failed.
        let attempts: u64 = self.attempts.iter().sum();
        attempts.saturating_sub(self.failed_events)
    }

    /// The same, with what no hit showed among the segments and bytes.
    #[must_use]
    pub fn with_unseen(mut self) -> Self {
        let other = RetransmitKind::Other as usize;
        self.segments[other] += self.unseen_segments;
        self.failed_segments[other] += self.unseen_failed_segments;
        self.bytes += self.unseen_bytes;
        self
    }

    /// The sum of two, field by field.
    #[must_use]
    pub fn plus(self, other: &Self) -> Self {
        Self {
            segments: plus(self.segments, &other.segments),
            failed_segments: plus(self.failed_segments, &other.failed_segments),
            attempts: plus(self.attempts, &other.attempts),
            failed_events: self.failed_events + other.failed_events,
            bytes: self.bytes + other.bytes,
            unseen_segments: self.unseen_segments + other.unseen_segments,
            unseen_bytes: self.unseen_bytes + other.unseen_bytes,
            unseen_failed_segments: self.unseen_failed_segments + other.unseen_failed_segments,
            opened: self.opened + other.opened,
            closed: self.closed + other.closed,
            resets_sent: self.resets_sent + other.resets_sent,
            resets_received: self.resets_received + other.resets_received,
            selected_opened: self.selected_opened + other.selected_opened,
            selected_closed: self.selected_closed + other.selected_closed,
            selected_resets_sent: self.selected_resets_sent + other.selected_resets_sent,
            selected_resets_received: self.selected_resets_received
                + other.selected_resets_received,
            selected_bad_checksums: self.selected_bad_checksums + other.selected_bad_checksums,
            overflow_segments: plus(self.overflow_segments, &other.overflow_segments),
            overflow_events: self.overflow_events + other.overflow_events,
            overflow_bytes: self.overflow_bytes + other.overflow_bytes,
            elsewhere: self.elsewhere + other.elsewhere,
        }
    }
}

fn plus(
    mut left: [u64; RetransmitKind::COUNT],
    right: &[u64; RetransmitKind::COUNT],
) -> [u64; RetransmitKind::COUNT] {
    for (left, right) in left.iter_mut().zip(right) {
        *left += right;
    }
    left
}

const _: () = assert!(size_of::<Totals>() == 4 * 64 + 17 * 8);

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `#[repr(C)]` struct of `u64` only.
    unsafe impl aya::Pod for super::Totals {}
}
