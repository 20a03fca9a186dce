//! A route: by which interfaces packets to a network leave.

use std::io;

use ipnet::IpNet;
use netlink_packet_core::NLM_F_DUMP;

use crate::kernel::attributes::{NETLINK_HEADER, attributes, word};
use crate::kernel::fib::rule::net;
use crate::kernel::rtnetlink::exchange_unknown;

const RTM_GETROUTE: u16 = 26;
/// `struct rtmsg`.
const HEADER: usize = 12;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_NH_ID: u16 = 30;
const RTN_UNICAST: u8 = 1;
const RTN_BLACKHOLE: u8 = 6;
const RTN_UNREACHABLE: u8 = 7;
const RTN_PROHIBIT: u8 = 8;
const RTN_THROW: u8 = 9;
const RTNH_F_DEAD: u8 = 1;
/// `struct rtnexthop`.
const HOP: usize = 8;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) table: u32,
    pub(super) to: IpNet,
    /// The metric: of routes to the same network, the lowest is taken.
    pub(super) priority: u32,
    /// Whether it is for some packets alone: by their source or type of service.
    pub(super) special: bool,
    pub(super) fate: RouteAction,
    /// The object that has its next hops.
    pub(super) nexthop: Option<u32>,
    /// Indices of its interfaces, but for those of the object.
    pub(super) interfaces: Vec<u32>,
}

/// What becomes of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RouteAction {
    /// They leave.
    Forward,
    /// The next rule is asked.
    Throw,
    /// They go nowhere.
    Nowhere,
    /// They stay here, or go to many: nothing for a peer.
    Other,
}

/// What a table says of a peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TableLookup {
    pub(super) interfaces: Vec<u32>,
    pub(super) outcome: Best,
}

/// Whether it is the last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Best {
    /// It is.
    Final,
    /// It has none, or not for all: the next rule is asked.
    Open,
}

/// Every route of the family, in every table, that one of the peers has to do with: a
/// router has a million.
pub(super) fn all(family: u8, peers: &[IpNet]) -> io::Result<Vec<Route>> {
    let mut header = [0; HEADER];
    header[0] = family;
    let mut routes = Vec::new();
    exchange_unknown(RTM_GETROUTE, NLM_F_DUMP, &header, |bytes| {
        let route = Route::parse(bytes)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "half a route"))?;
        if route.fate != RouteAction::Other && peers.iter().any(|peer| route.concerns(*peer)) {
            routes.push(route);
        }
        Ok(())
    })?;
    Ok(routes)
}

/// What the candidates, all of one table, say of a peer: the longest prefix that
/// covers it, and each that covers a part of it.
pub(super) fn best<'a>(
    candidates: impl Iterator<Item = &'a Route>,
    peer: IpNet,
    suppressed: Option<u8>,
) -> TableLookup {
    let (covering, parts): (Vec<&Route>, Vec<&Route>) = candidates
        .filter(|route| route.concerns(peer))
        .partition(|route| route.to.contains(&peer));
    let mut answer = TableLookup {
        interfaces: Vec::new(),
        outcome: Best::Open,
    };
    // From the longest on, until one is for every packet.
    let mut lengths: Vec<u8> = covering.iter().map(|route| route.to.prefix_len()).collect();
    lengths.sort_unstable();
    lengths.dedup();
    for length in lengths.into_iter().rev() {
        if suppressed.is_some_and(|most| length <= most) {
            break;
        }
        let same = covering.iter().filter(|it| it.to.prefix_len() == length);
        let plain = same.clone().filter(|it| !it.special);
        let lowest = plain.clone().map(|it| it.priority).min();
        answer.take(same.filter(|it| it.special));
        if let Some(lowest) = lowest {
            let taken = plain.filter(|it| it.priority == lowest);
            let thrown = taken.clone().any(|it| it.fate == RouteAction::Throw);
            answer.take(taken);
            if !thrown {
                answer.outcome = Best::Final;
            }
            break;
        }
    }
    answer.take(parts.iter());
    answer
}

impl TableLookup {
    fn take<'a>(&mut self, routes: impl Iterator<Item = &'a &'a Route>) {
        for route in routes {
            self.interfaces.extend(&route.interfaces);
        }
    }
}

