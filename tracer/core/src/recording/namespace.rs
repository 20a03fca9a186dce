//! What was counted in one network namespace.

use tracer_ebpf::Totals;

use crate::kernel_counters::KernelCounts;

/// Both counts of one namespace.
#[derive(Debug, Clone, Default)]
pub struct NamespaceCounts {
    /// Inode.
    pub netns: u32,
    /// Its name.
    pub name: Option<String>,
    /// Ours, with what was found at the end.
    pub totals: Totals,
    /// The kernel's.
    pub kernel: KernelCounts,
}

/// The sum, if every part is known; of nothing, nothing is.
pub(crate) fn known_sum(parts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    parts.reduce(|sum, one| Some(sum? + one?)).flatten()
}

#[cfg(test)]
mod tests {
    use super::known_sum;

    #[test]
    fn a_sum_is_known_if_all_of_it_is_and_there_is_any() {
        for (parts, expected) in [
            (&[][..], None),
            (&[Some(1), None], None),
            (&[None, Some(1)], None),
            (&[Some(1), Some(2)], Some(3)),
        ] {
            assert_eq!(known_sum(parts.iter().copied()), expected, "{parts:?}");
        }
    }
}
