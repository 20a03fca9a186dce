//! One value for each kind of retransmit.

use serde::{Deserialize, Serialize};
use tracer_ebpf::Kind;

/// Something of each kind, such as how many segments.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Kinds<T> {
    /// Tail loss probes.
    pub tlp: T,
    /// Retransmission timeouts.
    pub rto: T,
    /// Fast retransmits.
    pub fast: T,
    /// RACK's reordering timer.
    pub rack: T,
    /// What follows a timeout.
    pub slow_start: T,
    /// SYNs.
    pub syn: T,
    /// SYN-ACKs.
    pub synack: T,
    /// Everything else.
    pub other: T,
}

impl<T: Copy> Kinds<T> {
    /// Each kind with its value, in the order of kinds.
    #[must_use]
    pub fn each(&self) -> [(Kind, T); Kind::COUNT] {
        [
            (Kind::Tlp, self.tlp),
            (Kind::Rto, self.rto),
            (Kind::Fast, self.fast),
            (Kind::Rack, self.rack),
            (Kind::SlowStart, self.slow_start),
            (Kind::Syn, self.syn),
            (Kind::SynAck, self.synack),
            (Kind::Other, self.other),
        ]
    }
}

impl<T: Copy> From<[T; Kind::COUNT]> for Kinds<T> {
    fn from(values: [T; Kind::COUNT]) -> Self {
        let of = |kind: Kind| values[kind as usize];
        Self {
            tlp: of(Kind::Tlp),
            rto: of(Kind::Rto),
            fast: of(Kind::Fast),
            rack: of(Kind::Rack),
            slow_start: of(Kind::SlowStart),
            syn: of(Kind::Syn),
            synack: of(Kind::SynAck),
            other: of(Kind::Other),
        }
    }
}

/// Segments of a flow or of a namespace: what its kinds add up to.
#[must_use]
pub fn sum(by_kind: &[u64; Kind::COUNT]) -> u64 {
    by_kind.iter().sum()
}
