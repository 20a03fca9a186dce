//! What commits waited for: each that writes is split into the flush of this
//! server's log, the wait for a standby, and the rest, by uprobes on functions that
//! PostgreSQL's program exports. No server is asked, and none is changed.
//!
//! The whole goes from the end of deferred triggers (`AfterTriggerEndXact`) to the
//! return of `SyncRepWaitForLSN`: what is done before, and the release of locks
//! after it, are not in it.
//!
//! The kernel programs follow every process that runs a program they hang on, also
//! those of servers that are started later; servers are distinguished by their first
//! process.

mod ended_servers;
mod followed_sockets;
mod functions;
mod layout;
mod libpq_calls;
mod program;
mod reasons;
mod stage_follower;
mod usual_commits;
mod walreceiver;

use std::collections::BTreeMap;
use std::time::Duration;

use tracer_core::metrics;
use tracer_core::recording::commits::{
    Binary, CommitsRecord, Place, Server, Slowest, WaitingBackend,
};
use tracer_core::recording::seen_hooks::BackendCalls;
use tracer_core::render::commits::{CommitSums, line};
use tracer_core::spread::Spread;
use tracer_ebpf::{Part, ServerCommits, SlowCommit};

use crate::commit_trace::ended_servers::EndedServers;
use crate::commit_trace::functions::{Functions, functions};
use crate::commit_trace::program::{Program, ProgramError};
use crate::commit_trace::reasons::{any, nobody};
use crate::commit_trace::stage_follower::StageFollower;
use crate::commit_trace::usual_commits::UsualCommits;
use crate::commit_trace::walreceiver::Walreceivers;
use crate::kernel::clock::now_ns;
use crate::kernel::descriptors::explained;
use crate::kernel::parent::parent_of;
use crate::kernel::{offsets, server};

pub(crate) use crate::commit_trace::functions::SYMBOLS;
pub(crate) use crate::commit_trace::usual_commits::EarlierServers;
pub(crate) use crate::commit_trace::walreceiver::receives;

/// The most servers that Prometheus is shown.
const MAX_EXPOSED: usize = 16;

/// Follows the commits of the servers on this host.
pub(crate) struct CommitTrace {
    slow: Duration,
    /// The only network namespace whose servers are followed.
    netns: Option<u32>,
    program: Option<Program>,
    reason: Option<String>,
    binaries: Vec<Binary>,
    places: BTreeMap<u32, Place>,
    ended: EndedServers,
    /// Servers in the order in which they were met.
    met: Vec<u32>,
    slowest: Slowest,
    usual: UsualCommits,
    /// What follows waits through the walsender, or why nothing does.
    stages: Result<StageFollower, String>,
    start_ns: u64,
    last: CommitSums,
}

impl CommitTrace {
    /// Finds the servers and hangs the programs on what they run. What cannot be
    /// done is in the report: nothing else depends on it.
    pub(crate) fn start(slow: Duration, netns: Option<u32>, earlier: EarlierServers) -> Self {
        let mut commits = Self {
            slow,
            netns,
            program: None,
            reason: None,
            binaries: Vec::new(),
            places: BTreeMap::new(),
            ended: EndedServers::default(),
            met: Vec::new(),
            slowest: Slowest::default(),
            usual: UsualCommits::new(slow, earlier),
            stages: Err("no commit is watched".to_owned()),
            start_ns: now_ns(),
            last: CommitSums::default(),
        };
        commits.reason = commits.attach().err().map(explained);
        if let Some(reason) = &commits.reason {
            log::warn!("commits cannot be split: {reason}");
        }
        commits.start_ns = now_ns();
        commits.last = commits.moment();
        commits
    }

