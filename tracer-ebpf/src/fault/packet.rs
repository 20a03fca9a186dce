//! Whose packet it is, and where its transport header is, if it has one.

use aya_ebpf::{
    EbpfContext as _, bindings::bpf_hdr_start_off::BPF_HDR_START_NET,
    helpers::bpf_skb_load_bytes_relative, programs::TcContext,
};
use tracer_ebpf::{Direction, mapped};

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_8021AD: u16 = 0x88a8;

const IPPROTO_HOPOPTS: u8 = 0;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
const IPPROTO_ROUTING: u8 = 43;
const IPPROTO_FRAGMENT: u8 = 44;
const IPPROTO_AH: u8 = 51;
const IPPROTO_ICMPV6: u8 = 58;
const IPPROTO_DSTOPTS: u8 = 60;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
/// What is compared to find the network header: a whole IPv4 header, or of
/// IPv6 everything up to half of the destination.
const PREFIX: usize = 20;
/// RFC 8200 lets each header appear once (destination options twice).
const MAX_EXTENSIONS: u32 = 6;
/// Router and neighbour solicitation and advertisement, redirect (RFC 4861).
const NEIGHBOUR_DISCOVERY: core::ops::RangeInclusive<u8> = 133..=137;
/// Link headers that Linux puts before an IP header it transmits: Ethernet,
/// none (tun, WireGuard, IP tunnels, PPP), Ethernet with one tag, with two.
/// A tag that the device inserts is not in the packet yet at this point.
const LINK_HEADERS: [usize; 4] = [14, 0, 18, 22];

/// An IP packet.
pub(crate) struct Ip {
    /// Where its header begins, counted from the start of the packet's data.
    offset: usize,
    version: u8,
    /// The address at the other end, IPv4 as `::ffff:a.b.c.d`.
    pub(crate) peer: [u8; 16],
}

/// What an IP packet carries, with the offset of its header.
pub(crate) enum Transport {
    /// A TCP segment, or the first fragment of one.
    Tcp(usize),
    /// An UDP datagram, or the first fragment of one.
    Udp(usize),
    /// Without which IPv6 does not find its neighbours.
    NeighbourDiscovery,
    /// Anything else, later fragments among it.
    Other,
}

/// Finds the IP header, [`None`] if the packet has none.
///
/// The kernel knows where the network header is, but tells it only to helpers
/// that read; the write needs an offset from the start of the data. So the
/// header is read through the kernel's knowledge and then looked for at each
/// offset that a link header can end at. A device's type would be a worse
/// guide: a tunnel's header may or may not be there yet.
pub(crate) fn ip(context: &TcContext, direction: Direction) -> Option<Ip> {
    // SAFETY: the context is valid for the whole run of the program.
    let protocol = u16::from_be(unsafe { (*context.skb.skb).protocol } as u16);
    if !matches!(protocol, ETH_P_IP | ETH_P_IPV6 | ETH_P_8021Q | ETH_P_8021AD) {
        return None;
    }
    let header = network_header(context)?;
    let version = header[0] >> 4;
    match (protocol, version) {
        (ETH_P_IP, 4) | (ETH_P_IPV6, 6) | (ETH_P_8021Q | ETH_P_8021AD, 4 | 6) => {}
        _ => return None,
    }
    let offset = locate(context, &header)?;
    let peer = if version == 4 {
        let at = match direction {
            Direction::Egress => [header[16], header[17], header[18], header[19]],
            Direction::Ingress => [header[12], header[13], header[14], header[15]],
        };
        mapped(at)
    } else {
        let at = match direction {
            Direction::Egress => 24,
            Direction::Ingress => 8,
        };
        context.load(offset + at).ok()?
    };
    Some(Ip {
        offset,
        version,
        peer,
    })
}

/// The first bytes of the network header as the kernel knows it.
fn network_header(context: &TcContext) -> Option<[u8; PREFIX]> {
    let mut bytes = [0_u8; PREFIX];
    // SAFETY: the destination is `PREFIX` bytes long and lives past the call.
    let result = unsafe {
        bpf_skb_load_bytes_relative(
            context.as_ptr(),
            0,
            bytes.as_mut_ptr().cast(),
            PREFIX as u32,
            BPF_HDR_START_NET,
        )
    };
    (result == 0).then_some(bytes)
}

fn locate(context: &TcContext, header: &[u8; PREFIX]) -> Option<usize> {
    LINK_HEADERS
        .into_iter()
        .find(|&offset| match context.load::<[u8; PREFIX]>(offset) {
            Ok(found) => same(&found, header),
            Err(_) => false,
        })
}

/// `==` on arrays becomes a call of `memcmp`, which a BPF program has not got.
fn same(left: &[u8; PREFIX], right: &[u8; PREFIX]) -> bool {
    let mut difference = 0;
    let mut index = 0;
    while index < PREFIX {
        difference |= left[index] ^ right[index];
        index += 1;
    }
    difference == 0
}

impl Ip {
    /// What it carries.
    pub(crate) fn transport(&self, context: &TcContext) -> Transport {
        let found = if self.version == 4 {
            self.in_ipv4(context)
        } else {
            self.in_ipv6(context)
        };
        match found {
            Some((IPPROTO_TCP, offset)) => Transport::Tcp(offset),
            Some((IPPROTO_UDP, offset)) => Transport::Udp(offset),
            Some((IPPROTO_ICMPV6, offset)) => match context.load::<u8>(offset) {
                Ok(kind) if NEIGHBOUR_DISCOVERY.contains(&kind) => Transport::NeighbourDiscovery,
                _ => Transport::Other,
            },
            _ => Transport::Other,
        }
    }

    /// Source and destination port, host order, of a TCP or UDP header there.
    pub(crate) fn ports(context: &TcContext, offset: usize) -> Option<[u16; 2]> {
        let ports: [u8; 4] = context.load(offset).ok()?;
        Some([
            u16::from_be_bytes([ports[0], ports[1]]),
            u16::from_be_bytes([ports[2], ports[3]]),
        ])
    }

    /// Protocol and where its header begins; [`None`] for a later fragment.
    fn in_ipv4(&self, context: &TcContext) -> Option<(u8, usize)> {
        let header: [u8; IPV4_HEADER] = context.load(self.offset).ok()?;
        let fragment_offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
        if fragment_offset != 0 {
            return None;
        }
        Some((header[9], self.offset + usize::from(header[0] & 0x0f) * 4))
    }

    /// As [`Self::in_ipv4`].
    fn in_ipv6(&self, context: &TcContext) -> Option<(u8, usize)> {
        let mut next: u8 = context.load(self.offset + 6).ok()?;
        let mut offset = self.offset + IPV6_HEADER;
        for _ in 0..MAX_EXTENSIONS {
            if !matches!(
                next,
                IPPROTO_HOPOPTS | IPPROTO_ROUTING | IPPROTO_FRAGMENT | IPPROTO_AH | IPPROTO_DSTOPTS
            ) {
                return Some((next, offset));
            }
            let extension: [u8; 4] = context.load(offset).ok()?;
            offset += match next {
                IPPROTO_FRAGMENT => {
                    if u16::from_be_bytes([extension[2], extension[3]]) & 0xfff8 != 0 {
                        return None;
                    }
                    8
                }
                IPPROTO_AH => (usize::from(extension[1]) + 2) * 4,
                _ => (usize::from(extension[1]) + 1) * 8,
            };
            next = extension[0];
        }
        None
    }
}
