//! What the programs read of a socket, and what they remember of it.

use core::ptr;

use aya_ebpf::bindings::BPF_NOEXIST;
use tracer_ebpf::{Baseline, Gap, Socket, Tuple, Verdict};

use crate::filter;
use crate::kernel::{Address, field, field_or_zero};
use crate::maps::{BASELINES, SOCKETS, count_gap};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const IPPROTO_TCP: u16 = 6;

/// TCP states of
/// [`net/tcp_states.h`](https://github.com/torvalds/linux/blob/v6.12/include/net/tcp_states.h).
pub mod tcp_state {
    pub const ESTABLISHED: u8 = 1;
    pub const SYN_SENT: u8 = 2;
    pub const SYN_RECV: u8 = 3;
    pub const CLOSE: u8 = 7;
    pub const LISTEN: u8 = 10;
    pub const NEW_SYN_RECV: u8 = 12;
}

/// `::ffff:0:0/96` with an IPv4 address in network order.
#[inline(always)]
pub fn mapped(address: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[10] = 0xff;
    bytes[11] = 0xff;
    let address = address.to_ne_bytes();
    bytes[12] = address[0];
    bytes[13] = address[1];
    bytes[14] = address[2];
    bytes[15] = address[3];
    bytes
}

/// Whether a `struct sock` is a TCP socket. `inet_sock_set_state` also reports
/// SCTP, and MPTCP's meta socket, which is no `tcp_sock` (its subflows are).
#[inline(always)]
pub fn is_tcp(sk: Address) -> bool {
    field!(sk, sk_protocol, u16) == Some(IPPROTO_TCP)
}

/// The inode of a network namespace.
#[inline(always)]
pub fn namespace(net: Address) -> Option<u32> {
    field!(net, net_inum, u32)
}

/// The ends of anything that begins with a `struct sock_common`: a socket, a
/// request or a time-wait socket. The local port is gone from there once a
/// socket has released it, see [`full_tuple`].
#[inline(always)]
pub fn tuple(sk: Address) -> Option<Tuple> {
    let netns = namespace(field!(sk, skc_net, u64)?)?;
    let family = field!(sk, skc_family, u16)?;
    let (local, remote) = if family == AF_INET {
        (
            mapped(field!(sk, skc_rcv_saddr, u32)?),
            mapped(field!(sk, skc_daddr, u32)?),
        )
    } else if family == AF_INET6 {
        // An IPv6 socket that talks IPv4 keeps the mapped address here.
        (
            field!(sk, skc_v6_rcv_saddr, [u8; 16])?,
            field!(sk, skc_v6_daddr, [u8; 16])?,
        )
    } else {
        return None;
    };
    Some(Tuple {
        local,
        remote,
        local_port: field!(sk, skc_num, u16)?,
        remote_port: u16::from_be(field!(sk, skc_dport, u16)?),
        netns,
    })
}

/// The ends of a full socket, also after it has released its port: the tracepoint
/// of a close fires after `inet_put_port`
/// ([`tcp_set_state`](https://github.com/torvalds/linux/blob/v6.12/net/ipv4/tcp.c#L2921)),
/// which clears `inet_num` but not `inet_sport`.
#[inline(always)]
pub fn full_tuple(sk: Address) -> Option<Tuple> {
    let mut tuple = tuple(sk)?;
    tuple.local_port = u16::from_be(field!(sk, inet_sport, u16)?);
    Some(tuple)
}

/// The kernel's own sums of a socket.
#[derive(Clone, Copy)]
pub struct Retransmitted {
    pub segments: u32,
    pub bytes: u64,
}

/// Reads the sums that grow with `RetransSegs`, see
/// [`__tcp_retransmit_skb`](https://github.com/torvalds/linux/blob/v6.12/net/ipv4/tcp_output.c#L3379).
#[inline(always)]
pub fn retransmitted(sk: Address) -> Option<Retransmitted> {
    Some(Retransmitted {
        segments: field!(sk, total_retrans, u32)?,
        bytes: field!(sk, bytes_retrans, u64)?,
    })
}

/// The memory of a socket: found, or made with what is known of its past. A socket that
/// is not to be counted has none: what happens in other namespaces takes no room here.
///
/// A socket that is seen for the first time was either in the dump that
/// userspace took at the start, or had retransmitted nothing by then.
///
/// Null if there is none: where an `Option` is `None`, its pointer is not written, and the
/// verifier refuses that this is kept on the stack.
#[inline(always)]
pub fn remember(sk: Address) -> *mut Socket {
    if let Some(socket) = SOCKETS.get_ptr_mut(sk) {
        // SAFETY: a live map value; the socket's lock makes us its only user.
        if Ports::of_socket(sk) == Ports::of(unsafe { &(*socket).tuple }) {
            return socket;
        }
        forget(sk);
    }
    match full_tuple(sk) {
        Some(tuple) => learn(sk, &tuple),
        None => ptr::null_mut(),
    }
}

/// The memory of a socket whose tuple is known, as [`remember`].
#[inline(always)]
pub fn remember_as(sk: Address, tuple: &Tuple) -> *mut Socket {
    if let Some(socket) = SOCKETS.get_ptr_mut(sk) {
        // SAFETY: as above.
        if Ports::of(tuple) == Ports::of(unsafe { &(*socket).tuple }) {
            return socket;
        }
        forget(sk);
    }
    learn(sk, tuple)
}

/// Lets go of what is remembered under an address. Where the kernel withheld the
/// end of a socket, another may live there by now.
#[inline(always)]
pub fn forget(sk: Address) {
    let _ = SOCKETS.remove(sk);
}

/// By what one socket is told from the next at the same address.
#[derive(PartialEq, Eq)]
struct Ports {
    local: u16,
    remote: u16,
}

impl Ports {
    #[inline(always)]
    fn of(tuple: &Tuple) -> Self {
        Self {
            local: tuple.local_port,
            remote: tuple.remote_port,
        }
    }

    /// Both in one read: `skc_dport` and `skc_num` are the two halves of
    /// [`skc_portpair`](https://github.com/torvalds/linux/blob/v6.12/include/net/sock.h#L168).
    #[inline(always)]
    fn of_socket(sk: Address) -> Self {
        let pair = field_or_zero!(sk, skc_dport, [u8; 4]);
        Self {
            local: u16::from_ne_bytes([pair[2], pair[3]]),
            remote: u16::from_be_bytes([pair[0], pair[1]]),
        }
    }
}

/// Begins to remember a socket, with what is known of its past.
#[inline(always)]
fn learn(sk: Address, tuple: &Tuple) -> *mut Socket {
    let verdict = filter::verdict(tuple);
    if matches!(verdict, Verdict::Ignored | Verdict::Elsewhere) {
        return ptr::null_mut();
    }
    let past = past(tuple);
    let socket = Socket {
        tuple: *tuple,
        bytes: past.bytes,
        segments: past.segments,
        slot: Socket::NO_SLOT,
        verdict: verdict as u32,
        last_kind: 0,
    };
    if SOCKETS.insert(sk, socket, u64::from(BPF_NOEXIST)).is_err() {
        count_gap(Gap::SocketsFull);
        return ptr::null_mut();
    }
    SOCKETS.get_ptr_mut(sk).unwrap_or(ptr::null_mut())
}

/// What a socket had retransmitted when tracing began.
#[inline(always)]
fn past(tuple: &Tuple) -> Baseline {
    // SAFETY: only userspace writes these values, before it lets counting begin.
    unsafe { BASELINES.get(tuple) }.copied().unwrap_or_default()
}
