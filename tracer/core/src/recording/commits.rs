//! What a run has learnt of commits.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use tracer_ebpf::{ServerCommits, SlowCommit};

use crate::interval::Span;
use crate::recording::Recoveries;
use crate::recording::programs::RunStats;
use crate::recording::receiver_tracker::StandbyWal;
use crate::recording::seen_hooks::{BackendCalls, ReceiverCalls, SeenHooks, wal_read_name};
use crate::recording::stage_tracker::{CommitStages, SlowStages};
use crate::report::hook::HookReport;

/// The most slow commits that are kept one by one: of more, the slowest.
const MOST_SLOW: usize = 10_000;

/// Everything that was learnt.
#[derive(Debug)]
pub struct CommitsRecord {
    /// From when on a commit is slow.
    pub slow: Duration,
    /// When everything was attached, ns of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// When the last reading was taken, likewise.
    pub end_ns: u64,
    /// Why nothing was attached.
    pub reason: Option<String>,
    /// What was to be attached to.
    pub binaries: Vec<Binary>,
    /// Whose commits were counted.
    pub servers: Vec<Server>,
    /// Commits that were slow.
    pub slowest: Slowest,
    /// What waits for a standby were split into, or why none was.
    pub stages: Result<FollowedStages, String>,
    /// Commits that could not be counted.
    pub given_up: u64,
    /// Commits of servers outside of the PID namespace that tracer sees.
    pub out_of_sight: u64,
    /// What the kernel says of the programs' runs.
    pub effort: RunStats,
}

impl CommitsRecord {
    /// The server with that first process, if its commits were counted.
    pub(crate) fn server(&self, pid: u32) -> Option<&Server> {
        self.servers.iter().find(|server| server.pid == pid)
    }

    /// Why the waits of a server's commits were not split; `None` if they were.
    pub(crate) fn unstaged(&self, server: u32) -> Option<String> {
        let followed = match &self.stages {
            Ok(followed) => followed,
            Err(reason) => return Some(reason.clone()),
        };
        if let Some(Some(reason)) = followed.reasons.get(&server) {
            return Some(reason.clone());
        }
        let place = self.server(server).map(|one| &one.place);
        if let Some(reason) = place.and_then(|place| self.unstaged_program(place)) {
            return Some(reason.to_owned());
        }
        let seen = followed.seen.get(&server)?;
        let version = place.and_then(|place| place.version.as_deref());
        seen.walsenders.reason(wal_read_name(version))
    }

    /// Why waits are not followed through walsenders of the program that runs there.
    fn unstaged_program(&self, place: &Place) -> Option<&str> {
        let identity = place.identity?;
        let mut binaries = self.binaries.iter();
        let binary = binaries.find(|one| one.identity == Some(identity))?;
        binary.unstaged.as_deref()
    }

    /// What was seen of the functions that a server's backends and walsenders call.
    #[must_use]
    pub fn hooks(&self, server: &Server) -> Vec<HookReport> {
        let mut hooks: Vec<_> = server.calls().hooks().into();
        let version = server.place.version.as_deref();
        if let Ok(followed) = &self.stages
            && let Some(seen) = followed.seen.get(&server.pid)
        {
            hooks.extend(seen.walsenders.hooks(wal_read_name(version)));
        }
        hooks
    }

    /// What a slow commit's wait was made of, and whose walsender ended it; `None` if it was
    /// not followed.
    pub(crate) fn followed(&self, slow: &SlowCommit) -> Option<&SlowStages> {
        let followed = self.stages.as_ref().ok()?;
        if self.unstaged(slow.server).is_some() {
            return None;
        }
        followed.stages.slow.get(&(slow.start_ns, slow.pid))
    }

    /// When its replication was recovering from a loss; `None` if none of it was traced.
    pub(crate) fn recoveries_of<'a>(
        &self,
        server: u32,
        recoveries: Option<&'a Recoveries>,
    ) -> Option<&'a [Span]> {
        let netns = self.server(server)?.place.netns?;
        recoveries?.get(&netns).map(Vec::as_slice)
    }
}

/// What following waits through the walsender has shown.
#[derive(Debug, Default)]
pub struct FollowedStages {
    /// The waits.
    pub stages: CommitStages,
    /// What the walreceivers of standbys have done, by the standby's first process.
    pub standbys: BTreeMap<u32, StandbyWal>,
    /// Standbys by their first process, and why their walreceivers, or their flushes, were not
    /// followed.
    pub not_received: BTreeMap<u32, String>,
    /// Servers by their first process, and why their waits were not followed.
    pub reasons: BTreeMap<u32, Option<String>>,
    /// What the processes of each server were seen to call, by its first process.
    pub seen: BTreeMap<u32, SeenHooks>,
    /// Records that there was no room for.
    pub lost: u64,
    /// Walsenders that there was no room for.
    pub senders_full: u64,
    /// Waits of sessions whose settings could not be read.
    pub settings_unread: u64,
}

impl FollowedStages {
    /// What a standby's walreceivers were seen to call; `None` where they were not watched, or not
    /// in all that they do: what is not watched is not seen either.
    #[must_use]
    pub fn received(&self, server: u32) -> Option<ReceiverCalls> {
        let is_watched = !self.not_received.contains_key(&server);
        let seen = self.seen.get(&server).filter(|_| is_watched)?;
        Some(seen.receivers)
    }
}

