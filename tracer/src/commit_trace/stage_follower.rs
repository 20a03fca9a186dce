//! Follows waits for a standby through the walsender, in a thread: what the kernel programs
//! tell is joined as it comes, because a minute of it does not fit into their buffer.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use aya::maps::{HashMap, MapData, PerCpuArray, RingBuf};
use caps::Capability::{CAP_BPF, CAP_DAC_OVERRIDE, CAP_SYS_PTRACE};
use tracer_core::address::canonical;
use tracer_core::metrics;
use tracer_core::recording::commits::FollowedStages;
use tracer_core::recording::hook_tally::HookTally;
use tracer_core::recording::receiver_tracker::ReceiverTracker;
use tracer_core::recording::seen_hooks::{SeenHooks, wal_read_name};
use tracer_core::recording::stage_record::StageRecord;
use tracer_core::recording::stage_tracker::StageTracker;
use tracer_core::report::histogram::Histogram;
use tracer_core::report::stages::Stage;
use tracer_core::report::walreceiver::ReceiverStage;
use tracer_core::spread::Spread;
use tracer_ebpf::{ServerLayout, StageGap};

use crate::commit_trace::followed_sockets::FollowedSockets;
use crate::commit_trace::layout::layout;
use crate::kernel::clock::now_ns;
use crate::kernel::{preflight, server};

/// How often the buffer is emptied: at a thousand commits a second, a hundredth of it is
/// used by then.
const PERIOD: Duration = Duration::from_millis(50);
/// How often it is looked which walsenders are gone.
const CENSUS: Duration = Duration::from_secs(1);
/// More records than the buffer holds: what comes while it is emptied is for the next time.
const MAX_RECORDS: usize = 100_000;
/// The most standbys of a server that Prometheus is shown.
const MAX_EXPOSED: usize = 16;
/// Why a standby was not followed from the start.
const LATE: &str = "it was no standby, or did not run, when tracer started";
/// What asking the kernel of a server takes, of its process, and of its data, which nobody else may
/// look into.
const NEEDED: [caps::Capability; 3] = [CAP_BPF, CAP_SYS_PTRACE, CAP_DAC_OVERRIDE];

/// The maps of the kernel programs.
pub(super) struct StageMaps {
    pub(super) records: RingBuf<MapData>,
    pub(super) layouts: HashMap<MapData, u32, ServerLayout>,
    pub(super) sockets: FollowedSockets,
    pub(super) gaps: PerCpuArray<MapData, u64>,
}

/// The thread that follows.
pub(super) struct StageFollower {
    // Dropping it ends the thread.
    end: Sender<()>,
    thread: JoinHandle<()>,
    state: Arc<Mutex<Following>>,
    /// Standbys that ran at the start, and why their walreceivers are not followed, or not in
    /// all that they do.
    standbys: BTreeMap<u32, Option<String>>,
}

/// What the thread knows.
struct Following {
    maps: StageMaps,
    tracker: StageTracker,
    receivers: ReceiverTracker,
    hooks: HookTally,
    /// The only network namespace whose servers are followed.
    netns: Option<u32>,
    /// Servers that were asked about, and why nothing is known of them.
    reasons: BTreeMap<u32, Option<String>>,
    losses: Losses,
    census: Instant,
}

