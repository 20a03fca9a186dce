//! One order of what was recorded, by time, and each event once.

use std::collections::BTreeMap;

use tracer_core::clock::Clock;
use tracer_core::event::Decoded;

use crate::programs::event_file::Recorded;

/// How far apart two events may be written that happened in the other order: of two
/// processors, the one that read its clock first may write second, as much later as
/// it was held up. Recordings that were joined in the wrong order are further apart, or
/// as short as that, and then are put in order here.
const WINDOW_NS: u64 = 5_000_000_000;
/// What may wait for its turn: more than a storm brings in that time.
const MAX_WAITING_EVENTS: usize = 1 << 20;
/// Clocks of two runs of one boot of one host differ by what its own was corrected by.
const SAME_CLOCK_NS: i128 = 1_000_000_000;

/// Why an event has no place in the order.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    #[error(
        "it is from {0:.0} s before what came before it: recordings were joined in the wrong order; give them as several files instead, which are put in order"
    )]
    Late(f64),
    #[error(
        "it was recorded by another clock than what came before it ({0:.0} s apart): what two hosts recorded, or one before and after it was restarted or its clock was set, is not one run; replay it on its own"
    )]
    OtherClock(f64),
}

/// Takes events in almost any order.
#[derive(Debug, Default)]
pub(super) struct EventOrder {
    waiting: BTreeMap<u64, Vec<Decoded>>,
    count: usize,
    latest_ns: u64,
    /// Nothing from before this can come any more.
    passed_ns: u64,
    clock: Option<Clock>,
    twice: u64,
}

impl EventOrder {
    /// Takes one.
    pub(super) fn push(&mut self, recorded: &Recorded) -> Result<(), OrderError> {
        let clock = *self.clock.get_or_insert(recorded.clock);
        let apart = offset_ns(&recorded.clock).saturating_sub(offset_ns(&clock));
        if apart.abs() > SAME_CLOCK_NS {
            return Err(OrderError::OtherClock(apart.unsigned_abs() as f64 / 1e9));
        }
        let at_ns = recorded.decoded.event.time_ns;
        let late_ns = self.latest_ns.saturating_sub(at_ns);
        // Also where nothing later has had its turn yet: whether a recording is taken depends on
        // it alone.
        if late_ns > WINDOW_NS || at_ns < self.passed_ns {
            return Err(OrderError::Late(late_ns as f64 / 1e9));
        }
        self.latest_ns = self.latest_ns.max(at_ns);
        let same = self.waiting.entry(at_ns).or_default();
        if same.contains(&recorded.decoded) {
            self.twice = self.twice.saturating_add(1);
        } else {
            same.push(recorded.decoded);
            self.count = self.count.saturating_add(1);
        }
        Ok(())
    }

    /// The next one that nothing can come before.
    pub(super) fn pop(&mut self) -> Option<Decoded> {
        let (at_ns, _) = self.waiting.first_key_value()?;
        let settled = self.latest_ns.saturating_sub(*at_ns) > WINDOW_NS;
        (settled || self.count > MAX_WAITING_EVENTS)
            .then(|| self.take())
            .flatten()
    }

    /// The next one, when nothing comes any more.
    pub(super) fn take(&mut self) -> Option<Decoded> {
        let mut first = self.waiting.first_entry()?;
        let next = (!first.get().is_empty()).then(|| first.get_mut().remove(0));
        self.passed_ns = *first.key();
        if first.get().is_empty() {
            first.remove();
        }
        self.count = self.count.saturating_sub(1);
        next
    }

    /// When the first one was, by both clocks.
    pub(super) fn clock(&self) -> Option<Clock> {
        self.clock
    }

    /// How many were there once more.
    pub(super) fn twice(&self) -> u64 {
        self.twice
    }
}

/// What one clock is ahead of the other.
fn offset_ns(clock: &Clock) -> i128 {
    let realtime_ns = clock.realtime.as_nanosecond();
    realtime_ns.saturating_sub(clock.monotonic_ns.into())
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::{Event, EventKind};

    use super::*;

    const S: u64 = 1_000_000_000;

    fn at(time_ns: u64, boot_s: i64) -> Recorded {
        let since = jiff::SignedDuration::from_nanos(time_ns.cast_signed());
        let realtime = jiff::Timestamp::from_second(boot_s).unwrap() + since;
        Recorded {
            decoded: Decoded {
                what: EventKind::ResetSent,
                kind: None,
                event: Event {
                    time_ns,
                    ..Event::default()
                },
            },
            clock: Clock {
                monotonic_ns: time_ns,
                realtime,
            },
        }
    }

    #[test]
    fn what_was_swapped_is_put_in_order_and_counts_once() {
        let mut order = EventOrder::default();
        let mut seen = Vec::new();
        for time_ns in [3 * S, 2 * S, 3 * S, 4 * S, 20 * S, 19 * S, 40 * S] {
            order.push(&at(time_ns, 1_000)).unwrap();
            seen.extend(std::iter::from_fn(|| order.pop()));
        }
        seen.extend(std::iter::from_fn(|| order.take()));
        let seen: Vec<u64> = seen.iter().map(|one| one.event.time_ns / S).collect();
        assert_eq!(seen, [2, 3, 4, 19, 20, 40]);
        assert_eq!(order.twice(), 1);
    }

    /// Given twice, a recording is taken or refused as it is once.
    #[test]
    fn what_comes_too_late_is_told_whatever_had_its_turn() {
        for before in [&[][..], &[14 * S], &[17 * S]] {
            let mut order = EventOrder::default();
            for time_ns in [&[10 * S][..], before, &[20 * S]].concat() {
                order.push(&at(time_ns, 1_000)).unwrap();
                while order.pop().is_some() {}
            }
            let late = order.push(&at(14 * S + 1, 1_000));
            assert!(matches!(late, Err(OrderError::Late(_))), "{before:?}");
            order.push(&at(15 * S, 1_000)).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_put_in_order_is_told() {
        let mut order = EventOrder::default();
        order.push(&at(100 * S, 1_000)).unwrap();
        order.push(&at(200 * S, 1_000)).unwrap();
        while order.pop().is_some() {}
        let late = order.push(&at(50 * S, 1_000)).unwrap_err().to_string();
        assert!(late.contains("150 s before"), "{late}");
        let other = order.push(&at(300 * S, 5_000)).unwrap_err().to_string();
        assert!(other.contains("4000 s apart"), "{other}");
    }
}
