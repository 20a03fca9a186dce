//! What the programs read of a socket, and what they remember of it.

use core::ptr;

use tracer_ebpf::{Baseline, Socket, Tuple, Verdict, mapped};

use crate::counting;
use crate::filter;
use crate::kernel::{Address, TcpSocket, field, field_or_zero};
use crate::maps::{self, BASELINES};
use crate::memory;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

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

/// The bytes of an address that is read in four words, which is as it is aligned.
#[inline(always)]
fn bytes(words: [u32; 4]) -> [u8; 16] {
    // SAFETY: any bytes are both.
    unsafe { core::mem::transmute(words) }
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
            mapped(field!(sk, skc_rcv_saddr, u32)?.to_ne_bytes()),
            mapped(field!(sk, skc_daddr, u32)?.to_ne_bytes()),
        )
    } else if family == AF_INET6 {
        // An IPv6 socket that talks IPv4 keeps the mapped address here.
        (
            bytes(field!(sk, skc_v6_rcv_saddr, [u32; 4])?),
            bytes(field!(sk, skc_v6_daddr, [u32; 4])?),
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
pub fn full_tuple(fields: Address) -> Option<Tuple> {
    let mut tuple = tuple(fields)?;
    tuple.local_port = u16::from_be(field!(fields, inet_sport, u16)?);
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
pub fn retransmitted(tcp: TcpSocket) -> Option<Retransmitted> {
    Some(Retransmitted {
        segments: field!(tcp.fields, total_retrans, u32)?,
        bytes: field!(tcp.fields, bytes_retrans, u64)?,
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
pub fn remember(tcp: TcpSocket) -> *mut Socket {
    let found = memory::get(tcp.sock);
    if !found.is_null() {
        // SAFETY: a live map value; the socket's lock makes us its only user.
        if Ports::of_socket(tcp) == Ports::of(unsafe { &(*found).tuple }) {
            return found;
        }
        forget(tcp);
    }
    match full_tuple(tcp.fields) {
        Some(tuple) => learn(tcp, &tuple),
        None => ptr::null_mut(),
    }
}

/// The memory of a socket whose tuple is known, as [`remember`].
#[inline(always)]
pub fn remember_as(tcp: TcpSocket, tuple: &Tuple) -> *mut Socket {
    let found = find(tcp, tuple);
    if found.is_null() {
        learn(tcp, tuple)
    } else {
        found
    }
}

/// The memory of a socket whose tuple is known, if it has one.
#[inline(always)]
pub fn find(tcp: TcpSocket, tuple: &Tuple) -> *mut Socket {
    let found = memory::get(tcp.sock);
    if !found.is_null() {
        // SAFETY: as above.
        if Ports::of(tuple) == Ports::of(unsafe { &(*found).tuple }) {
            return found;
        }
        forget(tcp);
    }
    ptr::null_mut()
}

/// Lets go of what is remembered of a socket. Where the kernel withheld its end, it may be
/// another one by now.
#[inline(always)]
pub fn forget(tcp: TcpSocket) {
    memory::remove(tcp.sock);
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
    fn of_socket(tcp: TcpSocket) -> Self {
        let pair = field_or_zero!(tcp.fields, skc_dport, u32).to_ne_bytes();
        Self {
            local: u16::from_ne_bytes([pair[2], pair[3]]),
            remote: u16::from_be_bytes([pair[0], pair[1]]),
        }
    }
}

/// Begins to remember a socket, with what is known of its past.
#[inline(always)]
fn learn(tcp: TcpSocket, tuple: &Tuple) -> *mut Socket {
    let verdict = filter::verdict(tuple);
    if matches!(verdict, Verdict::Ignored | Verdict::Elsewhere) {
        return ptr::null_mut();
    }
    let made = memory::insert(tcp.sock, &mut first_seen(tuple, verdict));
    if made.is_null() {
        maps::note_no_room();
    }
    made
}

/// What is known of a socket that nothing is remembered of.
#[inline(always)]
pub fn first_seen(tuple: &Tuple, verdict: Verdict) -> Socket {
    // What it had retransmitted when tracing began.
    // SAFETY: only userspace writes these values, before it lets counting begin.
    let past: Baseline = unsafe { BASELINES.get(tuple) }.copied().unwrap_or_default();
    Socket {
        tuple: *tuple,
        bytes: past.bytes,
        segments: past.segments,
        slot: Socket::NO_SLOT,
        place: counting::place(tuple.netns),
        verdict: verdict as u16,
        last_kind: 0,
    }
}
