//! When a fault begins and ends within a run.

use std::time::Duration;

use tokio::time::Instant;
use tracer_core::report::fault::{FaultKind, FaultReport};

use crate::inject::{ActiveFault, FaultRequest, InjectError, PreparedFault};
use crate::kernel::clock::now_ns;

/// How often to ask whether the guard lives.
const GUARD_INTERVAL: Duration = Duration::from_millis(100);
/// How often the interface is checked. That takes the kernel's lock of network devices.
const INTERFACE_INTERVAL: Duration = Duration::from_secs(1);

/// A hundred years: what is further away than a clock can say does not come.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A fault as part of a run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ScheduledFault {
    /// The fault.
    pub request: FaultRequest,
    /// From the start of counting to the start of the fault.
    pub after: Duration,
}

/// A plan that is being carried out.
#[derive(Debug)]
pub(crate) struct Schedule {
    name: String,
    state: ScheduleState,
}

#[derive(Debug)]
enum ScheduleState {
    Waiting {
        prepared: Box<PreparedFault>,
        at: Instant,
    },
    Active {
        fault: Box<ActiveFault>,
        until: Instant,
        /// When to ask again whether the guard lives.
        poll: Instant,
        /// When to ask for the interface again.
        interface: Instant,
    },
    Over(Option<Vec<FaultReport>>),
}

impl Schedule {
    /// The fault begins this long from now.
    pub(crate) fn new(prepared: PreparedFault, after: Duration) -> Self {
        Self {
            name: format!("{} on {}", prepared.faults(), prepared.interface().name),
            state: ScheduleState::Waiting {
                prepared: Box::new(prepared),
                at: later(after),
            },
        }
    }

    /// When something is next to be done; `None` when all is.
    pub(crate) fn next(&self) -> Option<Instant> {
        match &self.state {
            ScheduleState::Waiting { at, .. } => Some(*at),
            ScheduleState::Active { until, poll, .. } => Some(*poll.min(until)),
            ScheduleState::Over(_) => None,
        }
    }

    /// Has packets hit no longer, if that is due or asked for `now`; everything is
    /// undone at the next [`Self::advance`] or [`Self::finish`]. When the last packet
    /// could be hit, ns of `CLOCK_MONOTONIC`, is returned once.
    pub(crate) fn cease(&mut self, now: bool) -> Option<u64> {
        match &mut self.state {
            ScheduleState::Active { fault, until, .. } => {
                let is_over = now || *until <= Instant::now() || !fault.is_guarded();
                is_over.then(|| fault.cease()).flatten()
            }
            _ => None,
        }
    }

    /// Does what is due.
    pub(crate) fn advance(&mut self) -> Result<(), InjectError> {
        self.state = match std::mem::replace(&mut self.state, ScheduleState::Over(None)) {
            ScheduleState::Waiting { prepared, at } if at <= Instant::now() => {
                let fault = Box::new(prepared.start()?);
                let left_ns = fault.until_ns().saturating_sub(now_ns());
                let until = Instant::now() + Duration::from_nanos(left_ns);
                ScheduleState::Active {
                    fault,
                    until,
                    poll: Instant::now() + GUARD_INTERVAL,
                    interface: Instant::now() + INTERFACE_INTERVAL,
                }
            }
            ScheduleState::Active {
                mut fault,
                until,
                mut interface,
                ..
            } => {
                if until <= Instant::now() || !fault.is_guarded() {
                    self.state = ScheduleState::Over(Some(fault.stop()));
                    return Ok(());
                }
                if interface <= Instant::now() {
                    fault.poll();
                    interface = Instant::now() + INTERFACE_INTERVAL;
                }
                ScheduleState::Active {
                    fault,
                    until,
                    poll: Instant::now() + GUARD_INTERVAL,
                    interface,
                }
            }
            unchanged => unchanged,
        };
        Ok(())
    }

    /// Ends the fault if it is active; nothing if there never was one.
    #[must_use]
    pub(crate) fn finish(self) -> Vec<FaultReport> {
        match self.state {
            ScheduleState::Waiting { .. } => Vec::new(),
            ScheduleState::Active { fault, .. } => fault.stop(),
            ScheduleState::Over(reports) => reports.unwrap_or_default(),
        }
    }

    /// Whether packets can be hit at the moment.
    pub(crate) fn is_active(&self) -> bool {
        matches!(self.state, ScheduleState::Active { .. })
    }

    /// The state in a few words, for the live view.
    pub(crate) fn describe(&self) -> String {
        let at = match &self.state {
            ScheduleState::Waiting { at, .. } => Some(*at),
            ScheduleState::Active { until, .. } => Some(*until),
            ScheduleState::Over(_) => None,
        };
        let left = at.map_or(Duration::ZERO, |at| {
            at.saturating_duration_since(Instant::now())
        });
        let seconds = left.as_secs_f64().ceil();
        match &self.state {
            ScheduleState::Waiting { .. } => format!("{} begins in {seconds} s", self.name),
            ScheduleState::Active { fault, .. } => {
                let counts = fault.counts().unwrap_or_default();
                let hits: Vec<String> = counts
                    .iter()
                    .map(|(kind, counts)| hits(*kind, counts.hit, Some(counts.seen)))
                    .collect();
                format!("{}: {}, ends in {seconds} s", self.name, hits.join("; "))
            }
            ScheduleState::Over(Some(reports)) => {
                let hits: Vec<String> = reports
                    .iter()
                    .map(|report| hits(report.kind, report.hit, report.seen))
                    .collect();
                format!("{} is over: {}", self.name, hits.join("; "))
            }
            ScheduleState::Over(None) => format!("{} could not be made", self.name),
        }
    }
}

/// So long from now, or as late as a clock can say.
fn later(after: Duration) -> Instant {
    Instant::now() + after.min(FOREVER)
}

fn hits(kind: FaultKind, hit: Option<u64>, seen: Option<u64>) -> String {
    let number = |value: Option<u64>| value.map_or("?".to_owned(), |value| value.to_string());
    format!(
        "{} {} of {} segments",
        kind.name(),
        number(hit),
        number(seen)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_may_be_further_away_than_a_clock_can_say() {
        assert!(later(Duration::MAX) > later(Duration::from_secs(86_400)));
    }
}
