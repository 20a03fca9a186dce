//! Fields by a helper, which reads any address: what raw tracepoints are left with.

pub use crate::kernel::{probe as read, probe_or_zero as read_or_zero};

use crate::kernel::{Address, TcpSocket, field};

const IPPROTO_TCP: u16 = 6;

/// The TCP socket at the address of a `struct sock`, if it is one. `inet_sock_set_state`
/// also reports SCTP, and MPTCP's meta socket, which is no `tcp_sock` (its subflows are).
#[inline(always)]
pub fn tcp(sock: Address) -> Option<TcpSocket> {
    (field!(sock, sk_protocol, u16) == Some(IPPROTO_TCP))
        .then_some(TcpSocket { sock, fields: sock })
}
