//! Network interfaces, asked over rtnetlink, of the network namespace that the
//! calling thread is in. Attributes are those of
//! [linux/if_link.h](https://github.com/torvalds/linux/blob/v6.18/include/uapi/linux/if_link.h).

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod watch;

use std::io;

use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;

use crate::kernel::attributes::{NETLINK_HEADER, attributes, text, word};
use crate::kernel::rtnetlink::exchange_raw;

pub(crate) use crate::kernel::link::watch::{Heard, LinkWatch, moved};

/// `struct ifinfomsg`.
const LINK_HEADER: usize = 16;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
/// Linux 5.6.
const IFLA_PERM_ADDRESS: u16 = 54;

/// An interface, with what tells it from another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Unique in its network namespace while it lives; another one may have it
    /// afterwards.
    pub index: u32,
    /// As people call it; it may be renamed.
    pub name: String,
    /// `veth`, `vlan` and so on; [`None`] of a device that no software makes.
    pub kind: Option<String>,
    /// Index of the interface that it is the other end of, or on: of the peer of a
    /// veth, in the peer's own namespace; [`None`] if it is on none.
    pub lower: Option<u32>,
    /// Its hardware address, which may be changed; empty if its kind has none.
    pub address: Vec<u8>,
    /// The hardware address that it was made with; [`None`] where the kernel does
    /// not know one, as of most that software makes, and before Linux 5.6.
    pub permanent: Option<Vec<u8>>,
}

/// The interface of this index; [`None`] if there is none.
///
/// # Errors
/// The kernel's.
pub fn by_index(index: u32) -> io::Result<Option<Link>> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    let mut found = None;
    let asked = exchange_raw(RouteNetlinkMessage::GetLink(message), 0, |bytes| {
        found = Some(parsed(bytes)?);
        Ok(())
    });
    match asked {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        asked => asked.map(|()| found),
    }
}

/// Every interface.
///
/// # Errors
/// The kernel's.
pub fn all() -> io::Result<Vec<Link>> {
    let mut found = Vec::new();
    let message = RouteNetlinkMessage::GetLink(LinkMessage::default());
    exchange_raw(message, NLM_F_DUMP, |bytes| {
        found.push(parsed(bytes)?);
        Ok(())
    })?;
    Ok(found)
}

fn parsed(message: &[u8]) -> io::Result<Link> {
    Link::parse(message)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "half an interface"))
}

impl Link {
    /// From one whole message; [`None`] if that is not long enough.
    pub(crate) fn parse(message: &[u8]) -> Option<Self> {
        let header = message.get(NETLINK_HEADER..)?;
        let mut link = Self {
            index: u32::from_ne_bytes(*header.get(4..)?.first_chunk()?),
            ..Self::default()
        };
        for attribute in attributes(header.get(LINK_HEADER..)?) {
            let value = attribute.value();
            match attribute.kind() {
                IFLA_IFNAME => link.name = text(value),
                IFLA_ADDRESS => link.address = value.to_vec(),
                IFLA_LINK => link.lower = word(value),
                IFLA_PERM_ADDRESS => link.permanent = Some(value.to_vec()),
                IFLA_LINKINFO => {
                    let kind = attributes(value).find(|it| it.kind() == IFLA_INFO_KIND);
                    link.kind = kind.map(|kind| text(kind.value()));
                }
                _ => {}
            }
        }
        Some(link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::attributes::attribute;

    #[test]
    fn an_interface_with_all_that_tells_it_from_another() {
        let mut message = vec![0; NETLINK_HEADER + LINK_HEADER];
        message[NETLINK_HEADER + 4..][..4].copy_from_slice(&7_u32.to_ne_bytes());
        message.extend(attribute(IFLA_IFNAME, b"eth0\0"));
        message.extend(attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]));
        let kind = attribute(IFLA_INFO_KIND, b"veth\0");
        message.extend(attribute(IFLA_LINKINFO, &kind));
        message.extend(attribute(IFLA_PERM_ADDRESS, &[2, 0, 0, 0, 0, 9]));
        let link = Link::parse(&message).unwrap();
        assert_eq!((link.index, link.name.as_str()), (7, "eth0"));
        assert_eq!(link.kind.as_deref(), Some("veth"));
        assert_eq!(link.address, [2, 0, 0, 0, 0, 1]);
        assert_eq!(link.permanent.unwrap(), [2, 0, 0, 0, 0, 9]);
        assert_eq!(Link::parse(&message[..20]), None);
    }

    #[test]
    fn one_that_is_not_there_is_none_and_no_name() {
        let there = all().unwrap();
        let lo = there.iter().find(|link| link.name == "lo").unwrap();
        assert_eq!(by_index(lo.index).unwrap().as_ref(), Some(lo));
        // What the C library's `if_indextoname` of this index is, callers have
        // taken for a name.
        assert_eq!(by_index(i32::MAX as u32).unwrap(), None);
    }
}
