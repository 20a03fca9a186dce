//! One question to `NETLINK_ROUTE`, and its answer.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// What the kernel fills one answer with at most when it dumps a table
/// (`NLMSG_GOODSIZE`, and 32 KiB where the reader offers them).
const BUFFER: usize = 32 * 1024;

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
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send(&bytes, 0)?;

    // `NLM_F_DUMP` is two bits, which have other names in other messages.
    let more = flags & NLM_F_DUMP == NLM_F_DUMP || flags & NLM_F_ACK != 0;
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = socket.recv(&mut &mut buffer[..], 0)?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            // Messages are aligned to four bytes; the last may lack its padding.
            let step = (message.header.length as usize).next_multiple_of(4).max(4);
            match message.payload {
                NetlinkPayload::InnerMessage(object) => {
                    each(object);
                    if !more {
                        return Ok(());
                    }
                }
                NetlinkPayload::Error(error) if error.code.is_none() => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::Done(_) => return Ok(()),
                _ => {}
            }
            rest = rest.get(step..).unwrap_or_default();
        }
    }
}
