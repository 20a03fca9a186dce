//! Which commits are slow by what is usual for their server: the kernel programs are told.

use std::collections::BTreeMap;
use std::time::Duration;

use tracer_core::interval::Span;
use tracer_core::recording::commits::Place;
use tracer_core::recording::usual_commit::UsualCommit;
use tracer_core::report::Report;

use crate::commit_trace::program::Program;
use crate::kernel::clock::now_ns;

/// What an earlier report says of servers.
#[derive(Debug, Default)]
pub(crate) struct EarlierServers(Vec<EarlierServer>);

#[derive(Debug)]
struct EarlierServer {
    port: Option<u16>,
    data: Option<String>,
    /// How long a commit usually took.
    usual: Duration,
}

impl EarlierServers {
    pub(crate) fn of(report: &Report) -> Self {
        let servers = report.commits.iter().flat_map(|one| &one.servers);
        let known = servers.filter_map(|one| {
            let usual_ms = one.usual_ms.or(one.total.part.p50_ms)?;
            Some(EarlierServer {
                port: one.port,
                data: one.data.clone(),
                usual: Duration::try_from_secs_f64(usual_ms / 1e3).ok()?,
            })
        });
        Self(known.collect())
    }

    /// Of the server at the same place.
    fn usual(&self, place: &Place) -> Option<Duration> {
        let is_same = |one: &&EarlierServer| one.port == place.port && one.data == place.data;
        let found = self.0.iter().find(is_same)?;
        // Of one that could not be looked at, nothing is the same.
        place.data.as_ref().map(|_| found.usual)
    }
}

/// What is usual for each server.
#[derive(Debug)]
pub(super) struct UsualCommits {
    /// From when on a commit is slow, whatever is usual, ns.
    asked_ns: u64,
    earlier: EarlierServers,
    servers: BTreeMap<u32, LearntServer>,
}

#[derive(Debug)]
struct LearntServer {
    usual: UsualCommit,
    /// From when on the kernel programs call a commit slow, ns.
    slow_from_ns: u64,
}

impl UsualCommits {
    pub(super) fn new(asked: Duration, earlier: EarlierServers) -> Self {
        Self {
            asked_ns: u64::try_from(asked.as_nanos()).unwrap_or(u64::MAX),
            earlier,
            servers: BTreeMap::new(),
        }
    }

    /// Looks at what these servers have committed since, and tells the kernel programs.
    pub(super) fn learn(
        &mut self,
        program: &mut Program,
        pids: &[u32],
        places: &BTreeMap<u32, Place>,
    ) {
        for pid in pids.iter().copied() {
            let Some(sums) = program.sums(pid) else {
                continue;
            };
            let asked_ns = self.asked_ns;
            let server = self.servers.entry(pid).or_insert_with(|| {
                let place = places.get(&pid);
                LearntServer {
                    usual: UsualCommit::new(place.and_then(|place| self.earlier.usual(place))),
                    slow_from_ns: asked_ns,
                }
            });
            server.usual.learn(&sums, now_ns(), asked_ns);
            let slow_from_ns = server.usual.slow_from_ns(asked_ns);
            if slow_from_ns != server.slow_from_ns && program.call_slow_from(pid, slow_from_ns) {
                server.slow_from_ns = slow_from_ns;
            }
        }
    }

    /// How unevenly a server's commits came.
    pub(super) fn dispersion(&self, pid: u32) -> Option<f64> {
        self.servers.get(&pid)?.usual.dispersion()
    }

    /// How long a server's commits usually take, ns.
    pub(super) fn usual_ns(&self, pid: u32) -> Option<u64> {
        self.servers.get(&pid)?.usual.usual_ns()
    }

    /// From when on one is slow, ns.
    pub(super) fn slow_from_ns(&self, pid: u32) -> Option<u64> {
        self.servers.get(&pid).map(|server| server.slow_from_ns)
    }

    /// When most of them were.
    pub(super) fn slow_times(&self, pid: u32) -> Vec<Span> {
        let server = self.servers.get(&pid);
        server.map_or_else(Vec::new, |server| server.usual.slow_times().to_vec())
    }

    /// One has ended.
    pub(super) fn forget(&mut self, pid: u32) {
        self.servers.remove(&pid);
    }
}
