//! How long the processes of a server on this host waited for a processor: of each,
//! the kernel keeps how long it ran and how long it was ready to run and did not.
//!
//! See `/proc/PID/schedstat` in
//! <https://docs.kernel.org/scheduler/sched-stats.html>; `proc_pid_schedstat()` in
//! <https://elixir.bootlin.com/linux/v6.12/source/fs/proc/base.c>.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;
use std::fs;
use std::time::Instant;

use crate::kernel::parent::parent_of;
use crate::kernel::server::{self, Server};
use tracer_core::recording::processors::{CpuHistory, CpuInterval};

/// Who belongs to a server is asked no more often: it takes a walk over `/proc`, ...
const MEMBERS_EVERY_NS: u64 = 1_000_000_000;
/// ... and where there are many processes, no more than a hundredth of the time.
const WALKS: u64 = 100;
/// The most intervals that are kept: beyond, every two become one.
const MAX_INTERVALS: usize = 20_000;

/// What a process has had so far, ns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) ran_ns: u64,
    pub(crate) waited_ns: u64,
}

/// Follows the servers on this host.
#[derive(Debug)]
pub(crate) struct Processors {
    /// The only network namespace whose servers are followed.
    netns: Option<u32>,
    tracks: BTreeMap<u32, CpuHistory>,
    /// Every process of them, with its server and what it had at the last look.
    members: HashMap<u32, (u32, Times)>,
    /// When to look for more of them.
    members_due_ns: u64,
    last_ns: u64,
}

impl Processors {
    /// Begins with what there is at that moment.
    ///
    /// # Errors
    /// Why there is nothing to follow: what this costs.
    pub(crate) fn start(netns: Option<u32>, now_ns: u64) -> Result<Self, String> {
        // Not by our id: `/proc` may be of another PID namespace than this process.
        is_told(read("self"))?;
        let mut processors = Self {
            netns,
            tracks: BTreeMap::new(),
            members: HashMap::new(),
            members_due_ns: 0,
            last_ns: now_ns,
        };
        processors.find_members(now_ns);
        Ok(processors)
    }

    /// Adds an interval to each server.
    pub(crate) fn poll(&mut self, now_ns: u64) {
        // One that has ended has no intervals any more.
        let alive: HashSet<u32> = self.members.values().map(|(server, _)| *server).collect();
        for track in self
            .tracks
            .values_mut()
            .filter(|one| alive.contains(&one.pid))
        {
            track.steps.push(CpuInterval {
                from_ns: self.last_ns,
                at_ns: now_ns,
                ..CpuInterval::default()
            });
        }
        let tracks = &mut self.tracks;
        self.members.retain(|pid, (server, before)| {
            let Some(now) = read(*pid) else {
                return false;
            };
            if let Some(track) = tracks.get_mut(server) {
                track.ran(now.ran_ns.saturating_sub(before.ran_ns));
                track.waited(now.waited_ns.saturating_sub(before.waited_ns));
            }
            *before = now;
            true
        });
        for track in self.tracks.values_mut() {
            if track.steps.len() > MAX_INTERVALS {
                track.steps = halved(&track.steps);
            }
        }
        self.last_ns = now_ns;
        if now_ns >= self.members_due_ns {
            self.find_members(now_ns);
        }
    }

    /// What was seen of the servers.
    #[must_use]
    pub(crate) fn finish(mut self, now_ns: u64) -> Vec<CpuHistory> {
        self.poll(now_ns);
        self.tracks.into_values().collect()
    }

    /// Finds the servers and their processes. One that is new counts from now on.
    fn find_members(&mut self, now_ns: u64) {
        let begun = Instant::now();
        for server in server::all().unwrap_or_default() {
            if self.netns.is_none() || server.netns() == self.netns {
                self.tracks
                    .entry(server.pid)
                    .or_insert_with(|| track(&server));
            }
        }
        for (pid, parent) in parents() {
            let of = [pid, parent];
            let server = of.into_iter().find(|one| self.tracks.contains_key(one));
            if let Some(server) = server
                && let Some(times) = read(pid)
            {
                self.members.entry(pid).or_insert((server, times));
            }
        }
        let took_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let pause_ns = MEMBERS_EVERY_NS.max(took_ns.saturating_mul(WALKS));
        self.members_due_ns = now_ns.saturating_add(pause_ns);
    }
}

