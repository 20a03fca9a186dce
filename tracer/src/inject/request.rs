//! From what was asked for to a fault that may be made.

use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tracer_ebpf::{Direction, MAX_PORTS};

use crate::inject::layout::{Found, Layout};
use crate::inject::origin::Origin;
use crate::inject::survey::survey;
use crate::inject::{
    ActiveFault, Allow, Assignment, Directions, EngineChoice, Faults, GuardCommand, Hook,
    InjectError, Interface, Note, Peer, Survey, offloads, program,
};
use crate::kernel::ethtool;
use crate::kernel::ethtool::Feature;
use crate::kernel::tc::{self, Handle};

/// A fault as the user asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRequest {
    /// What to do, and how often.
    pub faults: Faults,
    /// With what.
    pub engine: EngineChoice,
    /// Which way; [`None`] for what the faults suggest.
    pub direction: Option<Directions>,
    /// Where the random numbers begin, for the same faults in the same traffic.
    pub seed: Option<u64>,
    /// Whose packets. None is the whole interface, which has to be allowed.
    pub peers: Vec<Peer>,
    /// Only packets with one of these ports at either end; empty for all.
    pub ports: Vec<u16>,
    /// Where; [`None`] for the interface of the route to the peers (to the
    /// address as given, if a peer is a network).
    pub interface: Option<String>,
    /// The longest that the fault may last: it ends then even if
    /// [`ActiveFault::stop`] is never called.
    pub duration: Duration,
    /// Dangers that the user accepts.
    pub allow: Allow,
    /// Where the program is to hang; [`None`] for the best that this kernel has.
    pub hook: Option<Hook>,
    /// How to start the guard.
    pub guard: GuardCommand,
}

/// A fault that nothing speaks against. Nothing is changed yet.
#[derive(Debug)]
pub struct PreparedFault {
    pub(super) request: FaultRequest,
    pub(super) interface: Interface,
    /// By which the interface is found again.
    pub(super) origin: Origin,
    /// Names of interfaces by which peers are reached as well, and where no fault is.
    pub(super) others: Vec<String>,
    pub(super) assignment: Assignment,
    pub(super) layout: Layout,
    /// The interface as it was.
    pub(super) before: State,
}

/// What faults change of an interface.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub(super) features: Vec<Feature>,
    pub(super) found: Found,
}

impl State {
    /// As it is now.
    pub(super) fn read(interface: &Interface) -> Result<Self, InjectError> {
        Ok(Self {
            features: read_features(interface)?,
            found: Found::read(interface)?,
        })
    }
}

impl Found {
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
        let before = State::read(&interface)?;
        let hook = self.hook.unwrap_or_else(|| {
            if program::has_tcx(&interface.name) {
                Hook::Tcx
            } else {
                Hook::Clsact
            }
        });
        let layout = Layout::plan(
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
            layout,
            before,
        })
    }

    /// As they were typed: an address without the length of its prefix.
    pub(super) fn shown_peers(&self) -> Vec<String> {
        self.peers.iter().map(ToString::to_string).collect()
    }

    /// Without their zones, which packets do not have.
    pub(super) fn nets(&self) -> Vec<IpNet> {
        self.peers.iter().map(|peer| peer.net).collect()
    }
}

impl PreparedFault {
    /// Where the fault will be.
    #[must_use]
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// What it is to do.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.request.faults
    }

    /// How long the fault is to last.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.request.duration
    }

    /// Every change that will be made, a line each, and what undoes them.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let interface = &self.interface.name;
        let mut lines = self.layout.describe(interface, &self.assignment);
        let ways: Vec<&str> = self
            .assignment
            .direction()
            .ways()
            .iter()
            .map(|way| match way {
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
            ways.join(" and "),
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
    pub(super) fn note(&self) -> Note {
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
            hook: self.layout.hook.name().to_owned(),
            lasts_ms: u64::try_from(self.request.duration.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Makes the fault: from the return of this call packets are hit. On an
    /// error, everything is as it was.
    ///
    /// # Errors
    /// What the kernel or the guard has against it, and what has come to speak
    /// against it since it was prepared.
    pub fn start(self) -> Result<ActiveFault, InjectError> {
        // That may be an hour ago, and the interface another one by now.
        ActiveFault::start(self.request.prepare()?)
    }
}

fn at_most(what: &'static str, given: usize, most: usize) -> Result<(), InjectError> {
    if given > most {
        return Err(InjectError::TooMany { what, given, most });
    }
    Ok(())
}

pub(super) fn named(name: &str) -> Result<Interface, InjectError> {
    Interface::by_name(name).map_err(|error| InjectError::Interface {
        name: name.to_owned(),
        error,
    })
}

pub(super) fn read_features(interface: &Interface) -> Result<Vec<Feature>, InjectError> {
    ethtool::features(&interface.name).map_err(|error| InjectError::Offloads {
        doing: "read",
        interface: interface.name.clone(),
        error,
    })
}

/// `NETIF_F_LOOPBACK` is among the features of nothing but a loopback device
/// that cannot be switched out of it; its name would be a guess.
pub(super) fn is_loopback(features: &[Feature]) -> bool {
    features
        .iter()
        .any(|feature| feature.name == "loopback" && feature.active && !feature.available)
}