impl StageFollower {
    /// Begins to follow the waits of these servers, and of those that come, and what these
    /// standbys receive, if there is no reason why not.
    pub(super) fn start(
        maps: StageMaps,
        netns: Option<u32>,
        servers: &[server::Server],
        standbys: BTreeMap<u32, Option<String>>,
    ) -> std::io::Result<Self> {
        let mut state = Following {
            maps,
            tracker: StageTracker::default(),
            receivers: ReceiverTracker::default(),
            hooks: HookTally::default(),
            netns,
            reasons: BTreeMap::new(),
            losses: Losses::default(),
            census: Instant::now(),
        };
        for server in servers {
            state.place(server.pid, Some(server));
        }
        for (server, _) in standbys.iter().filter(|(_, reason)| reason.is_none()) {
            state.receivers.expect(*server);
        }
        let state = Arc::new(Mutex::new(state));
        let (end, ended) = channel();
        let shared = Arc::clone(&state);
        let thread = Builder::new().name("stages".to_owned()).spawn(move || {
            // Without these it goes on, and learns less.
            let _ = preflight::keep_only(&NEEDED);
            while ended.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                lock(&shared).take();
            }
        })?;
        Ok(Self {
            end,
            thread,
            state,
            standbys,
        })
    }

    /// Gives back the kernel's place of a server that has ended.
    pub(super) fn forget(&self, server: u32) {
        lock(&self.state).forget_server(server);
    }

    /// What a server's waits were made of so far, by the address of the standby that ended
    /// them and by stage, for Prometheus: of those with most waits.
    pub(super) fn spreads(&self, server: u32) -> Vec<(String, Vec<(&'static str, Spread)>)> {
        let state = lock(&self.state);
        let version = server::Server::of(server).and_then(|one| one.version());
        let seen = state.seen(server).walsenders;
        // What was never seen is not shown as nothing.
        if seen.reason(wal_read_name(version.as_deref())).is_some() {
            return Vec::new();
        }
        let found = state.tracker.by_address(server);
        drop(state);
        let mut found: Vec<_> = found.into_iter().collect();
        let waits = |sums: &[Histogram; Stage::COUNT]| sums[Stage::Wakeup as usize].count();
        // By address where they are as many, so that what is shown stays the same.
        found.sort_by_key(|(address, sums)| (Reverse(waits(sums)), *address));
        found.truncate(MAX_EXPOSED);
        let named = found.into_iter().map(|(address, sums)| {
            let address = canonical(Ipv6Addr::from(address)).to_string();
            let stages = Stage::ALL.map(|stage| (stage.name(), sums[stage as usize].spread()));
            (address, stages.into())
        });
        named.collect()
    }

    /// What became so far of the WAL that standbys here received, for Prometheus.
    pub(super) fn received(&self) -> Vec<metrics::Received> {
        let state = lock(&self.state);
        let standbys = state.receivers.stages().take(MAX_EXPOSED);
        let is_known = |pid: u32| {
            // Who is not watched in all that it does is not seen to do the rest.
            let is_watched = !matches!(self.standbys.get(&pid), Some(Some(_)));
            is_watched && state.seen(pid).receivers.reason().is_none()
        };
        let known = standbys.filter(|(pid, _)| is_known(*pid));
        let spread = |(pid, sums): (u32, &[Histogram; ReceiverStage::COUNT])| metrics::Received {
            pid,
            stages: ReceiverStage::ALL
                .map(|stage| (stage.name(), sums[stage as usize].spread()))
                .into(),
        };
        known.map(spread).collect()
    }

    /// What was learnt by the end.
    pub(super) fn finish(self) -> FollowedStages {
        drop(self.end);
        // It waits for nothing but its time.
        let _ = self.thread.join();
        let mut state = lock(&self.state);
        state.take();
        for pid in state.reasons.keys().copied().collect::<Vec<_>>() {
            state.take_calls(pid);
        }
        let stages = std::mem::take(&mut state.tracker).finish();
        let no_room = state.receivers.no_room();
        let standbys = std::mem::take(&mut state.receivers).finish();
        let late = late(state.netns);
        let late =
            late.filter(|pid| !standbys.contains_key(pid) && !self.standbys.contains_key(pid));
        let late: Vec<_> = late.map(|pid| (pid, LATE.to_owned())).collect();
        let known = self.standbys.into_iter();
        let known = known.filter_map(|(pid, reason)| Some((pid, reason?)));
        FollowedStages {
            standbys,
            not_received: known.chain(late).collect(),
            reasons: std::mem::take(&mut state.reasons),
            seen: std::mem::take(&mut state.hooks).finish(),
            lost: state.maps.gap(StageGap::Lost),
            senders_full: state.maps.gap(StageGap::SendersFull) + stages.senders_full + no_room,
            settings_unread: state.maps.gap(StageGap::SettingsUnread),
            stages,
        }
    }
}

/// Which lost records what is joined has been cut at.
#[derive(Debug, Default)]
struct Losses {
    cut_at: u64,
}

impl Losses {
    /// Whether there is a gap in what was drained, or behind it, by the count of lost records before
    /// the buffer was drained and after. What was lost meanwhile may lie between records of this
    /// time and of the next, which is cut, too.
    fn has_gap(&mut self, before: u64, after: u64) -> bool {
        let has_gap = after != self.cut_at;
        self.cut_at = before;
        has_gap
    }
}

/// Standbys that run now.
fn late(netns: Option<u32>) -> impl Iterator<Item = u32> {
    let here = server::all().unwrap_or_default().into_iter();
    here.filter(move |one| netns.is_none() || one.netns() == netns)
        .filter(server::Server::is_standby)
        .map(|one| one.pid)
}

fn lock(state: &Mutex<Following>) -> std::sync::MutexGuard<'_, Following> {
    // A panic ends the whole program.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StageMaps {
    /// The next record, if there is one and it can be understood.
    fn next(&mut self) -> Option<Option<StageRecord>> {
        let record = self.records.next()?;
        Some(StageRecord::decode(&record))
    }

    fn gap(&self, gap: StageGap) -> u64 {
        let cpus = self.gaps.get(&(gap as u32), 0);
        cpus.map_or(0, |cpus| cpus.iter().sum())
    }
}

