//! A network namespace of our own, for trying things out.

use nix::sched::{CloneFlags, unshare};

use crate::kernel::netns::NetnsError;
use crate::kernel::own_thread::on_own_thread;

/// Calls the closure on a thread of its own, in a network namespace that is made
/// for it, has nothing but its own `lo` (down), and goes with the thread.
/// Nothing outside of it can be touched from there.
///
/// # Errors
/// When the namespace cannot be made, which needs `CAP_SYS_ADMIN`, or no thread.
///
/// # Panics
/// When the closure does.
pub(crate) fn in_private<T: Send>(inside: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
    let apart = || {
        unshare(CloneFlags::CLONE_NEWNET).map_err(NetnsError::Make)?;
        Ok(inside())
    };
    on_own_thread(apart).map_err(NetnsError::Thread)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::netns::current_inode;

    #[test]
    fn inside_is_another_namespace_with_nothing_but_lo_as_root() {
        let home = current_inode().expect("home");
        let (inside, interfaces) = in_private(|| {
            let interfaces = nix::net::if_::if_nameindex().expect("interfaces");
            let names: Vec<_> = interfaces
                .iter()
                .map(|one| one.name().to_string_lossy().into_owned())
                .collect();
            (current_inode().expect("inside"), names)
        })
        .expect("this test makes a network namespace: run it as root");
        assert_ne!(inside, home);
        assert!(interfaces.iter().any(|name| name == "lo"), "{interfaces:?}");
        assert_eq!(current_inode().expect("after"), home);
    }
}
