//! Two clocks: the kernel's events carry `CLOCK_MONOTONIC`, people read UTC.

mod offset;

use std::time::Duration;

use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};

use crate::kernel::clock::offset::Offset;
use tracer_core::clock::Clock;

/// Reads both clocks, the one between two readings of the other.
#[must_use]
pub(crate) fn read() -> Clock {
    let before = now_ns();
    let realtime = Timestamp::now();
    let after = now_ns();
    Clock {
        monotonic_ns: before + (after - before) / 2,
        realtime,
    }
}

/// `CLOCK_MONOTONIC` of the machine, ns: the clock of `bpf_ktime_get_ns`, also in a time
/// namespace whose own is off.
#[must_use]
pub(crate) fn now_ns() -> u64 {
    Offset::own().to_machine(read_ns())
}

/// What `CLOCK_MONOTONIC` of this process shows at a moment of the machine's, ns: what its
/// timers go by.
#[must_use]
pub(crate) fn own_ns(machine_ns: u64) -> u64 {
    Offset::own().to_own(machine_ns)
}

fn read_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map(|time| {
            Duration::from(time)
                .as_nanos()
                .try_into()
                .unwrap_or(u64::MAX)
        })
        // The kernel knows this clock, so the call cannot fail.
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_before_and_after_are_converted() {
        let clock = Clock {
            monotonic_ns: 10_000_000_000,
            realtime: "2026-01-02T03:04:05Z".parse().unwrap(),
        };
        assert_eq!(clock.utc(10_000_000_000), "2026-01-02T03:04:05.000000Z");
        assert_eq!(clock.utc(11_500_001_000), "2026-01-02T03:04:06.500001Z");
        assert_eq!(clock.utc(9_999_999_000), "2026-01-02T03:04:04.999999Z");
    }
}
