//! What the kernel's routes say: through which interface a peer is reached,
//! and what the default gateways are.

use std::{io, net::IpAddr};

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteVia},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// What the kernel fills one answer with at most when it dumps a table
/// (`NLMSG_GOODSIZE`, and 32 KiB where the reader offers them).
const BUFFER: usize = 32 * 1024;

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
    ask(route, NLM_F_REQUEST, |answer| {
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
        ask(all, NLM_F_REQUEST | NLM_F_DUMP, |route| {
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

/// Sends one `RTM_GETROUTE` and gives every route of the answer to `each`. The
/// kernel answers within the call or not at all, so there is nothing to wait
/// for and no deadline.
fn ask(route: RouteMessage, flags: u16, mut each: impl FnMut(&RouteMessage)) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    let mut request = NetlinkMessage::new(
        header,
        NetlinkPayload::from(RouteNetlinkMessage::GetRoute(route)),
    );
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send(&bytes, 0)?;

    let mut buffer = vec![0; BUFFER];
    loop {
        let length = socket.recv(&mut &mut buffer[..], 0)?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            match message.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => {
                    each(&route);
                    if flags & NLM_F_DUMP == 0 {
                        return Ok(());
                    }
                }
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::Done(_) => return Ok(()),
                _ => {}
            }
            // Messages are aligned to four bytes; the last may lack its padding.
            let step = (message.header.length as usize).next_multiple_of(4).max(4);
            rest = rest.get(step..).unwrap_or_default();
        }
    }
}
