//! Network namespaces: the one the thread is in, those that exist, and entering
//! one. Sockets, counters and interfaces are always those of one namespace.

mod entered;
mod identity;
mod list;
mod private;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use caps::Capability::CAP_SYS_ADMIN;

use crate::kernel::preflight::why_forbidden;

pub(crate) use crate::kernel::netns::entered::Entered;
pub(crate) use crate::kernel::netns::identity::Identity;
pub(crate) use crate::kernel::netns::list::{all, shown};
pub(crate) use crate::kernel::netns::private::in_private;

/// Where `ip netns add` keeps the namespaces it names.
const NAMED: &str = "/run/netns";
/// `thread-self` and not `self`: namespaces belong to threads.
const CURRENT: &str = "/proc/thread-self/ns/net";

/// A network namespace, held open: it exists at least as long as this.
#[derive(Debug)]
pub(crate) struct Netns {
    file: File,
    inode: u32,
    name: Option<String>,
}

/// Why a namespace could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetnsError {
    /// Nothing of that name.
    #[error(
        "there is no network namespace named {0:?} ({NAMED}/{0} does not exist): `ip netns list` shows the names; a container's namespace has none, give its path, /proc/PID/ns/net"
    )]
    NoSuchName(String),
    /// No name.
    #[error(
        "{0:?} is not the name of a network namespace: give a name from `ip netns list`, or a path such as /proc/PID/ns/net"
    )]
    BadName(String),
    /// The file could not be opened.
    #[error("cannot open the network namespace {path}: {cause}; other users' processes need root")]
    Open {
        /// What was opened.
        path: PathBuf,
        /// Why it failed.
        cause: io::Error,
    },
    /// The file is something else.
    #[error(
        "{0} is not a network namespace; a file left in {NAMED} after its namespace went is removed by `ip netns delete`"
    )]
    Other(PathBuf),
    /// The thread could not change over.
    #[error(
        "cannot enter the network namespace net:[{inode}]: {errno}{}",
        why_forbidden(&(*errno).into(), &[CAP_SYS_ADMIN])
    )]
    Enter {
        /// Its inode.
        inode: u32,
        /// Why it failed.
        errno: nix::errno::Errno,
    },
    /// No new one.
    #[error(
        "cannot make a network namespace: {}{}",
        .0,
        why_forbidden(&(*.0).into(), &[CAP_SYS_ADMIN])
    )]
    Make(nix::errno::Errno),
    /// No thread for it.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

impl Netns {
    /// The one that the calling thread is in.
    ///
    /// # Errors
    /// When `/proc` is not mounted.
    pub(crate) fn current() -> Result<Self, NetnsError> {
        Self::at(Path::new(CURRENT))
    }

    /// The one that was asked for: a name as `ip netns` knows it, or anything
    /// with a slash in it as a path, for example `/proc/PID/ns/net`.
    ///
    /// # Errors
    /// When there is none, when it may not be opened, or when it is no network
    /// namespace.
    pub(crate) fn open(name_or_path: &str) -> Result<Self, NetnsError> {
        if name_or_path.contains('/') {
            return Self::at(Path::new(name_or_path));
        }
        if matches!(name_or_path, "" | "." | "..") {
            return Err(NetnsError::BadName(name_or_path.to_owned()));
        }
        match Self::at(&Path::new(NAMED).join(name_or_path)) {
            Ok(found) => Ok(Self {
                name: Some(name_or_path.to_owned()),
                ..found
            }),
            Err(NetnsError::Open { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {
                Err(NetnsError::NoSuchName(name_or_path.to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    /// Its inode number: `net:[N]`, and `Tuple::netns` of its sockets.
    pub(crate) const fn inode(&self) -> u32 {
        self.inode
    }

    /// Its name, if it was found by one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Moves the calling thread into it until the guard is dropped.
    ///
    /// # Errors
    /// Without `CAP_SYS_ADMIN`, or when `/proc` is not mounted.
    pub(crate) fn enter(&self) -> Result<Entered, NetnsError> {
        Entered::new(self)
    }

    fn at(path: &Path) -> Result<Self, NetnsError> {
        let open = |cause| NetnsError::Open {
            path: path.to_owned(),
            cause,
        };
        let file = File::open(path).map_err(open)?;
        // Tells one of the CLONE_NEW… flags; since Linux 4.11, see ioctl_ns(2).
        // SAFETY: this request takes no argument and writes nothing; on a file
        // that is no namespace it fails.
        let kind = unsafe { libc::ioctl(file.as_raw_fd(), libc::NS_GET_NSTYPE) };
        if kind != libc::CLONE_NEWNET {
            return Err(NetnsError::Other(path.to_owned()));
        }
        let inode = file.metadata().map_err(open)?.ino();
        Ok(Self {
            file,
            // `ns_common.inum`, of which this is the number, has 32 bits.
            inode: inode as u32,
            name: None,
        })
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Inode of the network namespace that the calling thread is in.
///
/// # Errors
/// When `/proc` is not mounted.
pub(crate) fn current_inode() -> Result<u32, NetnsError> {
    Ok(Netns::current()?.inode)
}

/// The number in `net:[4026531840]`.
fn inode_of(link: &str) -> Option<u32> {
    link.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_a_network_namespace_or_something_else() {
        assert_eq!(inode_of("net:[4026531840]"), Some(4_026_531_840));
        for other in [
            "mnt:[4026531840]",
            "net:[]",
            "net:[1",
            "/run/netns/a",
            "net:[99999999999]",
        ] {
            assert_eq!(inode_of(other), None, "{other}");
        }
    }

    #[test]
    fn the_current_namespace_is_that_of_this_process() {
        let link = std::fs::read_link("/proc/self/ns/net").expect("link");
        let inode = current_inode().expect("current");
        assert_eq!(link.to_string_lossy(), format!("net:[{inode}]"));
        let path = format!("/proc/{}/ns/net", std::process::id());
        assert_eq!(Netns::open(&path).expect("path").inode(), inode);
    }

    #[test]
    fn what_is_no_network_namespace_is_refused_with_a_reason() {
        let told = |name| Netns::open(name).expect_err(name).to_string();
        assert!(told("/proc/self/ns/mnt").contains("not a network namespace"));
        assert!(told("/dev/null").contains("not a network namespace"));
        assert!(told("no-such-name").contains("`ip netns list`"));
        assert!(told("/no/such/path").contains("cannot open"));
        assert!(matches!(Netns::open(".."), Err(NetnsError::BadName(_))));
    }
}
