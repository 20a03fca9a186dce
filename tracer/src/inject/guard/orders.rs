//! What the guard is told and what it answers.

use serde::{Deserialize, Serialize};

use crate::inject::Interface;

/// The guard stands ready: the fault may begin.
pub(super) const READY: &str = "ready";
/// Everything is undone and was verified.
pub(super) const DONE: &str = "done";
/// Something could not be done; the reason follows.
pub(super) const FAILED: &str = "failed: ";

/// One line of JSON on the guard's standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::inject) struct Orders {
    /// Whose state is to be restored. One guard an interface at a time.
    pub(in crate::inject) interface: Interface,
    /// When to undo although the tool is still there, ms from now.
    pub(in crate::inject) deadline_ms: u64,
    /// What to undo, in this order.
    pub(in crate::inject) undo: Vec<Undo>,
}

/// One thing to undo. An engine that changes something else adds its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::inject) enum Undo {
    /// Request these features of the interface again.
    Offloads(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_each_way() {
        let orders = Orders {
            interface: Interface {
                name: "eth0".to_owned(),
                index: 2,
            },
            deadline_ms: 60_000,
            undo: vec![Undo::Offloads(vec!["tx-checksum-ipv4".to_owned()])],
        };
        let line = serde_json::to_string(&orders).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Orders>(&line).unwrap(), orders);
        assert_eq!(
            line,
            r#"{"interface":{"name":"eth0","index":2},"deadline_ms":60000,"undo":[{"offloads":["tx-checksum-ipv4"]}]}"#
        );
    }
}
