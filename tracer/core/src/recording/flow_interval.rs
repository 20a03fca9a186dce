//! What a flow retransmitted in one interval.

use tracer_ebpf::RetransmitKind;

use crate::by_kind::add;

/// What grew in one interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlowInterval {
    /// End of the interval, ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// Retransmitted segments by kind.
    pub segments: [u64; RetransmitKind::COUNT],
    /// Calls that sent something.
    pub events: u64,
    /// Retransmitted bytes.
    pub bytes: u64,
}

impl FlowInterval {
    pub(crate) fn of_kinds(&self, kinds: &[RetransmitKind]) -> u64 {
        kinds.iter().map(|kind| self.segments[*kind as usize]).sum()
    }

    /// Adds what grew elsewhere in the same interval.
    pub(crate) fn add(&mut self, more: &Self) {
        add(&mut self.segments, &more.segments);
        self.events += more.events;
        self.bytes += more.bytes;
    }
}
