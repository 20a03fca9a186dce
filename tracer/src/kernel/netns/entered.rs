//! A stay in another network namespace.

use std::marker::PhantomData;

use nix::sched::{CloneFlags, setns};

use crate::kernel::netns::{Netns, NetnsError};

/// The calling thread is in another namespace; dropping this brings it back. It
/// cannot be sent to another thread, which would be brought somewhere else.
///
/// The way back needs `CAP_SYS_ADMIN` too: drop this before the capability. A
/// thread that is there already needs nothing.
#[derive(Debug)]
#[must_use = "the thread returns to its own namespace when this is dropped"]
pub(crate) struct Entered {
    home: Option<Netns>,
    _this_thread: PhantomData<*const ()>,
}

impl Entered {
    pub(super) fn new(target: &Netns) -> Result<Self, NetnsError> {
        let home = Netns::current()?;
        let moves = home.inode() != target.inode();
        if moves {
            go(target)?;
        }
        Ok(Self {
            home: moves.then_some(home),
            _this_thread: PhantomData,
        })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.home.as_ref().map(go) {
            log::error!("{error}; what follows is seen from the wrong network namespace");
        }
    }
}

fn go(to: &Netns) -> Result<(), NetnsError> {
    setns(to, CloneFlags::CLONE_NEWNET).map_err(|errno| NetnsError::Enter {
        inode: to.inode(),
        errno,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use nix::sched::unshare;

    use super::*;
    use crate::kernel::counters::CounterFile;
    use crate::kernel::netns::{all, current_inode};
    use crate::kernel::sockets;

    /// Lends a namespace that another thread made for itself.
    fn with_other_namespace(test: impl FnOnce(Netns)) {
        assert!(
            nix::unistd::geteuid().is_root(),
            "this test makes a network namespace: run it as root"
        );
        let (send, receive) = mpsc::channel();
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("unshare");
            send.send(Netns::current().expect("current")).expect("send");
            // Until `stop` is dropped.
            let _ = stopped.recv();
        });
        test(receive.recv().expect("namespace"));
        drop(stop);
        thread.join().expect("join");
    }

    #[test]
    fn a_thread_enters_and_comes_back_as_root() {
        with_other_namespace(|other| {
            let home = current_inode().expect("home");
            assert_ne!(other.inode(), home);
            let entered = other.enter().expect("enter");
            assert_eq!(current_inode().expect("inside"), other.inode());
            drop(entered);
            assert_eq!(current_inode().expect("back"), home);
        });
    }

    #[test]
    fn counters_and_sockets_are_those_of_the_namespace_that_was_entered_as_root() {
        with_other_namespace(|other| {
            let entered = other.enter().expect("enter");
            let mut file = CounterFile::open().expect("counters");
            assert_eq!(sockets::dump(other.inode()).expect("dump"), []);
            drop(entered);
            // The file stays with the namespace, in which nothing ever happened.
            assert_eq!(file.tcp().expect("tcp").in_segs, Some(0));
        });
    }

    #[test]
    fn a_namespace_is_found_by_the_name_that_ip_gave_it_as_root() {
        let ip = |verb, name: &str| {
            let status = std::process::Command::new("ip")
                .args(["netns", verb, name])
                .status();
            let status = status.expect("this test runs `ip` (package iproute2)");
            assert!(
                status.success(),
                "this test makes a network namespace: run it as root"
            );
        };
        let name = format!("tracer-test-{}", std::process::id());
        ip("add", &name);
        let (found, list) = (Netns::open(&name), all());
        ip("delete", &name);
        let found = found.expect("open");
        assert_eq!(found.name(), Some(name.as_str()));
        let listed = list.expect("list");
        let same = listed.iter().find(|n| n.inode() == found.inode());
        assert_eq!(same.and_then(Netns::name), Some(name.as_str()));
        let entered = found.enter().expect("enter");
        assert_eq!(current_inode().expect("inside"), found.inode());
        drop(entered);
    }

    #[test]
    fn the_list_holds_the_namespace_of_this_thread_first() {
        let list = all().expect("list");
        assert_eq!(list[0].inode(), current_inode().expect("current"));
        let mut inodes: Vec<_> = list.iter().map(Netns::inode).collect();
        inodes.sort_unstable();
        inodes.dedup();
        assert_eq!(inodes.len(), list.len(), "a namespace is listed twice");
    }
}
