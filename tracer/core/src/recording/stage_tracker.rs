//! Sets what backends waited for beside what walsenders did: each wait for a standby is
//! split into its stages, and added to those of the walsender whose reply released it.
//!
//! Which that was, the server decides: it is the first after whose reply `WalSndCtl->lsn` has
//! reached the position, whatever `synchronous_standby_names` says (`SyncRepReleaseWaiters()`,
//! <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/replication/syncrep.c>).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};

use tracer_ebpf::{
    ReplyHandled, SegmentReceived, SenderMet, Tuple, WAIT_MODES, WaitEnded, WalTaken,
};

use crate::recording::exchange_sample::ExchangeSample;
use crate::recording::sender_history::SenderHistory;
use crate::recording::stage::{Moments, WaitStages};
use crate::recording::stage_record::StageRecord;
use crate::report::histogram::Histogram;
use crate::report::stages::{AwaitedPosition, Stage};

/// How long a wait is over before it is split, ns: the walsender that released it tells of
/// that a moment after the backend has gone on.
const SETTLED_NS: u64 = 100_000_000;
/// How long what a connection did is remembered after its end, ns.
const REMEMBERED_NS: u64 = 2_000_000_000;
/// A shorter wait that no reply ended waited for nobody, ns: a lock or a processor.
pub(crate) const NOBODY_NS: u64 = 100_000;
/// How long a release is remembered, ns: its wait ends a moment later.
const RELEASES_NS: u64 = 10_000_000_000;
/// The most waits that are to be split, and releases that are remembered of a server.
const MAX_WAITING: usize = 65_536;
const MAX_RELEASES: usize = 32_768;
/// The most walsenders whose waits are kept apart; those of what comes then are unexplained.
const MAX_SENDERS: usize = 256;
/// The most servers whose waits without a reply are kept: as many as are reported.
const MAX_SERVERS: usize = 1_000;
/// The most slow commits whose stages are kept: of more, those that waited longest.
const MAX_SLOW: usize = 10_000;

/// Waits that one walsender's replies released.
#[derive(Clone, Debug)]
pub struct SenderStages {
    /// The server's first process.
    pub server: u32,
    /// The walsender's process: of one that connected again, the last.
    pub pid: u32,
    /// Its connection, likewise.
    pub tuple: Tuple,
    /// Whether it sends what it has decoded: then nothing is known of what it sends.
    pub is_logical: bool,
    /// Whether that process has ended.
    ended: bool,
    /// How many.
    pub waits: u64,
    /// How long each stage took.
    pub stages: [Histogram; Stage::COUNT],
    /// Of slow commits alone, ns.
    pub slow_ns: [u64; Stage::COUNT],
    /// When some of its messages were taken, and some replies arrived, on its last connection.
    pub exchanges: ExchangeSample,
}

/// Waits of a server that no reply was found for.
#[derive(Clone, Copy, Debug)]
pub struct Unreleased {
    /// How long they took.
    pub waits: Histogram,
    /// Those of slow commits alone, ns.
    pub slow_ns: u64,
}

/// A slow commit's stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowStages {
    /// Its wait, split.
    pub stages: WaitStages,
    /// What it waited for.
    pub awaited: Option<AwaitedPosition>,
    /// The walsender that released it, an index of [`CommitStages::senders`].
    pub sender: Option<usize>,
}

/// What was learnt of waits.
#[derive(Clone, Debug, Default)]
pub struct CommitStages {
    /// By the walsender whose reply released them.
    pub senders: Vec<SenderStages>,
    /// By the server's first process.
    pub unreleased: BTreeMap<u32, Unreleased>,
    /// Slow commits by when they began and the backend's process.
    pub slow: BTreeMap<(u64, u32), SlowStages>,
    /// Connections of walsenders that there was no room for.
    pub senders_full: u64,
}

/// A reply that moved what is released.
#[derive(Clone, Copy, Debug)]
struct Release {
    sock: u64,
    from_ns: u64,
    /// Up to where waits were over before, and are after it, by what they are for.
    before: [u64; WAIT_MODES],
    up_to: [u64; WAIT_MODES],
}

#[derive(Debug)]
struct SenderConnection {
    /// Its place among the senders; [`None`] if there was no room.
    sender: Option<usize>,
    pid: u32,
    /// Since when its process is gone.
    ended_ns: Option<u64>,
    history: SenderHistory,
}

