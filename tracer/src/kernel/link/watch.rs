//! Whether an interface that is gone was deleted or moved away.

use std::io;

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use crate::kernel::attributes::{NETLINK_HEADER, attributes, word};

/// `RTMGRP_LINK`
const LINKS: u32 = 1;
const RTM_DELLINK: u16 = 17;
/// Told when an interface goes to another namespace, and not when it is deleted
/// ([`__dev_change_net_namespace`](https://github.com/torvalds/linux/blob/v6.18/net/core/dev.c)).
const IFLA_NEW_NETNSID: u16 = 45;
/// More than the kernel tells of one interface at once.
const BUFFER: usize = 32 * 1024;

/// Hears what becomes of the interfaces of a network namespace, from when it is
/// started on. The kernel keeps what nobody has asked for yet, some hundred changes.
#[derive(Debug)]
pub(crate) struct LinkWatch {
    socket: Socket,
    moved: Vec<u32>,
    /// More happened than the kernel keeps.
    missed: bool,
}

/// What was heard of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It went to another network namespace.
    Moved,
    /// It did not.
    NotMoved,
    /// Some of what happened was missed.
    Missed,
}

impl LinkWatch {
    /// In the network namespace of the calling thread.
    pub(crate) fn start() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, LINKS))?;
        socket.set_non_blocking(true)?;
        Ok(Self {
            socket,
            moved: Vec::new(),
            missed: false,
        })
    }

    /// What has been heard of the interface of this index so far.
    pub(crate) fn of(&mut self, index: u32) -> Heard {
        self.listen();
        if self.moved.contains(&index) {
            Heard::Moved
        } else if self.missed {
            Heard::Missed
        } else {
            Heard::NotMoved
        }
    }

    fn listen(&mut self) {
        let mut buffer = vec![0; BUFFER];
        loop {
            match self.socket.recv(&mut &mut buffer[..], 0) {
                Ok(0) => return,
                Ok(length) => {
                    let told = buffer.get(..length).unwrap_or_default();
                    self.moved.extend(moved(told));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.missed = true;
                    // What it still has can be heard.
                    if error.raw_os_error() != Some(libc::ENOBUFS) {
                        return;
                    }
                }
            }
        }
    }
}

/// The interface that a message tells to have gone to another namespace.
pub(crate) fn moved(message: &[u8]) -> Option<u32> {
    let kind = u16::from_ne_bytes(*message.get(4..)?.first_chunk()?);
    let header = message.get(NETLINK_HEADER..)?;
    let index = word(header.get(4..)?)?;
    let mut told = attributes(header.get(crate::kernel::link::LINK_HEADER..)?);
    (kind == RTM_DELLINK && told.any(|it| it.kind() == IFLA_NEW_NETNSID)).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::attributes::attribute;

    #[test]
    fn only_what_names_another_namespace_has_moved() {
        let message = |kind: u16, attribute: &[u8]| {
            let mut bytes = vec![0; NETLINK_HEADER + crate::kernel::link::LINK_HEADER];
            bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
            bytes[NETLINK_HEADER + 4..][..4].copy_from_slice(&7_u32.to_ne_bytes());
            bytes.extend(attribute);
            bytes
        };
        let netns = attribute(IFLA_NEW_NETNSID, &[0; 4]);
        assert_eq!(moved(&message(RTM_DELLINK, &netns)), Some(7));
        assert_eq!(moved(&message(RTM_DELLINK, &[])), None);
        assert_eq!(moved(&message(16, &netns)), None);
        assert_eq!(moved(&[0; 8]), None);
    }
}
