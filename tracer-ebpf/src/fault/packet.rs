//! Where the TCP header of an outgoing packet is, if it has one.

use aya_ebpf::{
    EbpfContext as _, bindings::bpf_hdr_start_off::BPF_HDR_START_NET,
    helpers::bpf_skb_load_bytes_relative, programs::TcContext,
};

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_8021AD: u16 = 0x88a8;

const IPPROTO_HOPOPTS: u8 = 0;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_ROUTING: u8 = 43;
const IPPROTO_FRAGMENT: u8 = 44;
const IPPROTO_AH: u8 = 51;
const IPPROTO_DSTOPTS: u8 = 60;

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
/// What is compared to find the network header: a whole IPv4 header, or of
/// IPv6 everything up to half of the destination.
const PREFIX: usize = 20;
/// RFC 8200 lets each header appear once (destination options twice).
const MAX_EXTENSIONS: u32 = 6;
/// Link headers that Linux puts before an IP header it transmits: Ethernet,
/// none (tun, WireGuard, IP tunnels, PPP), Ethernet with one tag, with two.
/// A tag that the device inserts is not in the packet yet at this point.
const LINK_HEADERS: [usize; 4] = [14, 0, 18, 22];

/// An IP packet.
pub(crate) struct Ip {
    /// Where its header begins, counted from the start of the packet's data.
    offset: usize,
    version: u8,
    /// IPv4 as `::ffff:a.b.c.d`.
    pub(crate) destination: [u8; 16],
}

/// Finds the IP header, [`None`] if the packet has none.
///
/// The kernel knows where the network header is, but tells it only to helpers
/// that read; the write needs an offset from the start of the data. So the
/// header is read through the kernel's knowledge and then looked for at each
/// offset that a link header can end at. A device's type would be a worse
/// guide: a tunnel's header may or may not be there yet.
pub(crate) fn ip(context: &TcContext) -> Option<Ip> {
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
    let destination = if version == 4 {
        let mut mapped = [0; 16];
        mapped[10] = 0xff;
        mapped[11] = 0xff;
        mapped[12] = header[16];
        mapped[13] = header[17];
        mapped[14] = header[18];
        mapped[15] = header[19];
        mapped
    } else {
        context.load(offset + 24).ok()?
    };
    Some(Ip {
        offset,
        version,
        destination,
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
    /// Where the TCP header begins; [`None`] if it is not TCP, or a later
    /// fragment of it.
    pub(crate) fn tcp(&self, context: &TcContext) -> Option<usize> {
        if self.version == 4 {
            self.tcp_in_ipv4(context)
        } else {
            self.tcp_in_ipv6(context)
        }
    }

    fn tcp_in_ipv4(&self, context: &TcContext) -> Option<usize> {
        let header: [u8; IPV4_HEADER] = context.load(self.offset).ok()?;
        let fragment_offset = u16::from_be_bytes([header[6], header[7]]) & 0x1fff;
        if header[9] != IPPROTO_TCP || fragment_offset != 0 {
            return None;
        }
        Some(self.offset + usize::from(header[0] & 0x0f) * 4)
    }

    fn tcp_in_ipv6(&self, context: &TcContext) -> Option<usize> {
        let mut next: u8 = context.load(self.offset + 6).ok()?;
        let mut offset = self.offset + IPV6_HEADER;
        for _ in 0..MAX_EXTENSIONS {
            if next == IPPROTO_TCP {
                return Some(offset);
            }
            if !matches!(
                next,
                IPPROTO_HOPOPTS | IPPROTO_ROUTING | IPPROTO_FRAGMENT | IPPROTO_AH | IPPROTO_DSTOPTS
            ) {
                return None;
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
