//! What is remembered of sockets, in a table of its own, keyed by the address of the
//! `struct sock`: for kernels that keep nothing in a socket for tracing programs.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use tracer_ebpf::Socket;

use crate::kernel::Address;

/// One entry a socket that retransmitted, removed when it closes. Userspace sizes it by the
/// sockets there are.
#[map]
pub static SOCKETS: HashMap<u64, Socket> = HashMap::with_max_entries(1, 0);

/// What is remembered of a socket; null if nothing is.
#[inline(always)]
pub fn get(sock: Address) -> *mut Socket {
    SOCKETS.get_ptr_mut(sock).unwrap_or(core::ptr::null_mut())
}

/// Remembers a socket; null if there is no room.
#[inline(always)]
pub fn insert(sock: Address, socket: &mut Socket) -> *mut Socket {
    match SOCKETS.insert(sock, socket, u64::from(BPF_NOEXIST)) {
        Ok(()) => get(sock),
        Err(_) => core::ptr::null_mut(),
    }
}

/// Lets go of a socket.
#[inline(always)]
pub fn remove(sock: Address) {
    let _ = SOCKETS.remove(sock);
}
