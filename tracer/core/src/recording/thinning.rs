//! Series of a run of any length that fit in memory.

/// Beyond so many, every second one goes; of those that are still to come, one in `stride` is
/// to be kept.
pub(super) fn thin<T>(kept: &mut Vec<T>, stride: &mut u64, most: usize) {
    if kept.len() > most {
        let mut index = 0usize;
        kept.retain(|_| {
            index += 1;
            !index.is_multiple_of(2)
        });
        *stride *= 2;
    }
}
