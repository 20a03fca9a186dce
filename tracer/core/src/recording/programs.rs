//! What the kernel programs and the files of a run had to give up, and what they cost.

use tracer_ebpf::Gap;

/// What had to be given up, by [`Gap`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DropCounters(pub [u64; Gap::COUNT]);

impl DropCounters {
    /// How often one thing had to be given up.
    pub fn count(&self, gap: Gap) -> u64 {
        self.0[gap as usize]
    }
}

/// What the kernel says of the programs' runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunStats {
    /// How often they ran; 0 unless it is measured.
    pub runs: u64,
    /// How long, ns in all; likewise.
    pub ns: u64,
    /// Hits that the kernel did not hand to a program because that program was
    /// running on the CPU already (since Linux 5.12; 0 before). What such a hit
    /// of a socket counted is found at the socket's next hit or at its end.
    pub missed: u64,
}

/// What did not get where it was to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unwritten {
    /// Lines, whole or in part.
    pub lines: u64,
    /// Why, of the first of them.
    pub cause: Option<String>,
}
