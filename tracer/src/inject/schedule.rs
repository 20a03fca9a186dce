//! When a fault begins and ends within a run.

use std::time::Duration;

use tokio::time::Instant;
use tracer_core::report::fault::{FaultKind, FaultReport};

use crate::inject::{ActiveFault, FaultRequest, InjectError, PreparedFault};
use crate::kernel::clock::now_ns;

/// How often to look whether the guard lives.
const LOOK: Duration = Duration::from_millis(100);
/// How often the interface is looked at. That takes the kernel's lock of network devices.
const INTERFACE: Duration = Duration::from_secs(1);

/// A fault as part of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The fault.
    pub request: FaultRequest,
    /// From the start of counting to the start of the fault.
    pub after: Duration,
}

/// A plan that is being carried out.
#[derive(Debug)]
pub struct Schedule {
    name: String,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting {
        prepared: Box<PreparedFault>,
        at: Instant,
    },
    Active {
        fault: Box<ActiveFault>,
        until: Instant,
        /// When to look for the guard again.
        look: Instant,
        /// When to look at the interface again.
        interface: Instant,
    },
    Over(Option<Vec<FaultReport>>),
}

impl Schedule {
    /// The fault begins this long from now.
    #[must_use]
    pub fn new(prepared: PreparedFault, after: Duration) -> Self {
        Self {
            name: format!("{} on {}", prepared.faults(), prepared.interface().name),
            state: State::Waiting {
                prepared: Box::new(prepared),
                at: Instant::now() + after,
            },
        }
    }

    /// When something is next to be done; `None` when all is.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting { at, .. } => Some(*at),
            State::Active { until, look, .. } => Some(*look.min(until)),
            State::Over(_) => None,
        }
    }

    /// Has packets hit no longer, if that is due or asked for `now`; everything is
    /// undone at the next [`Self::advance`] or [`Self::finish`]. When the last packet
    /// could be hit, ns of `CLOCK_MONOTONIC`, is told once.
    pub fn cease(&mut self, now: bool) -> Option<u64> {
        match &mut self.state {
            State::Active { fault, until, .. } => {
                let is_over = now || *until <= Instant::now() || !fault.is_guarded();
                is_over.then(|| fault.cease()).flatten()
            }
            _ => None,
        }
    }

    /// Does what is due.
    ///
    /// # Errors
    /// If the fault cannot be made; then there is none.
    pub fn advance(&mut self) -> Result<(), InjectError> {
        self.state = match std::mem::replace(&mut self.state, State::Over(None)) {
            State::Waiting { prepared, at } if at <= Instant::now() => {
                let fault = Box::new(prepared.start()?);
                let left_ns = fault.until_ns().saturating_sub(now_ns());
                let until = Instant::now() + Duration::from_nanos(left_ns);
                State::Active {
                    fault,
                    until,
                    look: Instant::now() + LOOK,
                    interface: Instant::now() + INTERFACE,
                }
            }
            State::Active {
                mut fault,
                until,
                mut interface,
                ..
            } => {
                if until <= Instant::now() || !fault.is_guarded() {
                    self.state = State::Over(Some(fault.stop()));
                    return Ok(());
                }
                if interface <= Instant::now() {
                    fault.look();
                    interface = Instant::now() + INTERFACE;
                }
                State::Active {
                    fault,
                    until,
                    look: Instant::now() + LOOK,
                    interface,
                }
            }
            unchanged => unchanged,
        };
        Ok(())
    }

    /// Ends the fault if it is active; nothing if there never was one.
    #[must_use]
    pub fn finish(self) -> Vec<FaultReport> {
        match self.state {
            State::Waiting { .. } => Vec::new(),
            State::Active { fault, .. } => fault.stop(),
            State::Over(reports) => reports.unwrap_or_default(),
        }
    }

    /// Whether packets can be hit at the moment.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.state, State::Active { .. })
    }

    /// The state in a few words, for the live view.
    #[must_use]
    pub fn describe(&self) -> String {
        let at = match &self.state {
            State::Waiting { at, .. } => Some(*at),
            State::Active { until, .. } => Some(*until),
            State::Over(_) => None,
        };
        let left = at.map_or(Duration::ZERO, |at| {
            at.saturating_duration_since(Instant::now())
        });
        let seconds = left.as_secs_f64().ceil();
        match &self.state {
            State::Waiting { .. } => format!("{} begins in {seconds} s", self.name),
            State::Active { fault, .. } => {
                let counts = fault.counts().unwrap_or_default();
                let hits: Vec<String> = counts
                    .iter()
                    .map(|(kind, counts)| hits(*kind, counts.hit, Some(counts.seen)))
                    .collect();
                format!("{}: {}, ends in {seconds} s", self.name, hits.join("; "))
            }
            State::Over(Some(reports)) => {
                let hits: Vec<String> = reports
                    .iter()
                    .map(|report| hits(report.kind, report.hit, report.seen))
                    .collect();
                format!("{} is over: {}", self.name, hits.join("; "))
            }
            State::Over(None) => format!("{} could not be made", self.name),
        }
    }
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