    fn attach(&mut self) -> Result<(), String> {
        let servers = self.servers_here()?;
        if servers.is_empty() {
            return Err(nobody(self.netns));
        }
        let stages = offsets::of_stages().map_err(|error| error.to_string());
        let mut program = Program::load(self.slow, stages.as_ref().ok().copied())
            .map_err(|error| error.to_string())?;
        let stages = stages.map(drop);
        for server in &servers {
            self.place(server.pid, || place_of(server));
            self.meet(server, |file, functions| {
                let refused = |error: ProgramError| error.to_string();
                program.attach(file, functions.commit).map_err(refused)?;
                let followed = stages.clone().and(functions.walsender);
                let followed = followed.and_then(|functions| {
                    let attached = program.attach_walsender(file, &functions);
                    attached.map_err(refused)
                });
                Ok(followed)
            });
        }
        any(self.binaries.iter().map(|one| &one.reason))?;
        let watched = self.binaries.iter().filter(|one| one.reason.is_none());
        let followed = any(watched.map(|one| &one.unstaged));
        self.stages = followed.and_then(|()| self.follow(&mut program, &servers));
        self.program = Some(program);
        Ok(())
    }

    /// Follows waits through the walsender. Nothing else depends on it.
    fn follow(
        &self,
        program: &mut Program,
        servers: &[server::Server],
    ) -> Result<StageFollower, String> {
        let refused = |error: ProgramError| error.to_string();
        program.attach_segments().map_err(refused)?;
        let received = Walreceivers::attach(program, servers);
        let maps = program.stage_maps().map_err(refused)?;
        let started = StageFollower::start(maps, self.netns, servers, received.standbys);
        started.map_err(|error| format!("no thread can be started: {error}"))
    }

    /// The servers that are to be followed.
    fn servers_here(&self) -> Result<Vec<server::Server>, String> {
        let all = server::all().map_err(|error| format!("/proc cannot be read: {error}"))?;
        let wanted = |one: &server::Server| self.netns.is_none() || one.netns() == self.netns;
        Ok(all.into_iter().filter(wanted).collect())
    }

    /// Once for each program, whoever runs it. What attaches says whether, and then whether to its
    /// walsenders, too.
    fn meet(
        &mut self,
        server: &server::Server,
        attach: impl FnOnce(&std::path::Path, Functions) -> Result<Result<(), String>, String>,
    ) {
        let identity = server.identity().ok();
        let known = |one: &Binary| one.identity.is_some() && one.identity == identity;
        if self.binaries.iter().any(known) {
            return;
        }
        let functions = functions(server);
        let attached = functions.and_then(|functions| attach(&server.file(), functions));
        // One that has ended meanwhile commits no more.
        if attached.is_err() && server::Server::of(server.pid).is_none() {
            return;
        }
        self.binaries.push(Binary {
            identity,
            path: server.program().unwrap_or_else(|_| "?".to_owned()),
            unstaged: attached.as_ref().ok().and_then(|one| one.clone().err()),
            reason: attached.err(),
        });
    }

    /// Takes a sample, and says it in a line.
    pub(crate) fn poll(&mut self) -> String {
        if let Some(reason) = &self.reason {
            return format!("commits: not split: {reason}");
        }
        self.tend();
        let now = self.moment();
        let line = line(&now, &self.last);
        self.last = now;
        line
    }

    /// Takes what waits, and gives back the places of servers that have ended. To be done
    /// more often than a sample is taken: in an interval of a minute, more servers may end
    /// than there are places.
    pub(crate) fn tend(&mut self) {
        self.take_slow();
        self.take_ended();
        let servers = self.servers();
        if let Some(program) = &mut self.program {
            self.usual.learn(program, &servers, &self.places);
        }
    }

    /// What was counted so far, by server and part.
    pub(crate) fn spreads(&mut self) -> Vec<metrics::Commits> {
        let parts = [
            ("total", Part::Total),
            ("flush", Part::Flush),
            ("wait", Part::Wait),
            ("rest", Part::Rest),
        ];
        let mut pids = self.servers();
        // There may be a thousand, and no more than these are shown.
        let ended = self.ended.iter().take(MAX_EXPOSED);
        // Another server may have the number by now.
        pids.extend(
            ended
                .map(|ended| ended.pid)
                .filter(|pid| !pids.contains(pid))
                .collect::<Vec<_>>(),
        );
        let pids = exposed(pids, &self.met, |pid| server::Server::of(pid).is_some());
        let sums = pids
            .into_iter()
            .filter_map(|pid| Some((pid, self.sums_of(pid)?)));
        let stages = self.stages.as_ref().ok();
        // What was never seen is not shown as nothing.
        let is_known = |part, sums: &ServerCommits| {
            part != Part::Flush || BackendCalls::of(sums).no_flush().is_none()
        };
        let spreads = |(pid, sums)| metrics::Commits {
            pid,
            parts: parts
                .into_iter()
                .filter(|(_, part)| is_known(*part, &sums))
                .map(|(name, part)| (name, Spread::of_commits(&sums, part)))
                .collect(),
            waits: stages.map_or_else(Vec::new, |stages| stages.spreads(pid)),
        };
        sums.map(spreads).collect()
    }

