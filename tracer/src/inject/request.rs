//! From what was asked for to a fault that may be made.

use std::time::Duration;

use ipnet::IpNet;
use tracer_ebpf::MAX_PORTS;

use super::{
    ActiveFault, Allow, FaultSpec, GuardCommand, InjectError, Interface, Survey, engine,
    ethtool::{self, Feature},
    route,
    survey::survey,
};

/// A fault as the user asks for it.
#[derive(Clone, Debug)]
pub struct FaultRequest {
    /// What to do, and how often.
    pub spec: FaultSpec,
    /// Whose packets: destinations, at least one.
    pub peers: Vec<IpNet>,
    /// Only segments with one of these ports at either end; empty for all.
    pub ports: Vec<u16>,
    /// Where; [`None`] for the interface of the route to the peers (to the
    /// address as given, if a peer is a network).
    pub interface: Option<String>,
    /// The longest that the fault may last: it ends then even if
    /// [`ActiveFault::stop`] is never called.
    pub duration: Duration,
    /// Dangers that the user accepts.
    pub allow: Allow,
    /// How to start the guard.
    pub guard: GuardCommand,
}

/// A fault that nothing speaks against. Nothing is changed yet.
#[derive(Debug)]
pub struct PreparedFault {
    pub(super) request: FaultRequest,
    pub(super) interface: Interface,
}

impl FaultRequest {
    /// Finds the interface and refuses what is dangerous or cannot work.
    /// Changes nothing.
    pub fn prepare(self) -> Result<PreparedFault, InjectError> {
        if self.peers.is_empty() {
            return Err(InjectError::NoPeer);
        }
        at_most("peers", self.peers.len(), engine::MAX_PEERS)?;
        at_most("ports", self.ports.len(), MAX_PORTS)?;
        let Survey {
            interface,
            fixed,
            refusal,
            ..
        } = survey(self.interface.as_deref(), &self.peers, self.allow)?;
        if let Some(refusal) = refusal {
            return Err(refusal.into());
        }
        if !fixed.is_empty() {
            return Err(InjectError::FixedOffloads {
                interface: interface.name,
                features: fixed,
            });
        }
        Ok(PreparedFault {
            request: self,
            interface,
        })
    }
}

impl PreparedFault {
    /// Where the fault will be.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// What it is to do.
    pub fn spec(&self) -> FaultSpec {
        self.request.spec
    }

    /// How long the fault is to last.
    pub fn duration(&self) -> Duration {
        self.request.duration
    }

    /// Makes the fault: from the return of this call packets are hit. On an
    /// error, everything is as it was.
    pub fn start(self) -> Result<ActiveFault, InjectError> {
        ActiveFault::start(self)
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

pub(super) fn routed(peers: &[IpNet]) -> Result<Interface, InjectError> {
    let mut found: Option<Interface> = None;
    for peer in peers {
        let interface = route_to(*peer)?;
        match &found {
            Some(first) if *first != interface => {
                return Err(InjectError::TwoInterfaces {
                    first: first.name.clone(),
                    second: interface.name,
                });
            }
            _ => found = Some(interface),
        }
    }
    found.ok_or(InjectError::NoPeer)
}

fn route_to(peer: IpNet) -> Result<Interface, InjectError> {
    let address = peer.addr().to_canonical();
    if address.is_unspecified() {
        // A route to "any" is one to this host.
        return Err(InjectError::NoInterface {
            peer: peer.to_string(),
        });
    }
    route::interface_to(address)
        .and_then(Interface::by_index)
        .map_err(|error| InjectError::Route {
            peer: peer.to_string(),
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
