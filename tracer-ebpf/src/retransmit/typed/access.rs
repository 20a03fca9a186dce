//! Fields by a load: the verifier knows what the pointers of a typed program point to, and
//! checks each offset against that type.

use aya_ebpf::helpers::generated::bpf_skc_to_tcp_sock;
use tracer_ebpf::ABSENT;

use crate::kernel::{Address, TcpSocket};

/// Reads a value `offset` bytes into a structure; `None` if the kernel does not have the
/// field.
#[inline(always)]
pub fn read<T>(base: Address, offset: u32) -> Option<T> {
    if offset == ABSENT {
        return None;
    }
    // SAFETY: the verifier loads no program in which this is not a part of a structure of
    // the kernel. Volatile, so that it stays one load, of this width.
    Some(unsafe { ((base + u64::from(offset)) as *const T).read_volatile() })
}

/// Reads a value that the programs can do without: zero if the kernel does not have the
/// field.
#[inline(always)]
pub fn read_or_zero<T: Default>(base: Address, offset: u32) -> T {
    read(base, offset).unwrap_or_default()
}

/// The TCP socket of a `struct sock`, if it is one. `inet_sock_set_state` also reports SCTP,
/// and MPTCP's meta socket, which is no `tcp_sock` (its subflows are).
#[inline(always)]
pub fn tcp(sock: Address) -> Option<TcpSocket> {
    // SAFETY: the helper checks what the socket is.
    let fields = unsafe { bpf_skc_to_tcp_sock(sock as *mut _) } as Address;
    (fields != 0).then_some(TcpSocket { sock, fields })
}
