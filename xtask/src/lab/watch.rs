//! Who was what, when: what each node's Patroni and PostgreSQL say of themselves,
//! asked on the node, so that no fault of the network keeps the answer away.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use serde_json::{Value, json};

use super::cluster::{Cluster, DATABASES};
use super::patroni::{self, Member};
use crate::testbed::load::phase::rfc3339;
use crate::testbed::postgres::{self, Connection};

/// Between two polls: well below the time that a change of roles takes.
const POLL: Duration = Duration::from_millis(100);

/// For PostgreSQL's answer about itself.
const ANSWER: Duration = Duration::from_secs(1);

/// What one node says of itself; `None` where nobody answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeState {
    pub(super) member: Option<Member>,
    /// By PostgreSQL: whether it is no standby.
    pub(super) writable: Option<bool>,
}

/// From this moment on, it was so.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) at: SystemTime,
    pub(super) node: &'static str,
    pub(super) state: NodeState,
}

/// Polls as long as it lives.
#[derive(Debug)]
pub(super) struct Watch {
    stopping: Arc<AtomicBool>,
    pollers: Vec<JoinHandle<Result<Vec<Change>>>>,
}

impl Watch {
    pub(super) fn start(cluster: &Cluster) -> Result<Self> {
        let mut watch = Self {
            stopping: Arc::default(),
            pollers: Vec::new(),
        };
        for node in DATABASES {
            let host = cluster.host(node)?;
            let (address, folder) = (host.v4, cluster.socket_dir(node));
            let stopping = Arc::clone(&watch.stopping);
            watch.pollers.push(host.netns.spawn(move || {
                let mut poller = Poller {
                    address,
                    folder,
                    connection: None,
                    last: None,
                };
                let mut changes = Vec::new();
                while !stopping.load(Ordering::Relaxed) {
                    changes.extend(poller.poll(node));
                    sleep(POLL);
                }
                changes
            })?);
        }
        Ok(watch)
    }

    /// All changes, in the order of their times.
    pub(super) fn stop(mut self) -> Vec<Change> {
        let mut changes = self.finish();
        changes.sort_by_key(|change| change.at);
        changes
    }

    fn finish(&mut self) -> Vec<Change> {
        self.stopping.store(true, Ordering::Relaxed);
        let ended = self.pollers.drain(..);
        let changes = ended.filter_map(|poller| poller.join().ok()?.ok());
        changes.flatten().collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Polls one node.
struct Poller {
    address: Ipv4Addr,
    folder: PathBuf,
    connection: Option<Connection>,
    last: Option<NodeState>,
}

impl Poller {
    /// What has changed since the last poll.
    fn poll(&mut self, node: &'static str) -> Option<Change> {
        // The database first: it answers at once, and it is the one that writes.
        let at = SystemTime::now();
        let writable = self.writable();
        let member = patroni::ask_from_inside(self.address).ok();
        let state = NodeState { member, writable };
        let last = self.last.replace(state.clone());
        (last.as_ref() != Some(&state)).then_some(Change { at, node, state })
    }

    fn writable(&mut self) -> Option<bool> {
        let kept = self.connection.take().and_then(|it| self.ask(it));
        // A connection may have been cut where the server was not.
        kept.or_else(|| {
            let socket = postgres::socket(&self.folder);
            self.ask(Connection::unix(&socket, "watch", ANSWER).ok()?)
        })
    }

    fn ask(&mut self, mut connection: Connection) -> Option<bool> {
        let recovering = connection.value("select pg_is_in_recovery()").ok()?;
        self.connection = Some(connection);
        Some(recovering.as_deref() == Some("f"))
    }
}

impl NodeState {
    /// As a person reads it.
    pub(super) fn words(&self) -> String {
        let database = match self.writable {
            Some(true) => "takes writes",
            Some(false) => "read-only",
            None => "PostgreSQL does not answer",
        };
        match &self.member {
            Some(member) => format!("{member}; {database}"),
            None => format!("Patroni does not answer; {database}"),
        }
    }
}

pub(super) fn json(changes: &[Change]) -> Value {
    let change = |change: &Change| {
        let member = change.state.member.as_ref();
        json!({
            "time": rfc3339(change.at),
            "node": change.node,
            "role": member.map(|member| &member.role),
            "state": member.map(|member| &member.state),
            "timeline": member.and_then(|member| member.timeline),
            "synchronous": member.map(|member| member.synchronous),
            "takes_writes": change.state.writable,
        })
    };
    changes.iter().map(change).collect()
}

/// The stretches in which a node took writes, by its own account.
pub(super) fn reigns(changes: &[Change], node: &str) -> Vec<(SystemTime, Option<SystemTime>)> {
    let mut reigns: Vec<(SystemTime, Option<SystemTime>)> = Vec::new();
    let mut reigning = false;
    for change in changes.iter().filter(|change| change.node == node) {
        let now = change.state.writable == Some(true);
        match (reigning, now) {
            (false, true) => reigns.push((change.at, None)),
            (true, false) => {
                if let Some(reign) = reigns.last_mut() {
                    reign.1 = Some(change.at);
                }
            }
            _ => {}
        }
        reigning = now;
    }
    reigns
}

/// How long both databases took writes at the same time, as far as polls can tell.
pub(super) fn two_primaries(changes: &[Change], end: SystemTime) -> Duration {
    let [first, second] = DATABASES.map(|node| reigns(changes, node));
    let mut both = Duration::ZERO;
    for one in &first {
        for other in &second {
            let from = one.0.max(other.0);
            let to = one.1.unwrap_or(end).min(other.1.unwrap_or(end));
            both += to.duration_since(from).unwrap_or_default();
        }
    }
    both
}

/// The first moment, not before `after`, at which the node took writes.
pub(super) fn promoted(changes: &[Change], node: &str, after: SystemTime) -> Option<SystemTime> {
    reigns(changes, node)
        .into_iter()
        .map(|(from, _)| from)
        .find(|from| *from >= after)
}

/// The first moment, not before `after`, at which any database took writes anew.
pub(super) fn next_reign(changes: &[Change], after: SystemTime) -> Option<SystemTime> {
    DATABASES
        .iter()
        .filter_map(|node| promoted(changes, node, after))
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn change(seconds: u64, node: &'static str, writable: Option<bool>) -> Change {
        let state = NodeState {
            member: None,
            writable,
        };
        Change {
            at: at(seconds),
            node,
            state,
        }
    }

    #[test]
    fn a_reign_ends_when_the_node_is_silent_or_a_standby() {
        let changes = [
            change(1, "db1", Some(true)),
            change(1, "db2", Some(false)),
            change(5, "db1", None),
            change(8, "db2", Some(true)),
            change(9, "db1", Some(false)),
        ];
        assert_eq!(reigns(&changes, "db1"), [(at(1), Some(at(5)))]);
        assert_eq!(reigns(&changes, "db2"), [(at(8), None)]);
        assert_eq!(promoted(&changes, "db2", at(5)), Some(at(8)));
        assert_eq!(promoted(&changes, "db1", at(5)), None);
        assert_eq!(next_reign(&changes, at(5)), Some(at(8)));
        assert_eq!(next_reign(&changes, at(9)), None);
        assert_eq!(two_primaries(&changes, at(20)), Duration::ZERO);
    }

    #[test]
    fn two_that_take_writes_are_seen() {
        let changes = [
            change(1, "db1", Some(true)),
            change(3, "db2", Some(true)),
            change(7, "db1", Some(false)),
        ];
        assert_eq!(two_primaries(&changes, at(20)), Duration::from_secs(4));
    }
}
