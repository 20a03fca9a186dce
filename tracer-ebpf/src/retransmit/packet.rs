//! What the programs read of a packet that was received.

use tracer_ebpf::{Tuple, mapped};

use crate::access::read;
use crate::kernel::{Address, field};
use crate::socket::namespace;

/// `SKB_DST_NOREF` of
/// [`linux/skbuff.h`](https://github.com/torvalds/linux/blob/v6.12/include/linux/skbuff.h).
const REFDST_NOREF: u64 = 1;

/// The flow of a received TCP segment, from its own headers: the sender is the
/// remote end. The kernel has set both header offsets by the time TCP sees it.
///
/// The namespace is 0 where the packet does not lead to it any more: TCP takes
/// `skb->dev` away early, and a segment that waits for its socket loses its
/// route as well
/// ([`tcp_add_backlog`](https://github.com/torvalds/linux/blob/v6.12/net/ipv4/tcp_ipv4.c#L2029)).
#[inline(always)]
pub fn received(skb: Address) -> Option<Tuple> {
    let head = field!(skb, skb_head, u64)?;
    let ip = head + u64::from(field!(skb, skb_network_header, u16)?);
    let tcp = head + u64::from(field!(skb, skb_transport_header, u16)?);
    let (remote, local) = match read::<u8>(ip, 0)? >> 4 {
        4 => {
            let from: u32 = read(ip, 12)?;
            let to: u32 = read(ip, 16)?;
            (mapped(from.to_ne_bytes()), mapped(to.to_ne_bytes()))
        }
        6 => (read(ip, 8)?, read(ip, 24)?),
        _ => return None,
    };
    Some(Tuple {
        local,
        remote,
        local_port: u16::from_be(read(tcp, 2)?),
        remote_port: u16::from_be(read(tcp, 0)?),
        netns: netns_of_route(skb)?,
    })
}

#[inline(always)]
fn netns_of_route(skb: Address) -> Option<u32> {
    match field!(skb, skb_refdst, u64)? & !REFDST_NOREF {
        0 => Some(0),
        route => {
            let device = field!(route, dst_dev, u64)?;
            namespace(field!(device, dev_net, u64)?)
        }
    }
}
