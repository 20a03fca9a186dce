//! Which network namespace it is, among those that were and will be, too.

use std::fs;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use serde::{Deserialize, Serialize};

use crate::kernel::netns::{Netns, NetnsError};

/// An inode is given to another namespace soon after its own is gone; a cookie never
/// is, until the host is booted again
/// ([`net_cookie`](https://github.com/torvalds/linux/blob/v6.18/net/core/net_namespace.c)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Inode number: `net:[N]`.
    #[serde(rename = "netns")]
    pub inode: u32,
    /// Its cookie; [`None`] before Linux 5.14.
    #[serde(default, rename = "netns_cookie")]
    pub cookie: Option<u64>,
    /// Of the boot that it belongs to; [`None`] where `/proc` does not tell.
    #[serde(default)]
    pub boot_id: Option<String>,
}

impl Identity {
    /// Of the one that the calling thread is in.
    ///
    /// # Errors
    /// When `/proc` is not mounted.
    pub(crate) fn current() -> Result<Self, NetnsError> {
        Ok(Self {
            inode: Netns::current()?.inode(),
            cookie: cookie(),
            boot_id: boot_id(),
        })
    }

    /// Whether nothing speaks against the two being one. What either does not know,
    /// says nothing.
    #[must_use]
    pub(crate) fn may_be(&self, other: &Self) -> bool {
        self.inode == other.inode
            && agree(&self.cookie, &other.cookie)
            && agree(&self.boot_id, &other.boot_id)
    }

    /// Whether it was there before the host was booted, and so is not any more.
    #[must_use]
    pub(crate) fn is_of_another_boot(&self) -> bool {
        !agree(&self.boot_id, &boot_id())
    }
}

fn agree<T: PartialEq>(one: &Option<T>, other: &Option<T>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

/// Of the namespace that a socket of this thread is made in.
fn cookie() -> Option<u64> {
    let socket = socket(
        AddressFamily::Unix,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .ok()?;
    let mut cookie = 0_u64;
    let mut length = size_of_val(&cookie) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which the number has, and the
    // length that it wrote.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    (result == 0 && length as usize == size_of_val(&cookie)).then_some(cookie)
}

fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::netns::in_private;

    #[test]
    fn what_is_not_known_says_nothing_and_what_is_decides() {
        let known = Identity {
            inode: 7,
            cookie: Some(1),
            boot_id: Some("a".to_owned()),
        };
        let old = Identity {
            inode: 7,
            cookie: None,
            boot_id: None,
        };
        assert!(known.may_be(&known) && known.may_be(&old) && old.may_be(&known));
        for other in [
            Identity {
                inode: 8,
                ..known.clone()
            },
            Identity {
                cookie: Some(2),
                ..known.clone()
            },
            Identity {
                boot_id: Some("b".to_owned()),
                ..known.clone()
            },
        ] {
            assert!(!known.may_be(&other), "{other:?}");
        }
        assert!(known.is_of_another_boot() && !old.is_of_another_boot());
    }

    #[test]
    fn another_namespace_has_another_cookie_as_root() {
        let inside = || Identity::current().expect("current");
        let here = inside();
        assert!(here.may_be(&inside()) && !here.is_of_another_boot());
        let there =
            in_private(inside).expect("this test makes a network namespace: run it as root");
        assert!(!here.may_be(&there));
        if let (Some(here), Some(there)) = (here.cookie, there.cookie) {
            assert_ne!(here, there);
        }
    }
}
