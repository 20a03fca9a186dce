//! What the programs read of a packet that was received.

use tracer_ebpf::Tuple;

use crate::kernel::{Address, field, read};
use crate::socket::{mapped, namespace};

/// The flow of a received TCP segment, from its own headers: the sender is the
/// remote end. The kernel has set both header offsets by the time TCP sees it.
#[inline(always)]
pub fn received(skb: Address) -> Option<Tuple> {
    let device = field!(skb, skb_dev, u64)?;
    let netns = namespace(field!(device, dev_net, u64)?)?;
    let head = field!(skb, skb_head, u64)?;
    let ip = head + u64::from(field!(skb, skb_network_header, u16)?);
    let tcp = head + u64::from(field!(skb, skb_transport_header, u16)?);
    let (remote, local) = match read::<u8>(ip, 0)? >> 4 {
        4 => (mapped(read(ip, 12)?), mapped(read(ip, 16)?)),
        6 => (read(ip, 8)?, read(ip, 24)?),
        _ => return None,
    };
    Some(Tuple {
        local,
        remote,
        local_port: u16::from_be(read(tcp, 2)?),
        remote_port: u16::from_be(read(tcp, 0)?),
        netns,
    })
}
