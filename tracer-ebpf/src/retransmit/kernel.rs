//! Reading fields of kernel structures.
//!
//! How a field is read is the entry point's choice, see `access` of either: a typed
//! program loads it, another one asks a helper for it.

use aya_ebpf::helpers::bpf_probe_read_kernel;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel as bpf_probe_read_kernel_raw;
use tracer_ebpf::{ABSENT, Gap};

use crate::maps::count_gap;

/// An address in the kernel.
pub type Address = u64;

/// A TCP socket.
#[derive(Clone, Copy)]
pub struct TcpSocket {
    /// The `struct sock` as the tracepoint passed it: what it is remembered by.
    pub sock: Address,
    /// The same as `struct tcp_sock`: what its fields are read from.
    pub fields: Address,
}

/// Reads a resolved offset. Volatile: the compiled-in value is replaced by the
/// loader, and the verifier then sees a constant.
#[inline(always)]
pub fn offset(field: *const u32) -> u32 {
    // SAFETY: callers pass a field of the frozen global `OFFSETS`.
    unsafe { core::ptr::read_volatile(field) }
}

/// Reads a value `offset` bytes into a structure of which the verifier knows nothing;
/// `None` if the kernel does not have the field or it cannot be read.
#[inline(always)]
pub fn probe<T>(base: Address, offset: u32) -> Option<T> {
    if offset == ABSENT {
        return None;
    }
    let source = (base + u64::from(offset)) as *const T;
    // SAFETY: the helper checks the address and fails where it is not mapped.
    match unsafe { bpf_probe_read_kernel(source) } {
        Ok(value) => Some(value),
        Err(_) => {
            count_gap(Gap::ReadFailed);
            None
        }
    }
}

/// Reads a value that the programs can do without: zero if the kernel does not
/// have the field or it cannot be read. No branch: the helper clears what it
/// cannot fill, and every branch here is twice the work for the verifier.
#[inline(always)]
#[allow(dead_code, reason = "typed programs load what this reads")]
pub fn probe_or_zero<T: Default>(base: Address, offset: u32) -> T {
    let mut value = T::default();
    if offset != ABSENT {
        let source = (base + u64::from(offset)) as *const core::ffi::c_void;
        // SAFETY: writes the size of `value` to `value`; the helper checks the
        // source. Callers use types of which any bytes are a value.
        let _ = unsafe {
            bpf_probe_read_kernel_raw((&raw mut value).cast(), size_of::<T>() as u32, source)
        };
    }
    value
}

/// Reads a field by its name in `Offsets`.
macro_rules! field {
    ($base:expr, $name:ident, $type:ty) => {
        $crate::access::read::<$type>(
            $base,
            $crate::kernel::offset(&raw const $crate::maps::OFFSETS.$name),
        )
    };
}
pub(crate) use field;

/// Reads a field that the programs can do without.
macro_rules! field_or_zero {
    ($base:expr, $name:ident, $type:ty) => {
        $crate::access::read_or_zero::<$type>(
            $base,
            $crate::kernel::offset(&raw const $crate::maps::OFFSETS.$name),
        )
    };
}
pub(crate) use field_or_zero;

/// Reads a field of something that the verifier has no type of.
macro_rules! probed {
    ($base:expr, $name:ident, $type:ty) => {
        $crate::kernel::probe::<$type>(
            $base,
            $crate::kernel::offset(&raw const $crate::maps::OFFSETS.$name),
        )
    };
}
pub(crate) use probed;
