//! By how much a process's clock is off from the machine's.
//!
//! In a time namespace of its own, as a container may have, a process reads another
//! `CLOCK_MONOTONIC` than the kernel's programs do
//! ([`time_namespaces(7)`](https://man7.org/linux/man-pages/man7/time_namespaces.7.html)).

use std::fs;
use std::sync::OnceLock;

/// That of this process, which has it for life.
static OWN: OnceLock<Offset> = OnceLock::new();

/// What is added to the machine's `CLOCK_MONOTONIC`, ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Offset(i64);

impl Offset {
    /// This process's. Kernels without time namespaces have no such file, and it is none.
    pub(super) fn own() -> Self {
        *OWN.get_or_init(|| {
            let text = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
            Self::parse(&text).unwrap_or_default()
        })
    }

    /// A line a clock: its name, seconds, and nanoseconds that are never negative.
    fn parse(text: &str) -> Option<Self> {
        let of = |line: &str| {
            let mut words = line.split_whitespace();
            if words.next() != Some("monotonic") {
                return None;
            }
            let seconds: i64 = words.next()?.parse().ok()?;
            let nanos: i64 = words.next()?.parse().ok()?;
            seconds
                .checked_mul(1_000_000_000)?
                .checked_add(nanos)
                .map(Self)
        };
        text.lines().find_map(of)
    }

    /// The machine's clock, by what the process reads.
    pub(super) fn to_machine(self, own_ns: u64) -> u64 {
        own_ns.saturating_add_signed(self.0.saturating_neg())
    }

    /// What the process reads, by the machine's clock.
    pub(super) fn to_own(self, machine_ns: u64) -> u64 {
        machine_ns.saturating_add_signed(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_read_and_taken_off() {
        let text = "monotonic        -300   5\nboottime            0         0\n";
        let offset = Offset::parse(text).unwrap();
        assert_eq!(offset, Offset(-299_999_999_995));
        assert_eq!(offset.to_machine(7), 300_000_000_002);
        assert_eq!(offset.to_own(300_000_000_002), 7);
        let ahead = Offset::parse("boottime 9 9\nmonotonic 2 0\n").unwrap();
        assert_eq!(ahead.to_machine(3_000_000_000), 1_000_000_000);
        assert_eq!(Offset::parse(""), None);
        assert_eq!(Offset::parse("monotonic x 0"), None);
    }
}