/// A program file that servers run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Device and inode; `None` if it may not be looked at.
    pub identity: Option<(u64, u64)>,
    /// Its path, as the server sees it.
    pub path: String,
    /// Why it is not watched; `None` if it is.
    pub reason: Option<String>,
    /// Why waits are not followed through its walsenders; `None` if they are.
    pub unstaged: Option<String>,
}

/// What is known of a server apart from its commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Its first process, if it was seen alive.
    pub pid: Option<u32>,
    /// Inode of its network namespace.
    pub netns: Option<u32>,
    /// Where it listens.
    pub port: Option<u16>,
    /// Its major version.
    pub version: Option<String>,
    /// Its program, as it sees it.
    pub program: Option<String>,
    /// Its data, likewise.
    pub data: Option<String>,
    /// Device and inode of its program.
    pub identity: Option<(u64, u64)>,
}

/// One server.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its first process.
    pub pid: u32,
    /// What else is known of it.
    pub place: Place,
    /// Its commits; `None` if it was watched and there were none.
    pub sums: Option<ServerCommits>,
    /// How unevenly they came, as [`super::usual_commit::UsualCommit::dispersion`].
    pub dispersion: Option<f64>,
    /// How long one usually takes, ns; `None` if that is not known.
    pub usual_ns: Option<u64>,
    /// From when on one was slow by the end, ns; `None` if as was asked.
    pub slow_from_ns: Option<u64>,
    /// When most of them were slow by what is usual, in order.
    pub slow_times: Vec<Span>,
    /// Since when its backends waited that did so at the end.
    pub waiting: Vec<u64>,
}

impl Server {
    /// What its backends were seen to call.
    #[must_use]
    pub fn calls(&self) -> BackendCalls {
        self.sums.as_ref().map(BackendCalls::of).unwrap_or_default()
    }
}

/// A backend that waits for a standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingBackend {
    /// Its server's first process.
    pub server: u32,
    /// Since when, ns of `CLOCK_MONOTONIC`.
    pub since_ns: u64,
}

/// The slowest commits.
#[derive(Debug, Default)]
pub struct Slowest {
    // The least slow on top.
    kept: BinaryHeap<Reverse<BySlowness>>,
    dropped: u64,
}

impl Slowest {
    /// Takes one in; if there is no room, the least slow goes.
    pub fn add(&mut self, slow: SlowCommit) {
        self.kept.push(Reverse(BySlowness(slow)));
        if self.kept.len() > MOST_SLOW {
            self.kept.pop();
            self.dropped += 1;
        }
    }

    /// Those of these servers, in the order in which they began.
    pub fn of(&self, is_one: impl Fn(u32) -> bool) -> Vec<SlowCommit> {
        let kept = self.kept.iter().map(|Reverse(BySlowness(slow))| *slow);
        let mut all: Vec<_> = kept.filter(|slow| is_one(slow.server)).collect();
        all.sort_by_key(|slow| (slow.start_ns, slow.pid));
        all
    }

    /// How many had no room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[derive(Debug, PartialEq, Eq)]
struct BySlowness(SlowCommit);

impl Ord for BySlowness {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_ns.cmp(&other.0.total_ns)
    }
}

impl PartialOrd for BySlowness {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_whose_walsenders_cannot_be_followed_is_its_own_servers_reason() {
        let inlined = "its program does not export SyncRepReleaseWaiters";
        let binary = |inode, unstaged: Option<&str>| Binary {
            identity: Some((1, inode)),
            path: "/usr/bin/postgres".to_owned(),
            reason: None,
            unstaged: unstaged.map(str::to_owned),
        };
        let server = |pid, inode| Server {
            pid,
            place: Place {
                identity: Some((1, inode)),
                ..Place::default()
            },
            sums: None,
            dispersion: None,
            usual_ns: None,
            slow_from_ns: None,
            slow_times: Vec::new(),
            waiting: Vec::new(),
        };
        let record = CommitsRecord {
            slow: Duration::MAX,
            start_ns: 0,
            end_ns: 0,
            reason: None,
            binaries: vec![binary(2, Some(inlined)), binary(3, None)],
            servers: vec![server(7, 2), server(8, 3)],
            slowest: Slowest::default(),
            stages: Ok(FollowedStages::default()),
            given_up: 0,
            out_of_sight: 0,
            effort: RunStats::default(),
        };
        assert_eq!(record.unstaged(7).as_deref(), Some(inlined));
        assert_eq!(record.unstaged(8), None);
    }

    #[test]
    fn of_too_many_the_slowest_are_kept_in_their_order() {
        let mut slowest = Slowest::default();
        let count = MOST_SLOW as u64 + 100;
        for number in 0..count {
            slowest.add(SlowCommit {
                start_ns: count - number,
                total_ns: number,
                server: (number % 2) as u32,
                ..SlowCommit::default()
            });
        }
        assert_eq!(slowest.dropped(), 100);
        let all = slowest.of(|_| true);
        assert_eq!(all.len(), MOST_SLOW);
        assert!(all.is_sorted_by_key(|slow| slow.start_ns));
        assert!(all.iter().all(|slow| slow.total_ns >= 100));
        assert_eq!(slowest.of(|server| server == 1).len(), MOST_SLOW / 2);
    }
}
