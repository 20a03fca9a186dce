//! The TCP sockets that exist: where tracing starts counting from, and what a
//! socket has counted by itself at the end.
//!
//! The kernel is asked through `NETLINK_SOCK_DIAG`, as `ss` does. The messages
//! are fixed structs and one array of attributes; `struct tcp_info` in them grows
//! with every few kernels, so each of its fields is there or not, by length.
//!
//! See `sock_diag(7)` and
//! <https://elixir.bootlin.com/linux/v6.18/source/include/uapi/linux/inet_diag.h>.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod inquirer;
mod message;

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket,
};
use nix::sys::time::TimeVal;
use tracer_ebpf::Tuple;

use crate::kernel::sockets::message::{Progress, SocketFamily};

pub use crate::kernel::sockets::inquirer::Inquirer;

/// The kernel fills at most 32 KiB a time (`netlink_dump()`).
const BUFFER: usize = 64 * 1024;
/// An answer that is not there by then never comes: it is made while we ask.
const TIMEOUT_S: i64 = 5;
/// A dump that the kernel had to interrupt is begun again as often.
const TRIES: u32 = 4;

/// One TCP socket. Of `tcp_info`, `None` is what this kernel does not report, or
/// not for a socket in this state (a request that is not accepted yet has none).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketInfo {
    /// Its ends.
    pub tuple: Tuple,
    /// TCP state (`TCP_ESTABLISHED` 1 …); 3 for a request not accepted yet.
    pub state: u8,
    /// Congestion state (Open 0, Disorder 1, CWR 2, Recovery 3, Loss 4).
    pub ca_state: Option<u8>,
    /// Segments that were sent and are not acknowledged yet.
    pub unacked: Option<u32>,
    /// Inode of its file, as in `/proc/PID/fd`; 0 if it has none.
    pub inode: u32,
    /// User who owns it.
    pub uid: u32,
    /// The kernel's name for the socket: never used again, unlike an inode.
    pub cookie: u64,
    /// Segments retransmitted since it was opened.
    pub total_retrans: Option<u32>,
    /// Since the last acknowledgement, ms.
    pub last_ack_recv_ms: Option<u32>,
    /// Segments sent since it was opened, pure acknowledgements and what was retransmitted
    /// included.
    pub segs_out: Option<u32>,
    /// Segments that have arrived since it was opened, pure acknowledgements included
    /// and those with a wrong checksum not.
    pub segs_in: Option<u32>,
    /// The least round-trip time of the last minutes (`tcp_min_rtt_wlen`), µs.
    pub min_rtt_us: Option<u32>,
    /// Bytes retransmitted since it was opened; since Linux 4.19.
    pub bytes_retrans: Option<u64>,
    /// Segments that the peer said it had already when they came again (DSACK, RFC 2883);
    /// since Linux 4.19.
    pub dsack_dups: Option<u32>,
    /// Segments that arrived while one before them was missing; since Linux 5.4.
    pub rcv_ooopack: Option<u32>,
    /// Smoothed round-trip time, µs; 0 before the first measurement.
    pub srtt_us: Option<u32>,
    /// Retransmission timeout, µs.
    pub rto_us: Option<u32>,
    /// Congestion window, segments.
    pub cwnd: Option<u32>,
    /// What our programs keep in it; `None` if they keep nothing, or were not asked for.
    pub accounted: Option<Accounted>,
}

/// What of a socket's sums our programs have taken in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounted {
    /// Retransmitted segments.
    pub segments: u32,
    /// Retransmitted bytes.
    pub bytes: u64,
}

/// Why the sockets are not known.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    /// No conversation with the kernel.
    #[error(
        "cannot ask the kernel for its TCP sockets ({step}): {errno}; is NETLINK_SOCK_DIAG forbidden by a sandbox?"
    )]
    Netlink {
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        errno: Errno,
    },
    /// The kernel refused.
    #[error(
        "the kernel refused to list its TCP sockets: {0}; it needs CONFIG_INET_DIAG and CONFIG_INET_TCP_DIAG: try `modprobe tcp_diag`"
    )]
    Refused(Errno),
    /// Its answer makes no sense.
    #[error("the kernel's list of TCP sockets cannot be understood: {0}")]
    Malformed(&'static str),
    /// The list changed under the kernel's hands, again and again.
    #[error(
        "the kernel's list of TCP sockets was interrupted {TRIES} times: try again when fewer connections come and go"
    )]
    Interrupted,
}

/// When the peer of an open connection acknowledged something last, ns of the clock that
/// `now_ns` is of.
#[must_use]
pub fn heard_ns(socket: &SocketInfo, now_ns: u64) -> Option<u64> {
    let since_ms = socket.last_ack_recv_ms.filter(|_| is_open(socket))?;
    Some(now_ns.saturating_sub(u64::from(since_ms) * 1_000_000))
}

/// Whether its peer has answered: neither a request of one's own, nor one of the peer's that
/// waits for its acknowledgement
/// ([states](https://github.com/torvalds/linux/blob/v6.12/include/net/tcp_states.h)).
#[must_use]
pub fn is_open(socket: &SocketInfo) -> bool {
    const SYN_SENT: u8 = 2;
    const SYN_RECV: u8 = 3;
    ![SYN_SENT, SYN_RECV].contains(&socket.state)
}

