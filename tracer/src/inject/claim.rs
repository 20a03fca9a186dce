//! One fault an interface at a time: or a second one would take what the first one
//! changed for the state to restore.

use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};

use super::Interface;

/// Holds an interface until it is dropped or the process ends. An abstract
/// socket: one a network namespace, whatever becomes of files.
#[derive(Debug)]
pub(super) struct Claim(#[expect(dead_code, reason = "what holds is that it is open")] OwnedFd);

impl Claim {
    /// [`Errno::EADDRINUSE`] if another process holds it.
    pub(super) fn take(interface: &Interface) -> nix::Result<Self> {
        let socket = socket(
            AddressFamily::Unix,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        let name = format!("tracer-fault-{}", interface.index);
        bind(
            socket.as_raw_fd(),
            &UnixAddr::new_abstract(name.as_bytes())?,
        )?;
        Ok(Self(socket))
    }
}