/// Joins the records as they come.
#[derive(Debug, Default)]
pub struct StageTracker {
    connections: HashMap<u64, SenderConnection>,
    releases: BTreeMap<u32, VecDeque<Release>>,
    waiting: VecDeque<WaitEnded>,
    found: CommitStages,
    slowest: BinaryHeap<Reverse<(u64, u64, u32)>>,
}

impl StageTracker {
    /// Takes in a record.
    pub fn note(&mut self, record: &StageRecord) {
        match record {
            StageRecord::WaitEnded(wait) => {
                if self.waiting.len() >= MAX_WAITING
                    && let Some(oldest) = self.waiting.pop_front()
                {
                    self.split(&oldest);
                }
                self.waiting.push_back(*wait);
            }
            StageRecord::SenderMet(met) => self.meet(met),
            StageRecord::WalTaken(taken) => self.take_wal(taken),
            StageRecord::SegmentReceived(segment) => self.receive(segment),
            StageRecord::ReplyHandled(reply) => self.reply(reply),
            // A walreceiver's records are another's.
            StageRecord::ServerMet(_)
            | StageRecord::ReceiverMet(_)
            | StageRecord::WalReceived(_)
            | StageRecord::WalFlushed(_)
            | StageRecord::ReplySent(_) => {}
        }
    }

    fn take_wal(&mut self, taken: &WalTaken) {
        let Some(connection) = self.connections.get_mut(&taken.sock) else {
            return;
        };
        if connection.history.take_wal(taken)
            && let Some(exchanges) = connection.exchanges(&mut self.found.senders)
        {
            exchanges.wal.add(taken.to_lsn, taken.time_ns);
        }
    }

    fn receive(&mut self, segment: &SegmentReceived) {
        let Some(connection) = self.connections.get_mut(&segment.sock) else {
            return;
        };
        connection.history.receive(segment);
        // An acknowledgement alone has the number of the reply that follows.
        if segment.end_seq != segment.seq
            && let Some(exchanges) = connection.exchanges(&mut self.found.senders)
        {
            exchanges.replies.add(segment.seq.into(), segment.time_ns);
        }
    }

    fn meet(&mut self, met: &SenderMet) {
        let sender = self.sender(met);
        let connection = SenderConnection {
            sender,
            pid: met.pid,
            ended_ns: None,
            history: SenderHistory::default(),
        };
        self.connections.insert(met.sock, connection);
    }

    /// The place of a walsender: that of one which has ended, if the same host is at the
    /// other end.
    fn sender(&mut self, met: &SenderMet) -> Option<usize> {
        let is_logical = met.is_logical != 0;
        let senders = &mut self.found.senders;
        let came_back = senders.iter().position(|one| {
            let same = one.server == met.server && one.tuple.remote == met.tuple.remote;
            same && one.is_logical == is_logical && (one.ended || one.pid == met.pid)
        });
        if let Some(one) = came_back.and_then(|at| senders.get_mut(at)) {
            one.pid = met.pid;
            one.tuple = met.tuple;
            one.ended = false;
            // It sends again from where its standby had flushed.
            one.exchanges = ExchangeSample::default();
            return came_back;
        }
        let new = SenderStages {
            server: met.server,
            pid: met.pid,
            tuple: met.tuple,
            is_logical,
            ended: false,
            waits: 0,
            stages: [Histogram::empty(); Stage::COUNT],
            slow_ns: [0; Stage::COUNT],
            exchanges: ExchangeSample::default(),
        };
        if senders.len() < MAX_SENDERS {
            senders.push(new);
            return Some(senders.len() - 1);
        }
        let place = self.unused_sender();
        match place.and_then(|at| self.found.senders.get_mut(at)) {
            Some(place) => *place = new,
            None => self.found.senders_full += 1,
        }
        place
    }

    /// The place of a walsender that has ended and released no wait, so that nothing points at it:
    /// one that took a backup, or a standby that nobody waits for. Best of one whose connection is forgotten: what is found
    /// late of the other's waits is unexplained.
    fn unused_sender(&mut self) -> Option<usize> {
        let connections = || self.connections.values();
        let is_remembered = |at: &usize| connections().any(|one| one.sender == Some(*at));
        let senders = self.found.senders.iter().enumerate();
        let unused = senders.filter(|(_, one)| one.ended && one.waits == 0);
        let place = unused.map(|(at, _)| at).min_by_key(is_remembered)?;
        for connection in self.connections.values_mut() {
            if connection.sender == Some(place) {
                connection.sender = None;
            }
        }
        Some(place)
    }

