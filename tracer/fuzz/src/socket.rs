//! Answers of the kernel about its sockets (`NETLINK_SOCK_DIAG`).

use tracer::foreign;

const NETNS: u32 = 4_026_531_840;
/// The shortest message of a socket: `nlmsghdr` and `inet_diag_msg`.
const SHORTEST: usize = 88;

/// The bytes are one datagram.
///
/// There are no more sockets than bytes allow, and all are of the namespace that was asked.
pub fn target(data: &[u8]) {
    let Ok((sockets, _)) = foreign::sockets(data, NETNS) else {
        return;
    };
    assert!(sockets.len() <= data.len() / SHORTEST + 1);
    assert!(sockets.iter().all(|socket| socket.tuple.netns == NETNS));
}
