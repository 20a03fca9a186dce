//! One question to `NETLINK_ROUTE`, and its answer.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use crate::kernel::attributes::NETLINK_HEADER;

/// What the kernel fills one answer with at most when it dumps a table
/// (`NLMSG_GOODSIZE`, and 32 KiB where the reader offers them).
const BUFFER: usize = 32 * 1024;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Types below this are netlink's own.
const NLMSG_MIN_TYPE: u16 = 0x10;

/// Sends one message and gives every object of the answer to `each`: all of a
/// dump (`NLM_F_DUMP` in `flags`), none where only an acknowledgement was asked
/// for (`NLM_F_ACK`), otherwise one. It is about the network namespace that the
/// calling thread is in. The kernel answers within the call or not at all, so
/// there is nothing to wait for and no deadline.
///
/// # Errors
/// The kernel's answer, or why there is none.
pub(crate) fn exchange(
    message: RouteNetlinkMessage,
    flags: u16,
    mut each: impl FnMut(RouteNetlinkMessage),
) -> io::Result<()> {
    exchange_raw(message, flags, |whole| {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(whole)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        if let NetlinkPayload::InnerMessage(object) = message.payload {
            each(object);
        }
        Ok(())
    })
}

/// As [`exchange`], with each object as the bytes of its whole message: for kinds
/// of objects of which others may have some that no parser knows.
pub(crate) fn exchange_raw(
    message: RouteNetlinkMessage,
    flags: u16,
    each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    exchange_bytes(&bytes, flags, each)
}

/// As [`exchange_raw`], of a kind that the parser does not know: `kind` is the
/// message's type, and `body` its header and attributes.
pub(crate) fn exchange_unknown(
    kind: u16,
    flags: u16,
    body: &[u8],
    each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    // `struct nlmsghdr`: length, type, flags, sequence number, port.
    let length =
        u32::try_from(NETLINK_HEADER.saturating_add(body.len())).map_err(io::Error::other)?;
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(body);
    exchange_bytes(&bytes, flags, each)
}

fn exchange_bytes(
    request: &[u8],
    flags: u16,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(request, 0)?;

    // `NLM_F_DUMP` is two bits, which have other names in other messages.
    let more = flags & NLM_F_DUMP == NLM_F_DUMP || flags & NLM_F_ACK != 0;
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = socket.recv(&mut &mut buffer[..], 0)?;
        let datagram = buffer.get(..length).unwrap_or_default();
        if messages(datagram, more, &mut each)? {
            return Ok(());
        }
    }
}

/// Gives every object of one datagram to `each`; of more than one only where there may be
/// `more`. Returns whether the answer ends with it.
///
/// # Errors
/// The kernel's answer where it is an error, and what cannot be understood.
pub(crate) fn messages(
    datagram: &[u8],
    more: bool,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<bool> {
    let mut rest = datagram;
    while !rest.is_empty() {
        let message = NetlinkBuffer::new_checked(rest)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        let (length, kind) = (message.length() as usize, message.message_type());
        let whole = rest.get(..length).unwrap_or_default();
        match kind {
            NLMSG_ERROR => return acknowledged(message.payload()).map(|()| true),
            NLMSG_DONE => return Ok(true),
            NLMSG_MIN_TYPE.. => {
                each(whole)?;
                if !more {
                    return Ok(true);
                }
            }
            _ => {}
        }
        // Messages are aligned to four bytes; the last may lack its padding.
        rest = rest
            .get(length.next_multiple_of(4).max(4)..)
            .unwrap_or_default();
    }
    Ok(false)
}

/// An acknowledgement is the error 0.
fn acknowledged(payload: &[u8]) -> io::Result<()> {
    let code = payload.first_chunk().copied().map(i32::from_ne_bytes);
    match code {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let length = (NETLINK_HEADER + payload.len()) as u32;
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn every_object_of_a_datagram_is_given_up_to_its_end() {
        let object = message(24, &[1, 2, 3]);
        let noop = message(1, &[]);
        let done = message(NLMSG_DONE, &[0; 4]);
        let read = |datagram: &[u8], more| {
            let mut lengths = Vec::new();
            let ended = messages(datagram, more, |whole| {
                lengths.push(whole.len());
                Ok(())
            });
            (ended.unwrap(), lengths)
        };
        let two = [&*object, &noop, &object].concat();
        assert_eq!(read(&two, true), (false, vec![19, 19]));
        assert_eq!(read(&two, false), (true, vec![19]));
        assert_eq!(
            read(&[&*two, &done, &object].concat(), true),
            (true, vec![19, 19])
        );
        assert_eq!(read(b"", true), (false, Vec::new()));
        assert!(messages(&object[..18], true, |_| Ok(())).is_err());
    }

    #[test]
    fn whatever_the_kernel_calls_an_error_is_one() {
        for (code, expected) in [(-libc::ENODEV, libc::ENODEV), (i32::MIN, i32::MAX)] {
            let refused = message(NLMSG_ERROR, &code.to_ne_bytes());
            let error = messages(&refused, true, |_| Ok(())).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(expected));
        }
        let acknowledged = message(NLMSG_ERROR, &[0; 4]);
        assert!(messages(&acknowledged, true, |_| Ok(())).unwrap());
        assert!(messages(&message(NLMSG_ERROR, &[0]), true, |_| Ok(())).is_err());
    }
}
