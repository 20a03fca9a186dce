//! What is remembered of sockets, in the sockets: made at the first retransmit, freed with
//! the socket, and of no number that could be exceeded.

use core::cell::UnsafeCell;
use core::ffi::c_void;

use aya_ebpf::bindings::{
    BPF_F_NO_PREALLOC, BPF_SK_STORAGE_GET_F_CREATE, bpf_map_def, bpf_map_type,
};
use aya_ebpf::helpers::generated::{bpf_sk_storage_delete, bpf_sk_storage_get};
use aya_ebpf::macros::map;
use tracer_ebpf::Socket;

use crate::kernel::Address;

/// `BPF_MAP_TYPE_SK_STORAGE`, for tracing programs since 5.11. Userspace gives the kernel
/// the types of its key and value, without which it makes none.
#[repr(transparent)]
pub struct SocketStorage(UnsafeCell<bpf_map_def>);

// SAFETY: nothing of it is ever read or written: its address stands for the map.
unsafe impl Sync for SocketStorage {}

/// One value a socket that retransmitted.
#[map]
pub static MEMORY: SocketStorage = SocketStorage(UnsafeCell::new(bpf_map_def {
    type_: bpf_map_type::BPF_MAP_TYPE_SK_STORAGE,
    key_size: size_of::<i32>() as u32,
    value_size: size_of::<Socket>() as u32,
    max_entries: 0,
    map_flags: BPF_F_NO_PREALLOC,
    id: 0,
    pinning: 0,
}));

#[inline(always)]
fn storage() -> *mut c_void {
    MEMORY.0.get().cast()
}

/// What is remembered of a socket; null if nothing is.
#[inline(always)]
pub fn get(sock: Address) -> *mut Socket {
    // SAFETY: the verifier lets nothing but a socket come here.
    unsafe { bpf_sk_storage_get(storage(), sock as *mut _, core::ptr::null_mut(), 0) }.cast()
}

/// Remembers a socket; null if there is no memory.
#[inline(always)]
pub fn insert(sock: Address, socket: &mut Socket) -> *mut Socket {
    let flags = u64::from(BPF_SK_STORAGE_GET_F_CREATE);
    let value = (&raw mut *socket).cast();
    // SAFETY: as above; the value is of the size that the map has.
    unsafe { bpf_sk_storage_get(storage(), sock as *mut _, value, flags) }.cast()
}

/// Lets go of a socket.
#[inline(always)]
pub fn remove(sock: Address) {
    // SAFETY: as above. That there was nothing is no error.
    let _ = unsafe { bpf_sk_storage_delete(storage(), sock as *mut _) };
}