impl Route {
    /// Whether it is for any packet to the peer.
    fn concerns(&self, peer: IpNet) -> bool {
        self.to.contains(&peer) || peer.contains(&self.to)
    }

    /// From one whole message; [`None`] if that is not long enough.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let header = message.get(NETLINK_HEADER..)?;
        let byte = |at: usize| header.get(at).copied();
        let (family, length, table) = (byte(0)?, byte(1)?, byte(4)?);
        let everything = match i32::from(family) {
            libc::AF_INET => net(family, &[0; 4], 0)?,
            _ => net(family, &[0; 16], 0)?,
        };
        let mut route = Self {
            table: table.into(),
            to: everything,
            priority: 0,
            special: byte(2)? != 0 || byte(3)? != 0,
            fate: match byte(7)? {
                RTN_UNICAST => RouteAction::Forward,
                RTN_THROW => RouteAction::Throw,
                RTN_BLACKHOLE | RTN_UNREACHABLE | RTN_PROHIBIT => RouteAction::Nowhere,
                _ => RouteAction::Other,
            },
            nexthop: None,
            interfaces: Vec::new(),
        };
        for attribute in attributes(header.get(HEADER..)?) {
            let value = attribute.value();
            match attribute.kind() {
                RTA_DST => route.to = net(family, value, length)?,
                RTA_OIF => route.interfaces.push(word(value)?),
                RTA_PRIORITY => route.priority = word(value)?,
                RTA_MULTIPATH => route.interfaces.extend(hops(value)),
                RTA_TABLE => route.table = word(value)?,
                RTA_NH_ID => route.nexthop = Some(word(value)?),
                _ => {}
            }
        }
        // An IPv6 route that refuses names the loopback.
        if route.fate != RouteAction::Forward {
            route.interfaces.clear();
        }
        Some(route)
    }
}

/// The interfaces of next hops that are alive.
fn hops(mut bytes: &[u8]) -> Vec<u32> {
    let mut interfaces = Vec::new();
    while let Some(length) = bytes.first_chunk().copied().map(u16::from_ne_bytes) {
        let hop = bytes.get(..HOP);
        if let Some((flags, index)) = hop.and_then(|hop| Some((*hop.get(2)?, word(hop.get(4..)?)?)))
            && flags & RTNH_F_DEAD == 0
        {
            interfaces.push(index);
        }
        let next = usize::from(length).next_multiple_of(4).max(HOP);
        bytes = bytes.get(next..).unwrap_or_default();
    }
    interfaces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::attributes::attribute;

    #[test]
    fn two_next_hops_of_which_one_may_be_dead() {
        let hop = |flags: u8, index: u32| {
            let more = attribute(5, &[10, 0, 0, 1]);
            let length = (HOP + more.len()) as u16;
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.extend([flags, 0]);
            bytes.extend(index.to_ne_bytes());
            bytes.extend(more);
            bytes
        };
        let mut bytes = vec![0; NETLINK_HEADER];
        bytes.extend([
            libc::AF_INET as u8,
            24,
            0,
            0,
            254,
            3,
            0,
            RTN_UNICAST,
            0,
            0,
            0,
            0,
        ]);
        bytes.extend(attribute(RTA_DST, &[10, 9, 0, 0]));
        bytes.extend(attribute(RTA_TABLE, &1000_u32.to_ne_bytes()));
        bytes.extend(attribute(RTA_NH_ID, &5_u32.to_ne_bytes()));
        bytes.extend(attribute(
            RTA_MULTIPATH,
            &[hop(0, 2), hop(RTNH_F_DEAD, 3), hop(0, 4)].concat(),
        ));
        let route = Route::parse(&bytes).unwrap();
        assert_eq!(route.to.to_string(), "10.9.0.0/24");
        assert_eq!((route.table, route.nexthop), (1000, Some(5)));
        assert_eq!(route.interfaces, [2, 4]);
        assert_eq!(Route::parse(&bytes[..20]), None);
    }

    #[test]
    fn half_a_next_hop_is_none_and_ends() {
        for bytes in [&[][..], &[8], &[8, 0, 0], &[0, 0, 0, 0, 1]] {
            assert_eq!(hops(bytes), [0; 0]);
        }
        assert_eq!(
            hops(&[0, 0, 0, 0, 1, 0, 0, 0]),
            [u32::from_ne_bytes([1, 0, 0, 0])]
        );
    }
}