    fn reply(&mut self, reply: &ReplyHandled) {
        let Some(connection) = self.connections.get_mut(&reply.sock) else {
            return;
        };
        connection.history.reply(reply);
        if reply.released == reply.before {
            return;
        }
        let releases = self.releases.entry(reply.server).or_default();
        // Two walsenders may tell in another order than that in which they had the lock.
        let mut up_to = reply.released;
        let reached = releases.back().map_or([0; WAIT_MODES], |last| last.up_to);
        for (up_to, reached) in up_to.iter_mut().zip(reached) {
            *up_to = reached.max(*up_to);
        }
        let old = reply.from_ns.saturating_sub(RELEASES_NS);
        let is_old = |release: &Release| release.from_ns < old;
        while releases.len() >= MAX_RELEASES || releases.front().is_some_and(is_old) {
            releases.pop_front();
        }
        releases.push_back(Release {
            sock: reply.sock,
            from_ns: reply.from_ns,
            before: reply.before,
            up_to,
        });
    }

    /// Splits waits that ended some time ago.
    pub fn settle(&mut self, now_ns: u64) {
        let settled = now_ns.saturating_sub(SETTLED_NS);
        let over = |wait: &WaitEnded| wait.to_ns <= settled;
        while self.waiting.front().is_some_and(over)
            && let Some(wait) = self.waiting.pop_front()
        {
            self.split(&wait);
        }
    }

    /// Which connections are not there any more, as their walsender has ended; each once, with
    /// that walsender. What they did is remembered until those have gone on who waited for it.
    pub fn forget(&mut self, now_ns: u64, runs: impl Fn(u32) -> bool) -> Vec<(u64, u32)> {
        let over = |one: &SenderConnection| {
            let ended_ns = one.ended_ns.unwrap_or(u64::MAX);
            now_ns.saturating_sub(ended_ns) > REMEMBERED_NS
        };
        self.connections.retain(|_, one| !over(one));
        let mut gone = Vec::new();
        for (sock, connection) in &mut self.connections {
            let running = connection.pid == 0 || runs(connection.pid);
            if running || connection.ended_ns.is_some() {
                continue;
            }
            connection.ended_ns = Some(now_ns);
            gone.push((*sock, connection.pid));
            let sender = connection
                .sender
                .and_then(|at| self.found.senders.get_mut(at));
            if let Some(sender) = sender.filter(|sender| sender.pid == connection.pid) {
                sender.ended = true;
            }
        }
        gone
    }

    /// What a server's waits were made of so far, by the address of the standby that ended
    /// them.
    #[must_use]
    pub fn by_address(&self, server: u32) -> BTreeMap<[u8; 16], [Histogram; Stage::COUNT]> {
        let mut found = BTreeMap::new();
        let own = self.found.senders.iter();
        for sender in own.filter(|one| one.server == server && one.waits > 0) {
            let sums: &mut [Histogram; Stage::COUNT] = found
                .entry(sender.tuple.remote)
                .or_insert([Histogram::empty(); Stage::COUNT]);
            for (sum, more) in sums.iter_mut().zip(&sender.stages) {
                *sum = sum.plus(more);
            }
        }
        found
    }

    /// Forgets how far a server's waits were released, as it has ended.
    pub fn forget_server(&mut self, server: u32) {
        self.releases.remove(&server);
    }

    /// Records were lost: of what came before, nothing is joined any more.
    pub fn lose(&mut self) {
        while let Some(wait) = self.waiting.pop_front() {
            self.add_unreleased(&wait);
        }
        for connection in self.connections.values_mut() {
            connection.history = SenderHistory::default();
        }
        self.releases.clear();
    }

    /// Splits what is left, and says what was learnt.
    #[must_use]
    pub fn finish(mut self) -> CommitStages {
        while let Some(wait) = self.waiting.pop_front() {
            self.split(&wait);
        }
        self.found
    }

