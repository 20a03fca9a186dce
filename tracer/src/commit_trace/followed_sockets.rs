//! The connections that the kernel programs follow, as userspace gives them back.

use aya::maps::{HashMap, MapData};

/// `FOLLOWED_SOCKETS`: the process whose connection it is, by the address of its `struct sock`.
pub(super) struct FollowedSockets(pub(super) HashMap<MapData, u64, u32>);

impl FollowedSockets {
    /// Gives back connections of processes that are not followed, or not any more.
    pub(super) fn give_back(&mut self, connections: impl IntoIterator<Item = (u64, u32)>) {
        let owner = |sock: &u64| self.0.get(sock, 0).ok();
        for sock in removable(connections, owner) {
            // It may have been given back meanwhile.
            let _ = self.0.remove(&sock);
        }
    }
}

/// Which of these connections, each with its process, may be removed: the kernel gives the
/// address of a `struct sock` to the next connection at once, and whose that is has its entry
/// there before userspace is told of it.
fn removable(
    connections: impl IntoIterator<Item = (u64, u32)>,
    owner: impl Fn(&u64) -> Option<u32>,
) -> Vec<u64> {
    let connections = connections.into_iter();
    let own = connections.filter(|(sock, pid)| owner(sock) == Some(*pid));
    own.map(|(sock, _)| sock).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_the_kernel_has_given_to_another_stays_its() {
        // 20 has the address that was 10's; 11's is still its own, and that of 12 is gone.
        let entries = BTreeMap::from([(0xa0, 20), (0xb0, 11)]);
        let owner = |sock: &u64| entries.get(sock).copied();
        let ended = [(0xa0, 10), (0xb0, 11), (0xc0, 12)];
        assert_eq!(removable(ended, owner), [0xb0]);
    }
}
