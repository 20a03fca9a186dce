//! One value for each kind of retransmit.

use serde::{Deserialize, Serialize};
use tracer_ebpf::RetransmitKind;

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
    /// That of one kind.
    pub fn of(&self, kind: RetransmitKind) -> T {
        self.each()[kind as usize].1
    }

    /// Each kind with its value, in the order of kinds.
    pub fn each(&self) -> [(RetransmitKind, T); RetransmitKind::COUNT] {
        [
            (RetransmitKind::Tlp, self.tlp),
            (RetransmitKind::Rto, self.rto),
            (RetransmitKind::Fast, self.fast),
            (RetransmitKind::Rack, self.rack),
            (RetransmitKind::SlowStart, self.slow_start),
            (RetransmitKind::Syn, self.syn),
            (RetransmitKind::SynAck, self.synack),
            (RetransmitKind::Other, self.other),
        ]
    }
}

impl Kinds<u64> {
    /// The sum of two.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let (one, other) = (self.each(), other.each());
        let mut sums = [0; RetransmitKind::COUNT];
        for ((sum, (_, one)), (_, other)) in sums.iter_mut().zip(one).zip(other) {
            *sum = one + other;
        }
        Self::from(sums)
    }
}

impl<T: Copy> From<[T; RetransmitKind::COUNT]> for Kinds<T> {
    fn from(values: [T; RetransmitKind::COUNT]) -> Self {
        let of = |kind: RetransmitKind| values[kind as usize];
        Self {
            tlp: of(RetransmitKind::Tlp),
            rto: of(RetransmitKind::Rto),
            fast: of(RetransmitKind::Fast),
            rack: of(RetransmitKind::Rack),
            slow_start: of(RetransmitKind::SlowStart),
            syn: of(RetransmitKind::Syn),
            synack: of(RetransmitKind::SynAck),
            other: of(RetransmitKind::Other),
        }
    }
}

/// Adds others, kind by kind.
pub fn add(sums: &mut [u64; RetransmitKind::COUNT], more: &[u64; RetransmitKind::COUNT]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

/// Segments of a flow or of a namespace: what its kinds add up to.
#[must_use]
pub fn sum(by_kind: &[u64; RetransmitKind::COUNT]) -> u64 {
    by_kind.iter().sum()
}
