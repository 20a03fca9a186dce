//! What a vendor's kernel keeps from the programs that tracer has in it.

use std::fs;
use std::sync::Once;

use anyhow::Result;

/// It is said once.
static NOTE: Once = Once::new();

/// How many of so many hits may be missing: a vendor's kernel withholds them from
/// every program while init is on the CPU, which is more often the busier the machine
/// is. What sockets retransmitted is still found in their sums; of SYN-ACKs and bad
/// checksums there is none, nor of when a socket closed.
///
/// # Errors
/// When the kernel's BTF cannot be read.
pub fn hits(of: u64) -> Result<u64> {
    let types = fs::read("/sys/kernel/btf/vmlinux")?;
    let mark = b"\0init_owned\0";
    let withholds = types.windows(mark.len()).any(|window| window == mark);
    if withholds {
        NOTE.call_once(|| {
            println!("note: this vendor's kernel withholds hits while init is on the CPU");
        });
    }
    Ok(if withholds { 2 + of / 10 } else { 0 })
}

/// How many of so many segments may be missing for good: what such a kernel did not show
/// of a connection that has closed is nowhere else.
///
/// # Errors
/// As [`hits`].
pub(crate) fn segments(of: u64) -> Result<u64> {
    Ok(match hits(0)? {
        0 => 0,
        few => few.max(of / 1_000),
    })
}
