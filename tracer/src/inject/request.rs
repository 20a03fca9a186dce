//! A fault as it is asked for.

use std::time::Duration;

use ipnet::IpNet;

use crate::inject::guard::GuardCommand;
use crate::inject::{Allow, Directions, EngineChoice, Faults, Hook, Peer};

/// A fault as the user asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRequest {
    /// What to do, and how often.
    pub faults: Faults,
    /// With what.
    pub engine: EngineChoice,
    /// Which direction; [`None`] for what the faults suggest.
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
    /// [`stop`](crate::inject::ActiveFault::stop) is never called.
    pub duration: Duration,
    /// Dangers that the user accepts.
    pub allow: Allow,
    /// Where the program is to hang; [`None`] for the best that this kernel has.
    pub hook: Option<Hook>,
    /// How to start the guard.
    pub guard: GuardCommand,
}

impl FaultRequest {
    /// As they were typed: an address without the length of its prefix.
    pub(crate) fn shown_peers(&self) -> Vec<String> {
        self.peers.iter().map(ToString::to_string).collect()
    }

    /// Without their zones, which packets do not have.
    pub(crate) fn nets(&self) -> Vec<IpNet> {
        self.peers.iter().map(|peer| peer.net).collect()
    }
}
