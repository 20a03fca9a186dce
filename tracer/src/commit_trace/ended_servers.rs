//! Sums of servers that have ended: the kernel's places are for those that run.

use std::collections::{BTreeSet, VecDeque};

use tracer_core::recording::commits::Place;
use tracer_ebpf::{BUCKETS, Part, ServerCommits};

/// As many are kept apart; a host on which more end, as one that runs tests, is told how
/// many commits the earliest of them had.
const MOST_KEPT: usize = 1_000;

/// A server that has ended.
#[derive(Debug, Clone)]
pub(super) struct EndedServer {
    /// Its first process, whose number may be another's by now.
    pub(super) pid: u32,
    pub(super) place: Place,
    sums: PackedSums,
}

/// The sums without the buckets that nothing is in: of a server that committed little, a tenth
/// of their 4 KiB.
#[derive(Debug, Clone)]
struct PackedSums {
    /// By part and bucket.
    counts: Box<[(u8, u8, u64)]>,
    sums_ns: [u64; Part::COUNT],
    longest_ns: [u64; Part::COUNT],
    commits: u64,
    slow: u64,
    slow_lost: u64,
    unflushed: u64,
    unbegun: u64,
}

const _: () = assert!(BUCKETS <= 1 << u8::BITS);

impl PackedSums {
    fn of(sums: &ServerCommits) -> Self {
        let parts = sums.buckets.iter().enumerate();
        let counts = parts.flat_map(|(part, buckets)| {
            let used = buckets.iter().enumerate().filter(|(_, count)| **count > 0);
            used.map(move |(bucket, count)| (part as u8, bucket as u8, *count))
        });
        Self {
            counts: counts.collect(),
            sums_ns: sums.sums_ns,
            longest_ns: sums.longest_ns,
            commits: sums.commits,
            slow: sums.slow,
            slow_lost: sums.slow_lost,
            unflushed: sums.unflushed,
            unbegun: sums.unbegun,
        }
    }

    fn unpacked(&self) -> ServerCommits {
        let mut sums = ServerCommits {
            sums_ns: self.sums_ns,
            longest_ns: self.longest_ns,
            commits: self.commits,
            slow: self.slow,
            slow_lost: self.slow_lost,
            unflushed: self.unflushed,
            unbegun: self.unbegun,
            ..ServerCommits::NONE
        };
        for (part, bucket, count) in &self.counts {
            let part = sums.buckets.get_mut(usize::from(*part));
            if let Some(place) = part.and_then(|part| part.get_mut(usize::from(*bucket))) {
                *place = *count;
            }
        }
        sums
    }
}

impl EndedServer {
    fn new(pid: u32, place: Place, sums: &ServerCommits) -> Self {
        Self {
            pid,
            place,
            sums: PackedSums::of(sums),
        }
    }

    /// What it committed.
    pub(super) fn sums(&self) -> ServerCommits {
        self.sums.unpacked()
    }
}

/// All that have ended, the latest last.
#[derive(Debug)]
pub(super) struct EndedServers {
    /// Gone at the last look, and not yet taken out of the kernel's map.
    gone: BTreeSet<u32>,
    kept: VecDeque<EndedServer>,
    all: ServerCommits,
    forgotten_commits: u64,
}

impl Default for EndedServers {
    fn default() -> Self {
        Self {
            gone: BTreeSet::new(),
            kept: VecDeque::new(),
            all: ServerCommits::NONE,
            forgotten_commits: 0,
        }
    }
}

impl EndedServers {
    /// Of the servers that the kernel has sums of, those that were gone at the last look
    /// and still are. A process that ends has lost its program shortly before its
    /// children are somebody else's: what they count meanwhile is not lost.
    pub(super) fn look(
        &mut self,
        counted: impl IntoIterator<Item = u32>,
        runs: impl Fn(u32) -> bool,
    ) -> Vec<u32> {
        let gone: BTreeSet<u32> = counted.into_iter().filter(|pid| !runs(*pid)).collect();
        let ended = gone.intersection(&self.gone).copied().collect();
        self.gone = gone;
        ended
    }

    /// Keeps one whose place in the kernel's map was given back.
    pub(super) fn keep(&mut self, pid: u32, place: Place, sums: &ServerCommits) {
        self.gone.remove(&pid);
        self.all.add(sums);
        self.kept.push_back(EndedServer::new(pid, place, sums));
        if self.kept.len() > MOST_KEPT
            && let Some(earliest) = self.kept.pop_front()
        {
            self.forgotten_commits += earliest.sums.commits;
        }
    }

    /// What all of them committed, also those that are not kept any more.
    pub(super) fn all(&self) -> &ServerCommits {
        &self.all
    }

    /// The latest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &EndedServer> {
        self.kept.iter().rev()
    }

    /// Commits of servers that are not kept any more.
    pub(super) fn forgotten_commits(&self) -> u64 {
        self.forgotten_commits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(commits: u64) -> ServerCommits {
        ServerCommits {
            sums_ns: [1, 2, 3, 4],
            longest_ns: [5, 6, 7, 8],
            commits,
            slow: 2,
            slow_lost: 1,
            unflushed: 3,
            unbegun: 4,
            ..ServerCommits::NONE
        }
    }

    fn keep(servers: &mut EndedServers, pid: u32, commits: u64) {
        servers.keep(pid, Place::default(), &sums(commits));
    }

    #[test]
    fn what_is_packed_is_what_was() {
        let mut all = sums(9);
        all.buckets[0][0] = 4;
        all.buckets[1][BUCKETS - 1] = u64::MAX;
        all.buckets[Part::COUNT - 1][64] = 1;
        assert_eq!(EndedServer::new(7, Place::default(), &all).sums(), all);
    }

    #[test]
    fn a_server_has_ended_when_two_looks_in_a_row_find_it_gone() {
        let mut servers = EndedServers::default();
        assert!(servers.look([7, 8, 9], |pid| pid == 7).is_empty());
        // Another process has the number of 8.
        assert_eq!(servers.look([7, 8, 9], |pid| pid < 9), [9]);
        keep(&mut servers, 9, 5);
        assert!(servers.look([7, 8], |pid| pid == 7).is_empty());
        assert_eq!(servers.look([7, 8], |pid| pid == 7), [8]);
    }

    #[test]
    fn the_latest_are_kept_and_the_commits_of_the_others_are_told() {
        let mut servers = EndedServers::default();
        let most = u32::try_from(MOST_KEPT).unwrap();
        for pid in 1..=most + 2 {
            keep(&mut servers, pid, u64::from(pid));
        }
        assert_eq!(servers.iter().count(), MOST_KEPT);
        assert_eq!(servers.iter().next().unwrap().pid, most + 2);
        assert_eq!(servers.forgotten_commits(), 1 + 2);
        let all = servers.all();
        let count = u64::from(most) + 2;
        assert_eq!(all.commits, (1..=count).sum::<u64>());
        assert_eq!(
            (all.sums_ns[3], all.longest_ns[3], all.slow_lost),
            (4 * count, 8, count)
        );
    }
}
