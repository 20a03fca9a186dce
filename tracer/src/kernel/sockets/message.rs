//! The bytes of the conversation: one request, and the datagrams of the answer.

use std::mem::offset_of;
use std::os::fd::RawFd;

use nix::errno::Errno;
use tracer_ebpf::{Socket, Tuple};

use crate::kernel::sockets::{Accounted, SocketInfo, SocketsError};

/// `SOCK_DIAG_BY_FAMILY`
const BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
/// `struct nlmsghdr`: u32 len, u16 type, u16 flags, u32 seq, u32 pid.
const HEADER: usize = 16;
/// `struct inet_diag_req_v2`.
const REQUEST: usize = 56;
/// `struct inet_diag_msg`.
const MESSAGE: usize = 72;
/// `INET_DIAG_INFO`: the attribute that holds `struct tcp_info`.
const INFO: u16 = 2;
/// `INET_DIAG_REQ_SK_BPF_STORAGES`: asks for what programs keep in the sockets, in
/// attributes [`STORAGE_MAP`].
const ASK_STORAGES: u16 = 2;
/// `SK_DIAG_BPF_STORAGE_REQ_MAP_FD`: in which map.
const STORAGE_MAP: u16 = 1;
/// `INET_DIAG_SK_BPF_STORAGES`: one attribute [`STORAGE`] a map.
const STORAGES: u16 = 20;
/// `SK_DIAG_BPF_STORAGE`.
const STORAGE: u16 = 1;
/// `SK_DIAG_BPF_STORAGE_MAP_VALUE`.
const STORAGE_VALUE: u16 = 3;
/// What else the number of an attribute may say: that there are others in it, and of what
/// byte order it is.
const ATTRIBUTE_FLAGS: u16 = 0xc000;
/// Every state but TIME_WAIT (6), LISTEN (10) and BOUND_INACTIVE (13, which has
/// no peer); 12 is a request that is not accepted yet.
const STATES: u32 =
    1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 11 | 1 << 12;

#[derive(Clone, Copy, Debug)]
pub(super) enum SocketFamily {
    V4 = 2,
    V6 = 10,
}

/// `INET_DIAG_NOCOOKIE`: whatever socket has these ends.
const NO_COOKIE: [u8; 8] = [0xff; 8];

/// What a datagram said about the dump itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) done: bool,
    /// The kernel saw the list change: it may lack sockets or hold some twice.
    pub(super) interrupted: bool,
}

/// Writes a value where the struct has it.
fn put(request: &mut [u8], at: usize, value: &[u8]) {
    let behind = request.iter_mut().skip(at);
    behind.zip(value).for_each(|(to, from)| *to = *from);
}

