//! How many took how long, range by range.

use serde::{Deserialize, Serialize};

/// Durations by range: the ranges that have any, from the least to the largest. The arrays
/// are of one length.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DurationRanges {
    /// The least duration that is in each.
    pub from_ns: Vec<u64>,
    /// The largest.
    pub to_ns: Vec<u64>,
    /// How many are in each.
    pub count: Vec<u64>,
}

impl DurationRanges {
    /// From and to, ns, and how many, of each.
    pub fn each(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let edges = self.from_ns.iter().zip(&self.to_ns);
        let all = edges.zip(&self.count);
        all.map(|((from_ns, to_ns), count)| (*from_ns, *to_ns, *count))
    }
}
