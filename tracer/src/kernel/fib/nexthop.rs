//! Next hops that are objects of their own (`ip nexthop`, Linux 5.3), and groups of
//! them.

use std::collections::HashMap;
use std::io;

use netlink_packet_core::NLM_F_DUMP;

use crate::kernel::attributes::{NETLINK_HEADER, attributes, word};
use crate::kernel::rtnetlink::exchange_unknown;

const RTM_GETNEXTHOP: u16 = 106;
/// `struct nhmsg`.
const HEADER: usize = 8;
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_OIF: u16 = 5;
/// `struct nexthop_grp`.
const MEMBER: usize = 8;

/// All of them, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Nexthops(HashMap<u32, Nexthop>);

/// One of them: an interface, or the numbers of others.
#[derive(Debug, Default, PartialEq, Eq)]
struct Nexthop {
    interface: Option<u32>,
    members: Vec<u32>,
}

impl Nexthops {
    /// Those of the network namespace of the calling thread.
    pub(super) fn read() -> io::Result<Self> {
        let mut all = HashMap::new();
        exchange_unknown(RTM_GETNEXTHOP, NLM_F_DUMP, &[0; HEADER], |bytes| {
            let (id, nexthop) = parse(bytes)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "half a next hop"))?;
            all.insert(id, nexthop);
            Ok(())
        })?;
        Ok(Self(all))
    }

    /// Of whole messages; [`None`] if one of them is cut short.
    pub(super) fn of_messages(messages: &[&[u8]]) -> Option<Self> {
        let all: Option<HashMap<_, _>> = messages.iter().map(|bytes| parse(bytes)).collect();
        all.map(Self)
    }

    /// The interfaces of one; a group's members are no groups.
    pub(super) fn interfaces(&self, id: u32) -> Vec<u32> {
        let Some(nexthop) = self.0.get(&id) else {
            return Vec::new();
        };
        let members = nexthop.members.iter().filter_map(|id| self.0.get(id));
        nexthop
            .interface
            .into_iter()
            .chain(members.filter_map(|member| member.interface))
            .collect()
    }
}

fn parse(message: &[u8]) -> Option<(u32, Nexthop)> {
    let mut id = None;
    let mut nexthop = Nexthop::default();
    for attribute in attributes(message.get(NETLINK_HEADER + HEADER..)?) {
        let value = attribute.value();
        match attribute.kind() {
            NHA_ID => id = word(value),
            NHA_OIF => nexthop.interface = word(value),
            NHA_GROUP => {
                nexthop.members = value.chunks_exact(MEMBER).filter_map(word).collect();
            }
            _ => {}
        }
    }
    Some((id?, nexthop))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::attributes::attribute;

    fn message(attributes: &[Vec<u8>]) -> Vec<u8> {
        [vec![0; NETLINK_HEADER + HEADER], attributes.concat()].concat()
    }

    #[test]
    fn a_group_has_the_interfaces_of_its_members() {
        let id = |id: u32| attribute(NHA_ID, &id.to_ne_bytes());
        let single = |number, interface: u32| {
            let oif = attribute(NHA_OIF, &interface.to_ne_bytes());
            parse(&message(&[id(number), oif])).unwrap()
        };
        let member = |id: u32| [id.to_ne_bytes(), [0; 4]].concat();
        let group = attribute(NHA_GROUP, &[member(1), member(2)].concat());
        let group = parse(&message(&[id(9), group])).unwrap();
        let all = Nexthops([single(1, 11), single(2, 12), group].into());
        assert_eq!(all.interfaces(9), [11, 12]);
        assert_eq!(all.interfaces(2), [12]);
        assert!(all.interfaces(3).is_empty());
        assert_eq!(parse(&message(&[])), None);
    }
}
