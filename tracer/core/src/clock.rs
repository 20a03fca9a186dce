//! Two clocks: the kernel's events carry `CLOCK_MONOTONIC`, people read UTC.

use std::time::Duration;

use jiff::Timestamp;

/// One moment on both clocks, by which all others are converted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    /// `CLOCK_MONOTONIC`, ns.
    pub monotonic_ns: u64,
    /// The same moment.
    pub realtime: Timestamp,
}

impl Clock {
    /// A moment in UTC, to the microsecond.
    #[must_use]
    pub fn utc(&self, monotonic_ns: u64) -> String {
        let realtime = if monotonic_ns >= self.monotonic_ns {
            self.realtime
                .checked_add(Duration::from_nanos(monotonic_ns - self.monotonic_ns))
        } else {
            self.realtime
                .checked_sub(Duration::from_nanos(self.monotonic_ns - monotonic_ns))
        };
        format!("{:.6}", realtime.unwrap_or(self.realtime))
    }
}

/// The clock of a run, on which moments are also counted from its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunClock {
    pub(crate) clock: Clock,
    /// When counting began, ns of `CLOCK_MONOTONIC`.
    pub(crate) start_ns: u64,
}

impl RunClock {
    pub(crate) fn utc(&self, at_ns: u64) -> String {
        self.clock.utc(at_ns)
    }

    /// From the start to the end of an interval of the run, s.
    pub(crate) fn end_s(&self, at_ns: u64) -> f64 {
        at_ns.saturating_sub(self.start_ns) as f64 / 1e9
    }

    /// From the start to a moment that may have been before it, s.
    pub(crate) fn offset_s(&self, at_ns: u64) -> f64 {
        (at_ns as f64 - self.start_ns as f64) / 1e9
    }
}

/// Jiffies as milliseconds.
#[must_use]
pub fn jiffies_to_ms(jiffies: u32, jiffy_ns: u64) -> f64 {
    f64::from(jiffies) * jiffy_ns as f64 / 1e6
}