/// Asks for all sockets of a family. IPv4 connections of IPv6 sockets come with
/// the latter.
pub(super) fn request(family: SocketFamily) -> [u8; HEADER + REQUEST] {
    let mut bytes = [0; HEADER + REQUEST];
    let mut put = |at, value: &[u8]| put(&mut bytes, at, value);
    put(0, &((HEADER + REQUEST) as u32).to_ne_bytes());
    put(4, &BY_FAMILY.to_ne_bytes());
    put(6, &(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    // u8 family, protocol, ext, pad; u32 states; the id is left empty.
    put(
        HEADER,
        &[family as u8, libc::IPPROTO_TCP as u8, 1 << (INFO - 1), 0],
    );
    put(HEADER + 4, &STATES.to_ne_bytes());
    bytes
}

/// Asks as [`request`] does, and for what programs keep in the sockets in this map.
pub(super) fn request_with_storage(family: SocketFamily, map: RawFd) -> Vec<u8> {
    let mut bytes = request(family).to_vec();
    // u16 length, kind; the outer attribute holds the inner one, which is a descriptor.
    for word in [12, ASK_STORAGES, 8, STORAGE_MAP] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(map.to_ne_bytes());
    let length = bytes.len() as u32;
    put(&mut bytes, 0, &length.to_ne_bytes());
    bytes
}

/// Asks for the socket with these ends. One that listens at the local end answers
/// where there is no connection.
pub(super) fn request_for(tuple: &Tuple) -> [u8; HEADER + REQUEST] {
    let mapped = |address: [u8; 16]| std::net::Ipv6Addr::from(address).to_ipv4_mapped();
    let (family, local, remote) = match (mapped(tuple.local), mapped(tuple.remote)) {
        (Some(local), Some(remote)) => {
            let wide = |address: std::net::Ipv4Addr| {
                let [a, b, c, d] = address.octets();
                [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
            };
            (SocketFamily::V4, wide(local), wide(remote))
        }
        _ => (SocketFamily::V6, tuple.local, tuple.remote),
    };
    let mut bytes = request(family);
    let mut put = |at, value: &[u8]| put(&mut bytes, at, value);
    put(6, &NLM_F_REQUEST.to_ne_bytes());
    // be16 sport, dport; be32 src[4], dst[4]; u32 interface; cookie.
    put(HEADER + 8, &tuple.local_port.to_be_bytes());
    put(HEADER + 10, &tuple.remote_port.to_be_bytes());
    put(HEADER + 12, &local);
    put(HEADER + 28, &remote);
    put(HEADER + 48, &NO_COOKIE);
    bytes
}

/// Gives the sockets of one datagram.
pub(super) fn parse(
    datagram: &[u8],
    netns: u32,
    mut take: impl FnMut(SocketInfo),
) -> Result<Progress, SocketsError> {
    let mut progress = Progress::default();
    let mut rest = datagram;
    while !rest.is_empty() {
        let (length, kind, flags) = u32_at(rest, 0)
            .zip(u16_at(rest, 4))
            .zip(u16_at(rest, 6))
            .map(|((length, kind), flags)| (length as usize, kind, flags))
            .ok_or(SocketsError::Malformed("a message header is cut short"))?;
        let payload = rest
            .get(HEADER..length)
            .ok_or(SocketsError::Malformed("a message is cut short"))?;
        progress.interrupted |= flags & NLM_F_DUMP_INTR != 0;
        match kind {
            NLMSG_DONE => {
                progress.done = true;
                // Newer kernels put the dump's errno behind it.
                return refused(payload).map_or(Ok(progress), Err);
            }
            NLMSG_ERROR => {
                return Err(refused(payload)
                    .unwrap_or(SocketsError::Malformed("an acknowledgement, not asked for")));
            }
            BY_FAMILY => take(
                socket(payload, netns).ok_or(SocketsError::Malformed("a socket is cut short"))?,
            ),
            _ => {}
        }
        rest = rest.get(aligned(length)..).unwrap_or_default();
    }
    Ok(progress)
}

fn refused(payload: &[u8]) -> Option<SocketsError> {
    let errno = u32_at(payload, 0)? as i32;
    (errno < 0).then(|| SocketsError::Refused(Errno::from_raw(errno.saturating_neg())))
}

/// `struct inet_diag_msg`: u8 family, state, timer, retrans; the id: be16 sport,
/// dport, be32 src[4], dst[4], u32 interface, cookie[2]; u32 expires, rqueue,
/// wqueue, uid, inode; then attributes.
fn socket(message: &[u8], netns: u32) -> Option<SocketInfo> {
    let family = *message.first()?;
    let attributes = message.get(MESSAGE..)?;
    let info = attribute(attributes, INFO);
    let port = |at| -> Option<u16> {
        let bytes = message.get(at..)?.first_chunk()?;
        Some(u16::from_be_bytes(*bytes))
    };
    Some(SocketInfo {
        tuple: Tuple {
            local: address(family, message.get(8..24)?)?,
            remote: address(family, message.get(24..40)?)?,
            local_port: port(4)?,
            remote_port: port(6)?,
            netns,
        },
        state: *message.get(1)?,
        cookie: u64::from(u32_at(message, 44)?) | u64::from(u32_at(message, 48)?) << 32,
        uid: u32_at(message, 64)?,
        inode: u32_at(message, 68)?,
        // Offsets in struct tcp_info:
        // https://elixir.bootlin.com/linux/v6.18/source/include/uapi/linux/tcp.h
        ca_state: info.get(1).copied(),
        unacked: u32_at(info, 24),
        rto_us: u32_at(info, 8),
        last_ack_recv_ms: u32_at(info, 56),
        srtt_us: u32_at(info, 68),
        cwnd: u32_at(info, 80),
        total_retrans: u32_at(info, 100),
        segs_out: u32_at(info, 136),
        segs_in: u32_at(info, 140),
        min_rtt_us: u32_at(info, 148).filter(|us| *us != u32::MAX),
        bytes_retrans: u64_at(info, 208),
        dsack_dups: u32_at(info, 216),
        rcv_ooopack: u32_at(info, 224),
        accounted: accounted(attributes),
    })
}

fn address(family: u8, bytes: &[u8]) -> Option<[u8; 16]> {
    let whole = *bytes.first_chunk::<16>()?;
    if family != SocketFamily::V4 as u8 {
        return Some(whole);
    }
    let [a, b, c, d, ..] = whole;
    Some(
        std::net::Ipv4Addr::new(a, b, c, d)
            .to_ipv6_mapped()
            .octets(),
    )
}

/// What our programs keep in the socket, if they do and it was asked for.
fn accounted(attributes: &[u8]) -> Option<Accounted> {
    let storage = attribute(attribute(attributes, STORAGES), STORAGE);
    let value = attribute(storage, STORAGE_VALUE);
    Some(Accounted {
        segments: u32_at(value, offset_of!(Socket, segments))?,
        bytes: u64_at(value, offset_of!(Socket, bytes))?,
    })
}

/// The payload of the first attribute of that kind, empty if there is none.
fn attribute(attributes: &[u8], wanted: u16) -> &[u8] {
    let mut rest = attributes;
    while let Some((length, kind)) = u16_at(rest, 0).zip(u16_at(rest, 2)) {
        let Some(payload) = rest.get(4..usize::from(length)) else {
            break;
        };
        if kind & !ATTRIBUTE_FLAGS == wanted {
            return payload;
        }
        rest = rest.get(aligned(usize::from(length))..).unwrap_or_default();
    }
    &[]
}

/// Netlink aligns messages and attributes to four bytes.
const fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + payload.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(payload);
        bytes
    }

    /// 10.0.0.1:5432 → 10.0.0.2:40000 with `length` bytes of `tcp_info`.
    fn diag(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; MESSAGE];
        bytes[..4].copy_from_slice(&[2, 1, 0, 0]);
        bytes[4..8].copy_from_slice(&[0x15, 0x38, 0x9c, 0x40]);
        bytes[8..12].copy_from_slice(&[10, 0, 0, 1]);
        bytes[24..28].copy_from_slice(&[10, 0, 0, 2]);
        bytes[44] = 9;
        bytes[64..68].copy_from_slice(&999_u32.to_ne_bytes());
        bytes[68..72].copy_from_slice(&1234_u32.to_ne_bytes());
        // An attribute that nobody asked for, of a length that needs padding.
        bytes.extend([5, 0, 8, 0, 1, 0, 0, 0]);
        bytes.extend(((length + 4) as u16).to_ne_bytes());
        bytes.extend(INFO.to_ne_bytes());
        let info: Vec<u8> = (0..length)
            .map(|n| if n % 4 == 0 { n as u8 } else { 0 })
            .collect();
        bytes.extend(info);
        bytes
    }

    fn one(payload: &[u8]) -> SocketInfo {
        let mut sockets = Vec::new();
        let progress = parse(&message(BY_FAMILY, 2, payload), 5, |socket| {
            sockets.push(socket);
        })
        .expect("parse");
        assert_eq!(progress, Progress::default());
        assert_eq!(sockets.len(), 1);
        sockets[0]
    }

    #[test]
    fn a_socket_is_read_with_ports_in_host_order_and_mapped_addresses() {
        let found = one(&diag(240));
        let mapped = |d| {
            std::net::Ipv4Addr::new(10, 0, 0, d)
                .to_ipv6_mapped()
                .octets()
        };
        assert_eq!(
            (found.tuple.local, found.tuple.remote),
            (mapped(1), mapped(2))
        );
        assert_eq!(
            (found.tuple.local_port, found.tuple.remote_port),
            (5432, 40000)
        );
        assert_eq!((found.tuple.netns, found.state), (5, 1));
        assert_eq!((found.uid, found.inode, found.cookie), (999, 1234, 9));
        assert_eq!((found.rto_us, found.srtt_us), (Some(8), Some(68)));
        assert_eq!((found.cwnd, found.total_retrans), (Some(80), Some(100)));
        assert_eq!(found.bytes_retrans, Some(208 | 212 << 32));
        assert_eq!(found.last_ack_recv_ms, Some(56));
        assert_eq!((found.segs_out, found.segs_in), (Some(136), Some(140)));
        assert_eq!(
            (found.dsack_dups, found.rcv_ooopack),
            (Some(216), Some(224))
        );
    }

    #[test]
    fn what_a_shorter_tcp_info_lacks_is_none() {
        // As long as Linux 4.18's: it ends before bytes_sent.
        let found = one(&diag(200));
        assert_eq!(
            (found.total_retrans, found.bytes_retrans),
            (Some(100), None)
        );
        let found = one(&diag(0));
        assert_eq!((found.ca_state, found.total_retrans), (None, None));
        assert_eq!(one(&diag(0)[..MESSAGE]).rto_us, None);
    }

    #[test]
    fn what_programs_keep_in_a_socket_is_found_in_its_attribute() {
        let nested = |kind: u16, payload: &[u8]| {
            let mut bytes = ((payload.len() + 4) as u16).to_ne_bytes().to_vec();
            bytes.extend((kind | 0x8000).to_ne_bytes());
            bytes.extend(payload);
            bytes
        };
        let mut value = vec![0; size_of::<Socket>()];
        value[40..48].copy_from_slice(&70_000_u64.to_ne_bytes());
        value[48..52].copy_from_slice(&7_u32.to_ne_bytes());
        let mut storage = nested(2, &5_u32.to_ne_bytes());
        storage.extend(nested(STORAGE_VALUE, &value));
        let mut payload = diag(240);
        payload.extend(nested(STORAGES, &nested(STORAGE, &storage)));
        let expected = Accounted {
            segments: 7,
            bytes: 70_000,
        };
        assert_eq!(one(&payload).accounted, Some(expected));
        assert_eq!(one(&diag(240)).accounted, None);
    }

    #[test]
    fn the_request_for_it_names_the_map_and_its_own_length() {
        let bytes = request_with_storage(SocketFamily::V4, 9);
        assert_eq!(u32_at(&bytes, 0), Some(HEADER as u32 + REQUEST as u32 + 12));
        assert_eq!(bytes.len(), HEADER + REQUEST + 12);
        let map = attribute(
            attribute(&bytes[HEADER + REQUEST..], ASK_STORAGES),
            STORAGE_MAP,
        );
        assert_eq!(map, 9_i32.to_ne_bytes());
    }

    #[test]
    fn the_end_an_error_and_an_interruption_are_told() {
        let mut sockets = Vec::new();
        let mut bytes = message(BY_FAMILY, 2 | NLM_F_DUMP_INTR, &diag(240));
        bytes.extend(message(NLMSG_DONE, 2, &[0; 4]));
        let progress = parse(&bytes, 0, |socket| sockets.push(socket)).expect("parse");
        assert_eq!(
            progress,
            Progress {
                done: true,
                interrupted: true
            }
        );
        let error = (-libc::ENOENT).to_ne_bytes();
        for kind in [NLMSG_ERROR, NLMSG_DONE] {
            let found = parse(&message(kind, 0, &error), 0, |socket| sockets.push(socket));
            assert!(
                matches!(found, Err(SocketsError::Refused(Errno::ENOENT))),
                "{found:?}"
            );
        }
    }

    #[test]
    fn no_damage_panics() {
        let whole = message(BY_FAMILY, 2, &diag(240));
        for length in 0..whole.len() {
            let mut sockets = Vec::new();
            let cut = &whole[..length];
            assert_eq!(
                parse(cut, 0, |socket| sockets.push(socket)).is_ok(),
                length == 0
            );
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[length] ^= 1 << bit;
                let _ = parse(&flipped, 0, |socket| sockets.push(socket));
            }
        }
    }
}
