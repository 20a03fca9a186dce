//! What the kernel's routes say: through which interfaces a peer is reached,
//! and what the default gateways are.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::inject::Peer;
use crate::kernel::fib::{Family, Fib, Ways};
use crate::kernel::rtnetlink::exchange;

/// What decides where packets to some peers go, read when it is first asked for.
pub(crate) struct Routes {
    peers: Vec<IpNet>,
    read: HashMap<Family, Fib>,
}

impl Routes {
    pub(crate) fn toward(peers: &[Peer]) -> Self {
        Self {
            peers: peers.iter().map(|peer| peer.net).collect(),
            read: HashMap::new(),
        }
    }

    /// Every interface that packets to one of the peers may leave by, whatever their
    /// ports, marks and users. Errors are the kernel's: `ENETUNREACH` without a route.
    pub(crate) fn interfaces_to(&mut self, peer: IpNet) -> io::Result<Ways> {
        let (first, stays_here) = interface_to(peer.addr().to_canonical())?;
        if stays_here {
            return Ok(Ways {
                interfaces: [first].into(),
                by_policy: false,
            });
        }
        let fib = match self.read.entry(Family::of(peer)) {
            Entry::Occupied(read) => read.into_mut(),
            Entry::Vacant(place) => {
                let fib = Fib::toward(&self.peers, *place.key())?;
                place.insert(fib)
            }
        };
        let mut ways = fib.ways(peer);
        // By a redirect, say.
        ways.interfaces.insert(first);
        Ok(ways)
    }
}

/// The index of the interface that the kernel would choose for a packet to `address`
/// of which nothing else is known, and whether that is this host itself.
fn interface_to(address: IpAddr) -> io::Result<(u32, bool)> {
    let mut route = RouteMessage::default();
    (
        route.header.address_family,
        route.header.destination_prefix_length,
    ) = match address {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    route
        .attributes
        .push(RouteAttribute::Destination(address.into()));
    let mut interface = None;
    let mut stays_here = false;
    ask(route, 0, |answer| {
        stays_here = answer.header.kind == RouteType::Local;
        interface = answer
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                RouteAttribute::Oif(index) => Some(*index),
                _ => None,
            });
    })?;
    let none = || io::Error::other("the kernel's answer names no interface");
    Ok((interface.ok_or_else(none)?, stays_here))
}

/// Gateways of all default routes of both families, in any table.
pub(crate) fn default_gateways() -> io::Result<Vec<IpAddr>> {
    let mut gateways = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut all = RouteMessage::default();
        all.header.address_family = family;
        ask(all, NLM_F_DUMP, |route| {
            if route.header.destination_prefix_length == 0 {
                collect_gateways(&route.attributes, &mut gateways);
            }
        })?;
    }
    Ok(gateways)
}

fn collect_gateways(attributes: &[RouteAttribute], into: &mut Vec<IpAddr>) {
    for attribute in attributes {
        match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => into.push((*address).into()),
            RouteAttribute::Gateway(RouteAddress::Inet6(address)) => into.push((*address).into()),
            RouteAttribute::Via(RouteVia::Inet(address)) => into.push((*address).into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => into.push((*address).into()),
            RouteAttribute::MultiPath(hops) => {
                for hop in hops {
                    collect_gateways(&hop.attributes, into);
                }
            }
            _ => {}
        }
    }
}

/// Sends one `RTM_GETROUTE` and gives every route of the answer to `each`.
fn ask(route: RouteMessage, flags: u16, mut each: impl FnMut(&RouteMessage)) -> io::Result<()> {
    exchange(RouteNetlinkMessage::GetRoute(route), flags, |object| {
        if let RouteNetlinkMessage::NewRoute(route) = object {
            each(&route);
        }
    })
}
