//! What a fault on an interface would meet, without making one.

use ipnet::IpNet;

use super::{
    Allow, InjectError, Interface, Refusal, offloads, refusal,
    request::{is_loopback, named, read_features, routed},
    route, ssh,
};

/// An interface, as a fault would find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Which.
    pub interface: Interface,
    /// Offloads that a fault would switch off, and on again after it.
    pub switched_off: Vec<String>,
    /// Offloads that repair the damage and cannot be switched off: a fault is
    /// refused.
    pub fixed: Vec<String>,
    /// Why a fault toward the peers is refused.
    pub refusal: Option<Refusal>,
}

/// Looks at an interface: the named one, or that of the route to the peers.
/// Changes nothing and needs no privileges.
///
/// # Errors
/// If there is no such interface, or not one for all peers, or the kernel does not
/// answer.
pub fn survey(
    interface: Option<&str>,
    peers: &[IpNet],
    allow: Allow,
) -> Result<Survey, InjectError> {
    let interface = match interface {
        Some(name) => named(name)?,
        None => routed(peers)?,
    };
    let features = read_features(&interface)?;
    let surroundings = refusal::Surroundings {
        loopback: is_loopback(&features).then(|| interface.name.clone()),
        gateways: route::default_gateways().map_err(InjectError::Gateways)?,
        ssh_peer: ssh::peer(),
    };
    Ok(Survey {
        switched_off: offloads::to_switch_off(&features),
        fixed: offloads::fixed_on(&features),
        refusal: refusal::check(peers, &surroundings, allow).err(),
        interface,
    })
}