    /// What became so far of the WAL that standbys here received.
    pub(crate) fn received(&self) -> Vec<metrics::Received> {
        let stages = self.stages.as_ref().ok();
        stages.map_or_else(Vec::new, StageFollower::received)
    }

    /// Those of a server that runs, or has ended.
    fn sums_of(&self, pid: u32) -> Option<ServerCommits> {
        let running = self.program.as_ref().and_then(|program| program.sums(pid));
        running.or_else(|| Some(self.ended.iter().find(|one| one.pid == pid)?.sums()))
    }

    /// Commits that are in no count.
    pub(crate) fn not_counted(&self) -> u64 {
        let given_up = self.program.as_ref().map_or(0, Program::given_up);
        given_up + self.ended.forgotten_commits()
    }

    /// Puts slow commits where they are kept.
    fn take_slow(&mut self) {
        let Some(program) = &mut self.program else {
            return;
        };
        let slow: Vec<_> = std::iter::from_fn(|| program.next_slow()).collect();
        self.keep(slow);
    }

    /// Gives back the kernel's places of servers that have ended, so that there is one for
    /// each that starts.
    fn take_ended(&mut self) {
        let Some(program) = &mut self.program else {
            return;
        };
        let runs = |pid| server::Server::of(pid).is_some();
        for pid in self.ended.look(program.servers(), runs) {
            let sums = program.sums(pid);
            // One that cannot be removed is counted where it is.
            if !program.forget(pid) {
                continue;
            }
            self.met.retain(|one| *one != pid);
            self.usual.forget(pid);
            if let Ok(stages) = &self.stages {
                stages.forget(pid);
            }
            let place = self.places.remove(&pid).unwrap_or_default();
            let wanted = self.netns.is_none() || place.netns == self.netns;
            if let Some(sums) = sums.filter(|_| wanted) {
                self.ended.keep(pid, place, &sums);
            }
        }
    }

    /// Keeps those of the servers that are followed: others would take their room.
    fn keep(&mut self, slow: Vec<SlowCommit>) {
        for slow in slow {
            self.find(slow.server);
            if self.is_wanted(slow.server) {
                self.slowest.add(slow);
            }
        }
    }

    /// What there is now.
    fn moment(&mut self) -> CommitSums {
        let servers = self.servers();
        let waiting = self.waiting();
        let running = servers
            .into_iter()
            .filter_map(|pid| self.program.as_ref()?.sums(pid));
        CommitSums::new(now_ns(), running.chain([*self.ended.all()]), &waiting)
    }

    /// The servers that are followed and have committed anything.
    fn servers(&mut self) -> Vec<u32> {
        let mut all = self
            .program
            .as_ref()
            .map_or_else(Vec::new, Program::servers);
        for pid in &all {
            self.find(*pid);
        }
        all.retain(|pid| self.is_wanted(*pid));
        all
    }

    /// Finds out where a server is, unless that was done before.
    fn find(&mut self, pid: u32) {
        self.place(pid, || {
            // One that is gone by now leaves its number.
            server::Server::of(pid).map_or_else(Place::default, |one| place_of(&one))
        });
    }

    fn place(&mut self, pid: u32, find: impl FnOnce() -> Place) {
        self.places.entry(pid).or_insert_with(|| {
            self.met.push(pid);
            find()
        });
    }

    /// Of one that runs a program that is not watched nothing is known, not even that it
    /// committed nothing.
    fn is_watched(&self, place: &Place) -> bool {
        let mut watched = self.binaries.iter().filter(|one| one.reason.is_none());
        place.identity.is_some() && watched.any(|one| one.identity == place.identity)
    }

    fn is_wanted(&self, pid: u32) -> bool {
        let place = self.places.get(&pid);
        self.netns.is_none() || place.is_some_and(|place| place.netns == self.netns)
    }

