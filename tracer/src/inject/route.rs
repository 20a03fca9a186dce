//! What the kernel's routes say: through which interface a peer is reached,
//! and what the default gateways are.

use std::{io, net::IpAddr};

use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteVia},
};

use crate::kernel::rtnetlink::exchange;

/// The index of the interface that packets to `address` leave by. Errors are
/// the kernel's: `ENETUNREACH` without a route.
pub(super) fn interface_to(address: IpAddr) -> io::Result<u32> {
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
    ask(route, 0, |answer| {
        interface = answer
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                RouteAttribute::Oif(index) => Some(*index),
                _ => None,
            });
    })?;
    interface.ok_or_else(|| io::Error::other("the kernel's answer names no interface"))
}

/// Gateways of all default routes of both families, in any table.
pub(super) fn default_gateways() -> io::Result<Vec<IpAddr>> {
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