impl Following {
    /// Takes what has come.
    fn take(&mut self) {
        let before = self.maps.gap(StageGap::Lost);
        let met = self.drain();
        if self.losses.has_gap(before, self.maps.gap(StageGap::Lost)) {
            self.tracker.lose();
            self.receivers.lose();
            self.hooks.lose();
        }
        self.tracker.settle(now_ns());
        self.receivers.settle(now_ns());
        if met || self.census.elapsed() >= CENSUS {
            self.forget();
        }
    }

    /// Takes the records that have come; whether they tell of a process that was not seen before.
    fn drain(&mut self) -> bool {
        let mut met = false;
        for _ in 0..MAX_RECORDS {
            let Some(record) = self.maps.next() else {
                break;
            };
            match record {
                Some(StageRecord::ServerMet(one)) => self.place(one.server, None),
                Some(record) => {
                    // One that has ended may be back under this number.
                    let is_new = self.is_new(&record);
                    if is_new {
                        self.forget();
                    }
                    met |= is_new;
                    if let StageRecord::ReceiverMet(one) = record {
                        if is_new {
                            self.meet(one.pid, one.server);
                        }
                        // One that nobody asks for takes no room, nor the time to tell of each
                        // of its segments.
                        if !self.receivers.follows(one.pid) {
                            self.maps.sockets.give_back([(one.sock, one.pid)]);
                        }
                    }
                    self.tracker.note(&record);
                    self.receivers.note(&record);
                    self.hooks.note(&record);
                }
                None => {}
            }
        }
        met
    }

    /// Takes the connections of walsenders that have ended from the kernel programs: whoever
    /// is given the address next is none of them.
    fn forget(&mut self) {
        self.census = Instant::now();
        let runs = |pid: u32| Path::new("/proc").join(pid.to_string()).exists();
        let gone = self.tracker.forget(now_ns(), runs).into_iter();
        let gone = gone.chain(self.receivers.forget(runs));
        self.maps.sockets.give_back(gone);
        self.hooks.forget(runs);
        let ended: Vec<u32> = self
            .reasons
            .keys()
            .copied()
            .filter(|pid| !runs(*pid))
            .collect();
        for pid in ended {
            self.forget_server(pid);
        }
    }

    /// Whether it tells of a process that was not seen before.
    fn is_new(&self, record: &StageRecord) -> bool {
        match record {
            StageRecord::SenderMet(_) => true,
            StageRecord::ReceiverMet(one) => !self.receivers.follows(one.pid),
            _ => false,
        }
    }

    /// Follows a walreceiver, if its server is one of those that are followed.
    fn meet(&mut self, pid: u32, server: u32) {
        let Some(found) = server::Server::of(server) else {
            return;
        };
        // On a standby, nothing else receives: workers of logical replication wait for the end
        // of recovery.
        let wanted = self.netns.is_none() || found.netns() == self.netns;
        if wanted && found.is_standby() {
            self.receivers.follow(pid, server);
        }
    }

    /// Tells the kernel programs where a server keeps things, unless that was done.
    fn place(&mut self, pid: u32, known: Option<&server::Server>) {
        if self.reasons.contains_key(&pid) {
            return;
        }
        let found = server::Server::of(pid);
        let found = match known.or(found.as_ref()) {
            Some(server) if self.netns.is_some() && server.netns() != self.netns => {
                Err("it is in another network namespace".to_owned())
            }
            Some(server) => layout(server),
            None => Err("it has ended".to_owned()),
        };
        let (layout, reason) = match found {
            Ok(layout) => (layout, None),
            // All 0: nobody is to ask again.
            Err(reason) => (ServerLayout::default(), Some(reason)),
        };
        let told = self.maps.layouts.insert(pid, layout, 0);
        let reason = reason.or_else(|| Some(told.err()?.to_string()));
        self.reasons.insert(pid, reason);
    }

    /// Which functions a server was seen to call so far.
    fn seen(&self, pid: u32) -> SeenHooks {
        let layout = self.maps.layouts.get(&pid, 0).unwrap_or_default();
        self.hooks.so_far(pid, &layout)
    }

    /// What the kernel programs counted of a server's walsenders.
    fn take_calls(&mut self, pid: u32) {
        if let Ok(layout) = self.maps.layouts.get(&pid, 0) {
            self.hooks.add_calls(pid, &layout);
        }
    }

    /// Gives back the kernel's place of a server that has ended.
    fn forget_server(&mut self, pid: u32) {
        self.take_calls(pid);
        let _ = self.maps.layouts.remove(&pid);
        self.reasons.remove(&pid);
        self.tracker.forget_server(pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_cuts_each_time_that_it_may_lie_in() {
        let mut losses = Losses::default();
        assert!(!losses.has_gap(0, 0));
        // Before the buffer was drained: it lies in this time.
        assert!(losses.has_gap(3, 3));
        assert!(!losses.has_gap(3, 3));
        // While it was: it lies in this time, or in the next.
        assert!(losses.has_gap(3, 5));
        assert!(losses.has_gap(5, 5));
        assert!(!losses.has_gap(5, 5));
    }
}