    /// Backends of these servers that wait for a standby.
    fn waiting(&self) -> Vec<WaitingBackend> {
        let waiting = self.program.as_ref().map(Program::waiting);
        let backend = |(pid, since_ns)| {
            // One that died in its wait has no parent any more.
            let server = parent_of(pid).filter(|server| self.is_wanted(*server))?;
            Some(WaitingBackend { server, since_ns })
        };
        let waiting = waiting.unwrap_or_default().into_iter();
        waiting.filter_map(backend).collect()
    }

    /// Takes the last reading.
    #[must_use]
    pub(crate) fn finish(mut self) -> CommitsRecord {
        self.take_slow();
        let waiting = self.waiting();
        let servers = self.servers();
        let sums = servers.into_iter().filter_map(|pid| {
            let sums = self.program.as_ref()?.sums(pid)?;
            Some((pid, sums))
        });
        let sums: BTreeMap<u32, ServerCommits> = sums.collect();
        let end_ns = now_ns();
        if self.program.is_some() {
            for server in self.servers_here().unwrap_or_default() {
                self.place(server.pid, || place_of(&server));
                // In a new container, the same program seems another.
                if !sums.contains_key(&server.pid) {
                    self.meet(&server, |_, _| {
                        Err("it was started after tracer, and nothing of it was counted".to_owned())
                    });
                }
            }
        }
        let usual = &self.usual;
        let places = std::mem::take(&mut self.places).into_iter();
        let running = places
            .filter(|(pid, place)| sums.contains_key(pid) || self.is_watched(place))
            .filter(|(_, place)| self.netns.is_none() || place.netns == self.netns)
            .map(|(pid, place)| Server {
                pid,
                place,
                sums: sums.get(&pid).copied(),
                dispersion: usual.dispersion(pid),
                usual_ns: usual.usual_ns(pid),
                slow_from_ns: usual.slow_from_ns(pid),
                slow_times: usual.slow_times(pid),
                waiting: waiting
                    .iter()
                    .filter(|one| one.server == pid)
                    .map(|one| one.since_ns)
                    .collect(),
            });
        let ended = self.ended.iter().map(|ended| Server {
            pid: ended.pid,
            place: ended.place.clone(),
            sums: Some(ended.sums()),
            dispersion: None,
            usual_ns: None,
            slow_from_ns: None,
            slow_times: Vec::new(),
            waiting: Vec::new(),
        });
        let servers = running.chain(ended).collect();
        let given_up = self.not_counted();
        let stages = self.stages.map(StageFollower::finish);
        let program = self.program.as_ref();
        CommitsRecord {
            slow: self.slow,
            start_ns: self.start_ns,
            end_ns,
            reason: self.reason,
            binaries: self.binaries,
            servers,
            slowest: self.slowest,
            stages,
            given_up,
            out_of_sight: program.map_or(0, Program::out_of_sight),
            effort: program.map(Program::effort).unwrap_or_default(),
        }
    }
}

/// Whether the waits of a server's commits can be followed through its walsenders.
///
/// # Errors
/// Why not.
pub(crate) fn follows(server: &server::Server) -> Result<(), String> {
    offsets::of_stages().map_err(|error| error.to_string())?;
    functions(server)?.walsender?;
    layout::layout(server).map(drop)
}

/// Of so many servers those that Prometheus is shown: what still runs comes first, and
/// then what was met last; last what has ended, the latest first, as it is given.
fn exposed(mut pids: Vec<u32>, met: &[u32], runs: impl Fn(u32) -> bool) -> Vec<u32> {
    if pids.len() > MAX_EXPOSED {
        pids.sort_by_cached_key(|pid| {
            let age = met.iter().rev().position(|one| one == pid);
            (!runs(*pid), age.unwrap_or(usize::MAX))
        });
        pids.truncate(MAX_EXPOSED);
    }
    pids
}

/// Where a server is.
fn place_of(server: &server::Server) -> Place {
    Place {
        pid: Some(server.pid),
        netns: server.netns(),
        port: server.port(),
        version: server.version(),
        program: server.program().ok(),
        identity: server.identity().ok(),
        data: server.data(),
    }
}

#[cfg(test)]
mod tests;
