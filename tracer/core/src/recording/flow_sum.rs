//! What flows add up to.

use tracer_ebpf::{Flow, RetransmitKind};

use crate::by_kind;

/// What flows add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlowSum {
    /// How many flows.
    pub flows: u64,
    /// Retransmitted segments by kind.
    pub segments: [u64; RetransmitKind::COUNT],
    /// Calls that sent something.
    pub events: u64,
    /// Retransmitted bytes.
    pub bytes: u64,
    /// Segments that the kernel counted though they failed to leave.
    pub failed_segments: u64,
}

impl FlowSum {
    /// Of one flow.
    #[must_use]
    pub fn of(flow: &Flow) -> Self {
        Self {
            flows: 1,
            segments: flow.segments,
            events: flow.events,
            bytes: flow.bytes,
            failed_segments: flow.failed_segments,
        }
    }

    /// Adds others.
    pub fn add(&mut self, more: &Self) {
        by_kind::add(&mut self.segments, &more.segments);
        self.flows += more.flows;
        self.events += more.events;
        self.bytes += more.bytes;
        self.failed_segments += more.failed_segments;
    }
}