/// What is followed of a server, with nothing of it yet.
fn track(server: &Server) -> CpuHistory {
    CpuHistory {
        pid: server.pid,
        port: server.port(),
        netns: server.netns(),
        system_identifier: server.system_identifier(),
        steps: Vec::new(),
    }
}

/// Every process and its parent.
fn parents() -> Vec<(u32, u32)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    pids.filter_map(|pid| Some((pid, parent_of(pid)?)))
        .collect()
}

/// Whether the kernel keeps these times, by what it says of this process, which has run:
/// where it does not, there is no such file, or all of it is 0 for everybody.
fn is_told(ours: Option<Times>) -> Result<(), String> {
    match ours {
        Some(times) if times.ran_ns > 0 => Ok(()),
        Some(_) | None => Err("this kernel does not tell how long processes wait for a \
             processor (CONFIG_SCHEDSTATS): that a server went without is not found"
            .to_owned()),
    }
}

fn read(pid: impl Display) -> Option<Times> {
    parse(&fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?)
}

/// `ran waited timeslices`, the first two in ns.
pub(crate) fn parse(text: &str) -> Option<Times> {
    let mut fields = text.split_whitespace().map(str::parse);
    Some(Times {
        ran_ns: fields.next()?.ok()?,
        waited_ns: fields.next()?.ok()?,
    })
}

/// Two intervals as one.
fn halved(steps: &[CpuInterval]) -> Vec<CpuInterval> {
    let pairs = steps.chunks(2);
    pairs
        .filter_map(|pair| {
            let (first, last) = (pair.first()?, pair.last()?);
            Some(CpuInterval {
                from_ns: first.from_ns,
                at_ns: last.at_ns,
                ran_ns: pair.iter().map(|step| step.ran_ns).sum(),
                waited_ns: pair.iter().map(|step| step.waited_ns).sum(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_in_nanoseconds() {
        let times = Times {
            ran_ns: 586_560,
            waited_ns: 1_148_345,
        };
        assert_eq!(parse("586560 1148345 4\n"), Some(times));
        assert_eq!(parse(""), None);
        assert_eq!(parse("1 x 2"), None);
        // It tells of this process, which has run.
        assert!(is_told(read(std::process::id())).is_ok());
    }

    #[test]
    fn what_the_kernel_does_not_keep_is_not_zero() {
        for text in ["0 0 0\n", ""] {
            let reason = is_told(parse(text)).unwrap_err();
            assert!(reason.contains("CONFIG_SCHEDSTATS"), "{reason}");
        }
    }

    #[test]
    fn a_wait_that_is_told_when_it_is_over_was_before() {
        let step = |from_ns| CpuInterval {
            from_ns,
            at_ns: from_ns + 10,
            ..CpuInterval::default()
        };
        let mut track = CpuHistory {
            steps: [0, 10, 20].map(step).to_vec(),
            ..CpuHistory::default()
        };
        track.waited(3);
        track.waited(25);
        let told = |track: &CpuHistory| -> Vec<u64> {
            track.steps.iter().map(|step| step.waited_ns).collect()
        };
        assert_eq!(told(&track), [5, 10, 13]);
        // What was before the run is no part of it.
        track.waited(1_000);
        assert_eq!(told(&track), [15, 20, 23]);
    }

    #[test]
    fn a_long_run_has_longer_intervals_and_the_same_sums() {
        let step = |from_ns, waited_ns| CpuInterval {
            from_ns,
            at_ns: from_ns + 1,
            ran_ns: 1,
            waited_ns,
        };
        let steps: Vec<CpuInterval> = (0..5).map(|at| step(at, at)).collect();
        let halved = halved(&steps);
        let told = halved.iter().map(|s| (s.from_ns, s.at_ns, s.waited_ns));
        assert_eq!(told.collect::<Vec<_>>(), [(0, 2, 1), (2, 4, 5), (4, 5, 4)]);
    }
}
