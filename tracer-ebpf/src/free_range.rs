//! Numbers that nobody has yet.

/// The numbers from `next` on and before `end`.
///
/// 5.10 has no atomic that returns a value, with which one counter would do. Instead they lie in
/// ranges on a `BPF_MAP_TYPE_STACK`: who wants a number takes the upper range, keeps its first
/// number and puts the rest back. While it does, others take theirs from the next range.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FreeRange {
    /// The first.
    pub next: u32,
    /// Behind the last.
    pub end: u32,
}

impl FreeRange {
    /// The most numbers in one range of [`Self::cover`].
    pub const MAX_LENGTH: u32 = 1_024;

    /// Enough ranges for the processors of a large machine to find one at the same time.
    const COUNT: u32 = 128;

    /// One number.
    #[inline(always)]
    #[must_use]
    pub const fn one(number: u32) -> Self {
        Self {
            next: number,
            end: number + 1,
        }
    }

    /// All numbers from `first` to before `end` as ranges, in order.
    pub fn cover(first: u32, end: u32) -> impl DoubleEndedIterator<Item = Self> {
        let length = end.saturating_sub(first);
        let step = length.div_ceil(Self::COUNT).clamp(1, Self::MAX_LENGTH);
        (0..length.div_ceil(step)).map(move |index| Self {
            next: first + index * step,
            end: (first + (index + 1) * step).min(end),
        })
    }
}

const _: () = assert!(size_of::<FreeRange>() == 8);

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `#[repr(C)]` struct of `u32` only.
    unsafe impl aya::Pod for super::FreeRange {}
}

#[cfg(test)]
mod tests {
    use super::FreeRange;

    #[test]
    fn ranges_cover_every_number_once_and_in_order() {
        for (first, end) in [(0, 0), (1, 1), (0, 1), (1, 100), (0, 8_192), (7, 1_000_003)] {
            let mut next = first;
            for range in FreeRange::cover(first, end) {
                assert_eq!(range.next, next);
                assert!(range.next < range.end && range.end - range.next <= FreeRange::MAX_LENGTH);
                next = range.end;
            }
            assert_eq!(next, end, "from {first}");
        }
        assert_eq!(FreeRange::cover(0, 8_192).count(), 128);
    }
}
