//! What a fault on an interface would meet, without making one.

use ipnet::IpNet;

use crate::inject::plan::offloads::{self, is_loopback};
use crate::inject::safety::hazards::{self, Hazards};
use crate::inject::safety::place::{self, FaultPlace};
use crate::inject::safety::{route, ssh};
use crate::inject::{Allow, InjectError, Interface, Needs, Peer, Refusal};

/// An interface, as a fault would find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Which.
    pub interface: Interface,
    /// Names of interfaces by which the peers are reached as well, where it was named
    /// in spite of them.
    pub others: Vec<String>,
    /// Offloads that a fault would switch off, and on again after it.
    pub switched_off: Vec<String>,
    /// Offloads that repair checksums and cannot be switched off: a fault is
    /// refused.
    pub fixed: Vec<String>,
    /// Why a fault toward the peers is refused.
    pub refusal: Option<Refusal>,
}

/// Surveys an interface: the named one, or that of the route to the peers, for a
/// fault that `corrupts` packets or one that does not. Changes nothing and needs no
/// privileges.
pub(crate) fn survey(
    interface: Option<&str>,
    peers: &[Peer],
    allow: Allow,
    corrupts: bool,
) -> Result<Survey, InjectError> {
    let FaultPlace { interface, others } = place::find(interface, peers)?;
    let nets: Vec<IpNet> = peers.iter().map(|peer| peer.net).collect();
    let features = interface.features()?;
    let there = Hazards {
        loopback: is_loopback(&features).then(|| interface.name.clone()),
        gateways: route::default_gateways().map_err(InjectError::Gateways)?,
        ssh_peer: ssh::peer(),
    };
    let needs = Needs {
        no_checksums: corrupts,
        no_segmentation: true,
        no_coalescing: false,
    };
    Ok(Survey {
        switched_off: offloads::to_switch_off(&features, needs),
        fixed: offloads::fixed_on(&features),
        refusal: hazards::check(&nets, &there, allow, corrupts).err(),
        interface,
        others,
    })
}
