//! On which interface a fault toward some peers is made.

use crate::inject::safety::route::Routes;
use crate::inject::{InjectError, Interface, Peer};

/// One interface, and what a fault there leaves alone.
#[derive(Debug)]
pub(crate) struct FaultPlace {
    pub(crate) interface: Interface,
    /// Names of interfaces by which the peers are reached as well.
    pub(crate) others: Vec<String>,
}

/// The named one, or the only one by which all peers are reached.
pub(crate) fn find(name: Option<&str>, peers: &[Peer]) -> Result<FaultPlace, InjectError> {
    match name {
        Some(name) => by_name(name, peers),
        None => routed(peers),
    }
}

fn by_name(name: &str, peers: &[Peer]) -> Result<FaultPlace, InjectError> {
    let interface = Interface::named(name)?;
    let mut routes = Routes::toward(peers);
    let mut others = Vec::new();
    for peer in peers {
        if let Some(zone) = &peer.zone {
            let zoned = zoned(peer, zone)?;
            if zoned != interface {
                return Err(InjectError::OtherZone {
                    peer: peer.to_string(),
                    zone: zoned.name,
                    interface: interface.name,
                });
            }
            continue;
        }
        // Who names the interface may know of a path that the routes do not show.
        let Ok((interfaces, _)) = interfaces_to(&mut routes, peer) else {
            continue;
        };
        if interfaces.contains(&interface) {
            others.extend(interfaces.into_iter().filter(|one| *one != interface));
        }
    }
    let mut others: Vec<String> = others.into_iter().map(|other| other.name).collect();
    others.sort();
    others.dedup();
    Ok(FaultPlace { interface, others })
}

fn routed(peers: &[Peer]) -> Result<FaultPlace, InjectError> {
    let mut routes = Routes::toward(peers);
    let mut found: Option<Interface> = None;
    for peer in peers {
        let interface = only_interface_to(&mut routes, peer)?;
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
    Ok(FaultPlace {
        interface: found.ok_or(InjectError::NoPeer)?,
        others: Vec::new(),
    })
}

fn only_interface_to(routes: &mut Routes, peer: &Peer) -> Result<Interface, InjectError> {
    if let Some(zone) = &peer.zone {
        return zoned(peer, zone);
    }
    let (mut found, by_policy) = interfaces_to(routes, peer)?;
    if found.len() == 1
        && let Some(interface) = found.pop()
    {
        return Ok(interface);
    }
    let interfaces = found.into_iter().map(|one| one.name).collect();
    let peer_is = peer.to_string();
    Err(match peer.is_link_local() {
        true => InjectError::NoZone {
            peer: peer_is,
            interfaces,
        },
        false => InjectError::SeveralWays {
            peer: peer_is,
            interfaces,
            by_policy,
        },
    })
}

fn interfaces_to(routes: &mut Routes, peer: &Peer) -> Result<(Vec<Interface>, bool), InjectError> {
    if peer.net.addr().to_canonical().is_unspecified() {
        // A route to "any" is one to this host.
        return Err(InjectError::NoInterface {
            peer: peer.net.to_string(),
        });
    }
    let mut found = || -> std::io::Result<(Vec<Interface>, bool)> {
        let ways = routes.interfaces_to(peer.net)?;
        let interfaces = ways.interfaces.into_iter().map(Interface::by_index);
        Ok((interfaces.collect::<Result<_, _>>()?, ways.by_policy))
    };
    found().map_err(|error| InjectError::Route {
        peer: peer.net.to_string(),
        error,
    })
}

/// By its name, or else by its index.
fn zoned(peer: &Peer, zone: &str) -> Result<Interface, InjectError> {
    Interface::by_name(zone)
        .or_else(|error| match zone.parse() {
            Ok(index) => Interface::by_index(index),
            Err(_) => Err(error),
        })
        .map_err(|error| InjectError::Zone {
            peer: peer.to_string(),
            zone: zone.to_owned(),
            error,
        })
}
