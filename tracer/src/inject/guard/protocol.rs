//! The guard's orders and what it answers.

use serde::{Deserialize, Serialize};

use crate::inject::Note;
use crate::inject::guard::origin::Origin;
use crate::inject::guard::undo::Undo;

/// The guard stands ready: the fault may begin.
pub(super) const READY: &str = "ready";
/// Everything is undone and was verified.
pub(super) const DONE: &str = "done";
/// Something could not be done; the reason follows.
pub(super) const FAILED: &str = "failed: ";

/// One line of JSON on the guard's standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// Whose state is to be restored. One guard an interface at a time.
    pub(crate) origin: Origin,
    /// When to undo although the tool is still there, ms from now.
    pub(crate) deadline_ms: u64,
    /// What to undo, in this order.
    pub(crate) undo: Vec<Undo>,
    /// What others may know of it.
    pub(crate) note: Note,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inject::{Directions, Interface};
    use crate::kernel::netns::Identity;
    use crate::kernel::tc::Handle;

    #[test]
    fn one_line_each_way() {
        let orders = Orders {
            origin: Origin {
                netns: Identity {
                    inode: 4_026_531_840,
                    cookie: Some(1),
                    boot_id: Some("a".to_owned()),
                },
                interface: Interface {
                    name: "eth0".to_owned(),
                    index: 2,
                },
                marks: None,
            },
            deadline_ms: 60_000,
            undo: vec![
                Undo::Root {
                    handle: Handle::major(0x7472),
                },
                Undo::Offloads(vec!["tx-checksum-ipv4".to_owned()]),
            ],
            note: Note {
                pid: 7,
                faults: vec!["corrupt=50%".to_owned()],
                peers: vec!["10.0.10.2".to_owned()],
                ports: vec![5432],
                direction: Directions::Out,
                hook: "tcx".to_owned(),
                lasts_ms: 55_000,
            },
        };
        let line = serde_json::to_string(&orders).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Orders>(&line).unwrap(), orders);
        assert!(
            line.contains(
                r#""undo":[{"root":{"handle":1953628160}},{"offloads":["tx-checksum-ipv4"]}]"#
            ),
            "{line}"
        );
    }
}
