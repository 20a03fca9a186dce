//! Reading fields of kernel structures.

use aya_ebpf::helpers::bpf_probe_read_kernel;
use tracer_ebpf::{ABSENT, Gap};

use crate::maps::count_gap;

/// An address in the kernel.
pub type Address = u64;

/// Reads a resolved offset. Volatile: the compiled-in value is replaced by the
/// loader, and the verifier then sees a constant.
#[inline(always)]
pub fn offset(field: *const u32) -> u32 {
    // SAFETY: callers pass a field of the frozen global `OFFSETS`.
    unsafe { core::ptr::read_volatile(field) }
}

/// Reads a value `offset` bytes into a structure; `None` if the kernel does not
/// have the field or it cannot be read.
#[inline(always)]
pub fn read<T>(base: Address, offset: u32) -> Option<T> {
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

/// Reads a field by its name in `Offsets`.
macro_rules! field {
    ($base:expr, $name:ident, $type:ty) => {
        $crate::kernel::read::<$type>(
            $base,
            $crate::kernel::offset(&raw const $crate::maps::OFFSETS.$name),
        )
    };
}
pub(crate) use field;