    fn split(&mut self, wait: &WaitEnded) {
        let Some(mode) = awaited(wait) else {
            return;
        };
        let release = self.release(wait, mode);
        let connection = release.and_then(|release| self.connections.get(&release.sock));
        let Some((release, connection)) = release.zip(connection) else {
            self.add_unreleased(wait);
            return;
        };
        let moments = connection.history.moments(wait.lsn, release.from_ns);
        let sender = connection.sender;
        self.add(wait, &moments, sender);
    }

    /// One that no reply was found for, unless it was for nobody.
    fn add_unreleased(&mut self, wait: &WaitEnded) {
        let length_ns = wait.to_ns.saturating_sub(wait.from_ns);
        if awaited(wait).is_some() && length_ns >= NOBODY_NS {
            self.add(wait, &Moments::default(), None);
        }
    }

    /// The reply that released a wait: the first after which waits were over so far. Where
    /// they were before it, that one was not seen.
    fn release(&self, wait: &WaitEnded, mode: usize) -> Option<Release> {
        let releases = self.releases.get(&wait.server)?;
        let at = |of: &[u64; WAIT_MODES]| of.get(mode).copied().unwrap_or(0);
        let first = releases.partition_point(|release| at(&release.up_to) < wait.lsn);
        let found = releases.get(first)?;
        // It would be a wait that ended otherwise: it was cancelled, or nobody is awaited any
        // more.
        let in_time = found.from_ns <= wait.to_ns;
        (at(&found.before) < wait.lsn && in_time).then_some(*found)
    }

    fn add(&mut self, wait: &WaitEnded, moments: &Moments, sender: Option<usize>) {
        let stages = WaitStages::new(wait.from_ns, wait.to_ns, moments);
        let is_slow = wait.is_slow != 0;
        let length_ns = wait.to_ns.saturating_sub(wait.from_ns);
        if is_slow {
            let slow = SlowStages {
                stages,
                awaited: awaited(wait).and_then(|mode| AwaitedPosition::ALL.get(mode).copied()),
                sender,
            };
            self.found.slow.insert((wait.start_ns, wait.pid), slow);
            let place = (length_ns, wait.start_ns, wait.pid);
            self.slowest.push(Reverse(place));
            if self.slowest.len() > MAX_SLOW
                && let Some(Reverse((_, start_ns, pid))) = self.slowest.pop()
            {
                self.found.slow.remove(&(start_ns, pid));
            }
        }
        match sender.and_then(|at| self.found.senders.get_mut(at)) {
            Some(sender) => {
                sender.waits += 1;
                for (sum, ns) in sender.stages.iter_mut().zip(stages.ns) {
                    sum.add(ns);
                }
                let slow = sender.slow_ns.iter_mut().zip(stages.ns);
                slow.filter(|_| is_slow)
                    .for_each(|(sum, ns)| *sum = sum.saturating_add(ns));
            }
            None => {
                let unreleased = &mut self.found.unreleased;
                if unreleased.len() >= MAX_SERVERS && !unreleased.contains_key(&wait.server) {
                    return;
                }
                let none = Unreleased {
                    waits: Histogram::empty(),
                    slow_ns: 0,
                };
                let unreleased = unreleased.entry(wait.server).or_insert(none);
                unreleased.waits.add(length_ns);
                let slow_ns = if is_slow { length_ns } else { 0 };
                unreleased.slow_ns = unreleased.slow_ns.saturating_add(slow_ns);
            }
        }
    }
}

impl SenderConnection {
    /// Where the exchanges of a connection are kept, unless its walsender has another by now.
    fn exchanges<'a>(&self, senders: &'a mut [SenderStages]) -> Option<&'a mut ExchangeSample> {
        let sender = senders.get_mut(self.sender?)?;
        (sender.pid == self.pid).then_some(&mut sender.exchanges)
    }
}

/// What a wait is for, an index of [`ReplyHandled::released`]; [`None`] if for nobody
/// (`assign_synchronous_commit()` and `SyncRepWaitForLSN()`, likewise; the values are those of
/// `SyncCommitLevel`,
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/include/access/xact.h>).
pub(crate) fn awaited(wait: &WaitEnded) -> Option<usize> {
    const WRITE: usize = 0;
    const FLUSH: usize = 1;
    const APPLY: usize = 2;
    match wait.synchronous_commit {
        2 => Some(WRITE),
        3 => Some(FLUSH),
        // A `PREPARE` waits for no replay.
        4 if wait.is_commit == 0 => Some(FLUSH),
        4 => Some(APPLY),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
