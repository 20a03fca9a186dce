//! A fault that may be made: the interface is found, and what is dangerous is refused.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tracer_ebpf::{Direction, MAX_PORTS};

use crate::inject::engine::fault_plan::{FaultPlan, Queues};
use crate::inject::engine::program;
use crate::inject::error::InjectError;
use crate::inject::guard::origin::Origin;
use crate::inject::plan::offloads;
use crate::inject::{Assignment, FaultRequest, Faults, Hook, Interface, Note, Survey, survey};
use crate::kernel::ethtool::Feature;
use crate::kernel::tc::{self, Handle};

/// A fault that nothing speaks against. Nothing is changed yet.
#[derive(Debug)]
pub struct PreparedFault {
    pub(crate) request: FaultRequest,
    pub(crate) interface: Interface,
    /// By which the interface is found again.
    pub(crate) origin: Origin,
    /// Names of interfaces by which peers are reached as well, and where no fault is.
    pub(crate) others: Vec<String>,
    pub(crate) assignment: Assignment,
    pub(crate) plan: FaultPlan,
    /// The interface as it was.
    pub(crate) before: InterfaceState,
}

/// What faults change of an interface.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct InterfaceState {
    pub(crate) features: Vec<Feature>,
    pub(crate) found: Queues,
}

impl InterfaceState {
    /// As it is now.
    pub(crate) fn read(interface: &Interface) -> Result<Self, InjectError> {
        Ok(Self {
            features: interface.features()?,
            found: Queues::read(interface)?,
        })
    }
}

impl Queues {
    fn read(interface: &Interface) -> Result<Self, InjectError> {
        let read = || -> std::io::Result<Self> {
            let mut qdiscs = tc::qdiscs(interface.index)?;
            // What they have done meanwhile is no difference.
            for qdisc in &mut qdiscs {
                qdisc.stats = None;
            }
            let mut filters = tc::filters(interface.index, Handle::EGRESS)?;
            filters.extend(tc::filters(interface.index, Handle::INGRESS)?);
            for filter in &mut filters {
                filter.stats = None;
            }
            Ok(Self { qdiscs, filters })
        };
        read().map_err(|error| InjectError::Queues {
            interface: interface.name.clone(),
            error,
        })
    }
}

impl FaultRequest {
    /// Finds the interface and refuses what is dangerous or cannot work.
    /// Changes nothing.
    ///
    /// # Errors
    /// The first thing that speaks against the fault.
    pub fn prepare(mut self) -> Result<PreparedFault, InjectError> {
        if self.peers.is_empty() {
            if !self.allow.whole_interface || self.interface.is_none() {
                return Err(InjectError::NoPeer);
            }
            self.peers = [Ipv4Net::default().into(), Ipv6Net::default().into()]
                .map(|net: IpNet| net.into())
                .into();
        }
        at_most("peers", self.peers.len(), program::MAX_PEERS)?;
        at_most("ports", self.ports.len(), MAX_PORTS)?;
        let assignment = Assignment::new(&self.faults, self.engine, self.direction)?;
        let needs = assignment.needs();
        let Survey {
            interface,
            others,
            fixed,
            refusal,
            ..
        } = survey(
            self.interface.as_deref(),
            &self.peers,
            self.allow,
            needs.no_checksums,
        )?;
        if let Some(refusal) = refusal {
            return Err(refusal.into());
        }
        if needs.no_checksums && !fixed.is_empty() {
            return Err(InjectError::FixedOffloads {
                interface: interface.name,
                features: fixed,
            });
        }
        let origin = Origin::of(&interface)?;
        let before = InterfaceState::read(&interface)?;
        let hook = self.hook.unwrap_or_else(|| {
            if program::has_tcx(&interface.name) {
                Hook::Tcx
            } else {
                Hook::Clsact
            }
        });
        let plan = FaultPlan::decide(
            &interface,
            &assignment,
            self.seed,
            hook,
            &offloads::to_switch_off(&before.features, needs),
            &before.found,
        )?;
        Ok(PreparedFault {
            request: self,
            interface,
            origin,
            others,
            assignment,
            plan,
            before,
        })
    }
}

impl PreparedFault {
    /// Where the fault will be.
    #[must_use]
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// What it is to do.
    pub(crate) fn faults(&self) -> &Faults {
        &self.request.faults
    }

    /// Every change that will be made, a line each, and what undoes them.
    pub(crate) fn describe(&self) -> Vec<String> {
        let interface = &self.interface.name;
        let mut lines = self.plan.describe(interface, &self.assignment);
        let sides: Vec<&str> = self
            .assignment
            .direction()
            .each()
            .iter()
            .map(|direction| match direction {
                Direction::Egress => "to",
                Direction::Ingress => "from",
            })
            .collect();
        let ports = match &self.request.ports[..] {
            [] => String::new(),
            ports => format!(
                ", port {}",
                ports
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(" or ")
            ),
        };
        lines.push(format!(
            "{} for packets {} {}{ports}, for {:?}",
            self.request.faults,
            sides.join(" and "),
            self.request.shown_peers().join(", "),
            self.request.duration
        ));
        if !self.others.is_empty() {
            lines.push(format!(
                "left alone: packets that take {} instead of {interface}",
                self.others.join(" or ")
            ));
        }
        lines
    }

    /// What others may know of it.
    pub(crate) fn note(&self) -> Note {
        Note {
            pid: std::process::id(),
            faults: self
                .request
                .faults
                .iter()
                .map(ToString::to_string)
                .collect(),
            peers: self.request.shown_peers(),
            ports: self.request.ports.clone(),
            direction: self.assignment.direction(),
            hook: self.plan.hook.name().to_owned(),
            lasts_ms: u64::try_from(self.request.duration.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

fn at_most(what: &'static str, given: usize, most: usize) -> Result<(), InjectError> {
    if given > most {
        return Err(InjectError::TooMany { what, given, most });
    }
    Ok(())
}