/// All TCP sockets of the calling thread's network namespace except those that
/// listen and those in TIME_WAIT; `netns` is the inode of that namespace and is
/// put into every tuple. Needs no privilege.
///
/// # Errors
/// When the kernel cannot be asked, refuses, or is interrupted too often.
pub fn dump(netns: u32) -> Result<Vec<SocketInfo>, SocketsError> {
    each(netns, None, |all: &mut Vec<_>, socket| all.push(*socket))
}

/// As [`dump`], one after the other, and what was made of them all: there may be very many. Where
/// the kernel interrupts itself, that is begun again, and a socket may come twice.
///
/// With what our programs keep in the sockets, in this map of theirs
/// (`INET_DIAG_REQ_SK_BPF_STORAGES`, since Linux 5.7), which needs `CAP_BPF`.
///
/// # Errors
/// As [`dump`].
pub(crate) fn each<T: Default>(
    netns: u32,
    storage: Option<BorrowedFd<'_>>,
    mut take: impl FnMut(&mut T, &SocketInfo),
) -> Result<T, SocketsError> {
    let mut buffer = vec![0; BUFFER];
    for _ in 0..TRIES {
        let mut all = T::default();
        let mut is_whole = true;
        for family in [SocketFamily::V4, SocketFamily::V6] {
            let request = match storage {
                Some(map) => message::request_with_storage(family, map.as_raw_fd()),
                None => message::request(family).to_vec(),
            };
            let take = |socket: SocketInfo| take(&mut all, &socket);
            // A new conversation each time: nothing of the old one is left in it.
            is_whole = is_whole && dump_family(&request, netns, &mut buffer, take)?;
        }
        if is_whole {
            return Ok(all);
        }
    }
    Err(SocketsError::Interrupted)
}

/// Returns whether the dump came through uninterrupted.
fn dump_family(
    request: &[u8],
    netns: u32,
    buffer: &mut [u8],
    mut take: impl FnMut(SocketInfo),
) -> Result<bool, SocketsError> {
    let failed = |step| move |errno| SocketsError::Netlink { step, errno };
    let socket = open().map_err(failed("socket"))?;
    send(socket.as_raw_fd(), request, MsgFlags::empty()).map_err(failed("send"))?;
    let mut clean = true;
    loop {
        let length = match recv(socket.as_raw_fd(), buffer, MsgFlags::empty()) {
            Ok(length) => length,
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(failed("receive")(errno)),
        };
        let datagram = buffer.get(..length).unwrap_or_default();
        let Progress { done, interrupted } = message::parse(datagram, netns, &mut take)?;
        clean &= !interrupted;
        if done {
            return Ok(clean);
        }
    }
}

/// The sockets of one datagram of the kernel's answer, and whether that ends with it.
///
/// # Errors
/// When the kernel refuses, or what it says is cut short.
pub(crate) fn of_datagram(
    datagram: &[u8],
    netns: u32,
) -> Result<(Vec<SocketInfo>, bool), SocketsError> {
    let mut sockets = Vec::new();
    let Progress { done, .. } = message::parse(datagram, netns, |socket| sockets.push(socket))?;
    Ok((sockets, done))
}

fn open() -> nix::Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::new(TIMEOUT_S, 0))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Sockets of this process are found with both ends, an inode and counters.
    fn finds_own_connection(address: &str, expected: [u8; 16]) {
        let listener = TcpListener::bind((address, 0)).expect("bind");
        let client = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
        let port = client.local_addr().expect("address").port();
        let sockets = dump(7).expect("dump");
        let mine: Vec<_> = sockets
            .iter()
            .filter(|s| s.tuple.local_port == port && s.tuple.local == expected)
            .collect();
        assert_eq!(mine.len(), 1, "{mine:?}");
        let found = mine[0];
        assert_eq!(found.tuple.remote, expected);
        assert_eq!(
            found.tuple.remote_port,
            listener.local_addr().expect("address").port()
        );
        assert_eq!((found.tuple.netns, found.state), (7, 1));
        assert!(found.inode != 0 && found.cookie != 0);
        assert_eq!(found.total_retrans, Some(0));
        assert_eq!(found.bytes_retrans, Some(0));
        assert_eq!(found.cwnd, Some(10));
        assert!(
            found
                .rto_us
                .is_some_and(|rto| (100_000..=1_000_000).contains(&rto))
        );
        let link = std::fs::read_link(format!("/proc/self/fd/{}", client.as_raw_fd())).expect("fd");
        assert_eq!(link.to_string_lossy(), format!("socket:[{}]", found.inode));
        let listens = sockets.iter().any(|s| s.state == 10 || s.state == 6);
        assert!(!listens, "a listening or TIME_WAIT socket was listed");
    }

    #[test]
    fn an_ipv4_connection_is_found() {
        let mapped = std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped().octets();
        finds_own_connection("127.0.0.1", mapped);
    }

    #[test]
    fn an_ipv6_connection_is_found() {
        finds_own_connection("::1", std::net::Ipv6Addr::LOCALHOST.octets());
    }
}
