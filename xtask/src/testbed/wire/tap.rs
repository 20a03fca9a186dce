//! An interface whose frames this process reads and writes.

use std::ffi::c_int;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd as _;

use anyhow::{Context, Result, ensure};

/// `struct ifreq` with flags
/// ([`linux/if.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/if.h)).
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

/// `IFF_TAP | IFF_NO_PI`: Ethernet frames, and nothing in front of them
/// ([`linux/if_tun.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/if_tun.h)).
const FRAMES: i16 = 0x0002 | 0x1000;

mod ioctl {
    use super::{InterfaceRequest, c_int};

    nix::ioctl_write_ptr_bad!(
        /// `TUNSETIFF`, likewise: its number is that of an `int`, its argument is not one.
        set_interface,
        nix::request_code_write!(b'T', 202, size_of::<c_int>()),
        InterfaceRequest
    );
}

/// Makes it in the namespace of the calling thread. It is gone when the file is closed.
pub(super) fn open(name: &str) -> Result<File> {
    const PATH: &str = "/dev/net/tun";
    let file = OpenOptions::new().read(true).write(true).open(PATH);
    let file = file.with_context(|| format!("cannot open {PATH}"))?;
    let mut request = InterfaceRequest {
        name: [0; 16],
        flags: FRAMES,
        rest: [0; 22],
    };
    ensure!(
        name.len() < request.name.len(),
        "`{name}` is too long for an interface"
    );
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: the descriptor is open, and the request is a whole `struct ifreq`.
    unsafe { ioctl::set_interface(file.as_raw_fd(), &raw const request) }
        .with_context(|| format!("cannot make the interface {name}"))?;
    Ok(file)
}
