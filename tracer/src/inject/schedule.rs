//! When a fault begins and ends within a run.

use std::time::Duration;

use ipnet::IpNet;
use tokio::time::Instant;

use super::{
    ActiveFault, Allow, FaultReport, FaultRequest, FaultSpec, GuardCommand, InjectError,
    PreparedFault,
};

/// A fault as part of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What to do, and how often.
    pub spec: FaultSpec,
    /// From the start of counting to the start of the fault.
    pub after: Duration,
    /// How long the fault lasts.
    pub lasts: Duration,
    /// Where; `None` for the route to the peers.
    pub interface: Option<String>,
    /// Dangers that the user accepts.
    pub allow: Allow,
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
    },
    Over(Option<Box<FaultReport>>),
}

impl Plan {
    /// Refuses what is dangerous or cannot work before anything begins; the
    /// calling thread must be in the namespace of the fault.
    ///
    /// # Errors
    /// The first thing that speaks against the fault.
    pub fn prepare(&self, peers: &[IpNet], ports: &[u16]) -> Result<PreparedFault, InjectError> {
        FaultRequest {
            spec: self.spec,
            peers: peers.to_vec(),
            ports: ports.to_vec(),
            interface: self.interface.clone(),
            duration: self.lasts,
            allow: self.allow,
            guard: GuardCommand::default(),
        }
        .prepare()
    }
}

impl Schedule {
    /// The fault begins this long from now.
    #[must_use]
    pub fn new(prepared: PreparedFault, after: Duration) -> Self {
        Self {
            name: format!("{} on {}", prepared.spec(), prepared.interface().name),
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
            State::Active { until, .. } => Some(*until),
            State::Over(_) => None,
        }
    }

    /// Does what is due.
    ///
    /// # Errors
    /// If the fault cannot be made; then there is none.
    pub fn advance(&mut self) -> Result<(), InjectError> {
        self.state = match std::mem::replace(&mut self.state, State::Over(None)) {
            State::Waiting { prepared, at } if at <= Instant::now() => {
                let lasts = prepared.duration();
                let fault = Box::new(prepared.start()?);
                let until = Instant::now() + lasts;
                State::Active { fault, until }
            }
            State::Active { fault, until } if until <= Instant::now() => {
                State::Over(Some(Box::new(fault.stop())))
            }
            unchanged => unchanged,
        };
        Ok(())
    }

    /// Ends the fault if it is active; `None` if there never was one.
    #[must_use]
    pub fn finish(self) -> Option<FaultReport> {
        match self.state {
            State::Waiting { .. } => None,
            State::Active { fault, .. } => Some(fault.stop()),
            State::Over(report) => report.map(|report| *report),
        }
    }

    /// The state in a few words, for the live view.
    #[must_use]
    pub fn describe(&self) -> String {
        let left = self.next().map_or(Duration::ZERO, |at| {
            at.saturating_duration_since(Instant::now())
        });
        let seconds = left.as_secs_f64().ceil();
        match &self.state {
            State::Waiting { .. } => format!("{} begins in {seconds} s", self.name),
            State::Active { fault, .. } => match fault.counters() {
                Some(totals) => format!(
                    "{}: {} of {} segments hit, ends in {seconds} s",
                    self.name, totals.hit, totals.seen
                ),
                None => format!("{}: active, ends in {seconds} s", self.name),
            },
            State::Over(Some(report)) => match (report.hit, report.seen) {
                (Some(hit), Some(seen)) => {
                    format!("{} is over: {hit} of {seen} segments were hit", self.name)
                }
                _ => format!("{} is over", self.name),
            },
            State::Over(None) => format!("{} could not be made", self.name),
        }
    }
}
