//! The kernel programs that split commits: loading, attaching, reading.

use std::error::Error;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use aya::Ebpf;
use aya::maps::{HashMap, MapData, PerCpuArray, RingBuf};
use aya::programs::uprobe::UProbeScope;
use aya::programs::{RawTracePoint, UProbe};
use tracer_core::recording::programs::RunStats;
use tracer_ebpf::{
    Backend, CommitGap, CommitSettings, MAX_BACKENDS, MAX_RECEIVERS, MAX_SENDERS, ServerCommits,
    SlowCommit, StageOffsets,
};

use crate::commit_trace::SYMBOLS;
use crate::commit_trace::followed_sockets::FollowedSockets;
use crate::commit_trace::layout::WalsenderFunctions;
use crate::commit_trace::libpq_calls::ReceiverCalls;
use crate::commit_trace::stage_follower::StageMaps;
use crate::kernel::bpf::{self, with_causes, without_log};
use crate::kernel::descriptors::explained;
use crate::kernel::{offsets, pidns, uprobes};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/commit.o"));

/// Programs and, as an index of [`SYMBOLS`], where they hang. What begins a commit
/// comes last: by then all that can happen within one is seen.
const PROGRAMS: [(&str, usize); 5] = [
    ("flush_begins", 0),
    ("wait_begins", 1),
    ("wait_ends", 1),
    ("prepared_begins", 2),
    ("commit_begins", 3),
];

/// What follows waits through the walsender: what begins and ends handling a reply.
const RELEASES: [&str; 2] = ["reply_begins", "reply_ends"];
/// What follows WAL through a walreceiver's calls of libpq, and where each hangs: an index of
/// [`ReceiverCalls::jumps`]. What begins comes last.
const RECEIVES: [(&str, usize); 4] = [
    ("message_ends", 0),
    ("reply_sent", 1),
    ("socket_told", 2),
    ("message_begins", 0),
];
/// What follows its flushes.
const FLUSHES: [&str; 2] = ["receiver_flush_ends", "receiver_flush_begins"];
/// What it takes to know when a segment arrived.
const SEGMENTS: &str = "tcp_probe";

/// Why commits cannot be split: what was tried, and what came of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    #[error("the kernel's processes cannot be distinguished: {0}")]
    Tasks(io::Error),
    #[error("servers cannot be distinguished by their processes: {0}; {1}")]
    Pids(String, &'static str),
    #[error("the programs cannot be loaded: {0}")]
    Load(String),
    #[error("{symbol} cannot be watched: {reason}")]
    Attach {
        symbol: &'static str,
        reason: String,
    },
}

/// The loaded programs and their maps.
pub(crate) struct Program {
    // Dropping it detaches the programs.
    object: Ebpf,
    servers: HashMap<MapData, u32, ServerCommits>,
    backends: HashMap<MapData, u64, Backend>,
    slow_from: HashMap<MapData, u32, u64>,
    slow: RingBuf<MapData>,
    gaps: PerCpuArray<MapData, u64>,
}

impl Program {
    /// Loads the programs, attached to nothing yet.
    ///
    /// Without `stages` no wait is followed through the walsender.
    pub(crate) fn load(slow: Duration, stages: Option<StageOffsets>) -> Result<Self, ProgramError> {
        let tasks = offsets::of_tasks().map_err(ProgramError::Tasks)?;
        let pids = pidns::numbers().map_err(|why| ProgramError::Pids(why, pidns::REMEDY))?;
        let settings = CommitSettings {
            slow_ns: u64::try_from(slow.as_nanos()).unwrap_or(u64::MAX),
            real_parent: tasks.real_parent,
            tgid: tasks.tgid,
        };
        let cpus = aya::util::nr_cpus().unwrap_or(1);
        let mut object = bpf::without_kernel_types()
            .override_global("COMMIT_SETTINGS", &settings, true)
            .override_global("PID_NAMESPACE", &pids, true)
            .override_global("STAGE_OFFSETS", &stages.unwrap_or_default(), true)
            .map_max_entries("BACKENDS", with_room(MAX_BACKENDS, cpus))
            .map_max_entries("SENDERS", with_room(MAX_SENDERS, cpus))
            .map_max_entries("RECEIVERS", with_room(MAX_RECEIVERS, cpus))
            .load(OBJECT)
            .map_err(|error| refused(&error))?;
        for (name, _) in PROGRAMS {
            uprobe(&mut object, name)?
                .load()
                .map_err(|error| refused(&error))?;
        }
        Ok(Self {
            servers: take(&mut object, "SERVERS")?,
            backends: take(&mut object, "BACKENDS")?,
            slow_from: take(&mut object, "SLOW_FROM")?,
            slow: take(&mut object, "SLOW_COMMITS")?,
            gaps: take(&mut object, "COMMIT_GAPS")?,
            object,
        })
    }

    /// Hangs the programs on a file, in which the functions of [`SYMBOLS`] begin at
    /// these offsets: wherever it runs, and whenever it is started. All or none.
    ///
    /// That two paths lead to one file, as those of two containers can, costs time
    /// and counts nothing twice: what a program does for the second time changes
    /// nothing.
    pub(crate) fn attach(
        &mut self,
        file: &Path,
        begin: [u64; SYMBOLS.len()],
    ) -> Result<(), ProgramError> {
        let places = PROGRAMS.map(|(name, symbol)| (name, SYMBOLS[symbol], begin[symbol]));
        self.attach_all(file, &places)
    }

    /// Hangs what follows waits on the functions of walsenders in a file, likewise, but for the
    /// number of their calls: of these it matters whether there were any.
    pub(crate) fn attach_walsender(
        &mut self,
        file: &Path,
        functions: &WalsenderFunctions,
    ) -> Result<(), ProgramError> {
        let (wal_read, begins) = functions.wal_read;
        let [reply_begins, reply_ends] = RELEASES;
        for name in [wal_read, reply_begins, reply_ends] {
            load(uprobe(&mut self.object, name)?)?;
        }
        let release = "SyncRepReleaseWaiters";
        self.attach_all(
            file,
            &[
                (reply_ends, release, functions.release),
                (reply_begins, release, functions.release),
                (wal_read, "WALRead", begins),
            ],
        )
    }

    /// Hangs what follows WAL through a standby on a library's calls of libpq, likewise: of one
    /// image's containers, each seems to have a library of its own, and there is one.
    pub(crate) fn attach_walreceiver(&mut self, calls: &ReceiverCalls) -> Result<(), ProgramError> {
        for (name, _) in RECEIVES {
            load(uprobe(&mut self.object, name)?)?;
        }
        let places = RECEIVES.map(|(name, at)| (name, "libpq", calls.jumps[at]));
        self.attach_all(&calls.library, &places)
    }

    /// Hangs what follows a walreceiver's flushes on a program, likewise.
    pub(crate) fn attach_receiver_flush(
        &mut self,
        file: &Path,
        begins: u64,
    ) -> Result<(), ProgramError> {
        for name in FLUSHES {
            load(uprobe(&mut self.object, name)?)?;
        }
        let places = FLUSHES.map(|name| (name, "issue_xlog_fsync", begins));
        self.attach_all(file, &places)
    }

    /// Begins to note when segments arrive for walsenders and walreceivers.
    pub(crate) fn attach_segments(&mut self) -> Result<(), ProgramError> {
        let program = self.object.program_mut(SEGMENTS).map(TryInto::try_into);
        let Some(Ok(program)) = program else {
            return Err(absent(SEGMENTS));
        };
        let program: &mut RawTracePoint = program;
        program.load().map_err(|error| refused(&error))?;
        let attached = program.attach(SEGMENTS);
        attached.map(drop).map_err(|error| ProgramError::Attach {
            symbol: SEGMENTS,
            reason: with_causes(&error),
        })
    }

    /// What is told of waits, which somebody else is to read.
    pub(super) fn stage_maps(&mut self) -> Result<StageMaps, ProgramError> {
        Ok(StageMaps {
            records: take(&mut self.object, "STAGES")?,
            layouts: take(&mut self.object, "LAYOUTS")?,
            sockets: FollowedSockets(take(&mut self.object, "FOLLOWED_SOCKETS")?),
            gaps: take(&mut self.object, "STAGE_GAPS")?,
        })
    }

    /// All or none, in this order: by program, the function's name and where it begins.
    fn attach_all(
        &mut self,
        file: &Path,
        places: &[(&'static str, &'static str, u64)],
    ) -> Result<(), ProgramError> {
        let mut links = Vec::with_capacity(places.len());
        for (name, symbol, begins) in places {
            let program = uprobe(&mut self.object, name)?;
            match program.attach(*begins, file, UProbeScope::AllProcesses) {
                Ok(link) => links.push((*name, link)),
                Err(error) => {
                    let reason = reason(&error, file);
                    for (name, link) in links {
                        // Closing the descriptor is what detaches.
                        let _ = uprobe(&mut self.object, name)?.detach(link);
                    }
                    return Err(ProgramError::Attach { symbol, reason });
                }
            }
        }
        Ok(())
    }

    /// Every server that has committed anything, by its first process, but those that
    /// were forgotten.
    pub(crate) fn servers(&self) -> Vec<u32> {
        // Nobody removes servers meanwhile: no walk is cut short.
        self.servers.keys().filter_map(Result::ok).collect()
    }

    /// What one of them has committed so far: 4 KiB, of which nobody needs to have many at
    /// a time.
    pub(crate) fn sums(&self, server: u32) -> Option<ServerCommits> {
        self.servers.get(&server, 0).ok()
    }

    /// From now on a commit of this server that takes so long is slow, ns; false if there was no
    /// room to say so.
    pub(crate) fn call_slow_from(&mut self, server: u32, ns: u64) -> bool {
        self.slow_from.insert(server, ns, 0).is_ok()
    }

    /// Gives back the place of a server that has ended; false if it is still there.
    pub(crate) fn forget(&mut self, server: u32) -> bool {
        // Most have none.
        let _ = self.slow_from.remove(&server);
        self.servers.remove(&server).is_ok()
    }

    /// Slow commits that have ended since this was asked last.
    pub(crate) fn next_slow(&mut self) -> Option<SlowCommit> {
        let record = self.slow.next()?;
        let bytes: &[u8] = &record;
        // SAFETY: any bytes are a `SlowCommit`; as many are read as there are.
        (bytes.len() == size_of::<SlowCommit>())
            .then(|| unsafe { bytes.as_ptr().cast::<SlowCommit>().read_unaligned() })
    }

    /// Backends that wait for a standby, and since when.
    pub(crate) fn waiting(&self) -> Vec<(u32, u64)> {
        let backends = self.backends.iter().filter_map(Result::ok);
        backends
            .filter(|(_, one)| one.start_ns != 0 && one.wait_from_ns != 0)
            .filter(|(_, one)| one.pid != 0)
            .map(|(_, one)| (one.pid, one.wait_from_ns))
            .collect()
    }

    /// Commits that had to be given up.
    pub(crate) fn given_up(&self) -> u64 {
        let gaps = [
            CommitGap::BackendsFull,
            CommitGap::ServersFull,
            CommitGap::ReadFailed,
            CommitGap::EndMissed,
        ];
        gaps.into_iter().map(|gap| self.gap(gap)).sum()
    }

    /// Commits of servers that are outside of what `/proc` shows.
    pub(crate) fn out_of_sight(&self) -> u64 {
        self.gap(CommitGap::OutOfSight)
    }

    fn gap(&self, gap: CommitGap) -> u64 {
        let cpus = self.gaps.get(&(gap as u32), 0);
        cpus.map_or(0, |cpus| cpus.iter().sum())
    }

    /// What the kernel says of the programs' runs.
    pub(crate) fn effort(&self) -> RunStats {
        let mut sum = RunStats::default();
        for (_, program) in self.object.programs() {
            if let Ok(fd) = program.fd()
                && let Ok(one) = bpf::effort(fd.as_fd())
            {
                sum.runs += one.runs;
                sum.ns += one.ns;
                sum.missed += one.missed;
            }
        }
        sum
    }
}

/// How large a map is made that forgets what was used least, of so many entries at least. Before 6.17
/// each processor sets 128 free ones aside for itself, and takes them from those in use where there
/// are no others (`LOCAL_FREE_TARGET`,
/// <https://github.com/torvalds/linux/blob/v5.10/kernel/bpf/bpf_lru_list.c>).
fn with_room(least: u32, cpus: usize) -> u32 {
    const SET_ASIDE: u32 = 128;
    let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
    least.max(cpus.saturating_mul(2 * SET_ASIDE))
}

fn uprobe<'a>(object: &'a mut Ebpf, name: &str) -> Result<&'a mut UProbe, ProgramError> {
    let program = object.program_mut(name).map(TryInto::try_into);
    match program {
        Some(Ok(program)) => Ok(program),
        _ => Err(absent(name)),
    }
}

/// Once, whoever wants it.
fn load(program: &mut UProbe) -> Result<(), ProgramError> {
    match program.load() {
        Ok(()) | Err(aya::programs::ProgramError::AlreadyLoaded) => Ok(()),
        Err(error) => Err(refused(&error)),
    }
}

fn take<M: TryFrom<aya::maps::Map, Error = aya::maps::MapError>>(
    object: &mut Ebpf,
    name: &str,
) -> Result<M, ProgramError> {
    let map = object.take_map(name).ok_or_else(|| absent(name))?;
    map.try_into().map_err(|error| refused(&error))
}

fn absent(name: &str) -> ProgramError {
    ProgramError::Load(format!("the object has no {name}"))
}

fn refused(error: &(dyn Error + 'static)) -> ProgramError {
    let text = with_causes(error);
    // With what helps, which may stand behind the log.
    ProgramError::Load(explained(without_log(&text).to_owned()))
}

fn reason(error: &aya::programs::ProgramError, file: &Path) -> String {
    let text = with_causes(error);
    let code = codes(error).next();
    match code {
        Some(libc::ENOENT) => "this kernel has no uprobes (CONFIG_UPROBE_EVENTS)".to_owned(),
        Some(libc::EPERM | libc::EACCES) => {
            format!("{text}; {}", uprobes::missing(file))
        }
        _ => text,
    }
}

/// Numbers of the system's errors among the causes.
fn codes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = i32> + 'a {
    let next = |error: &&'a (dyn Error + 'static)| Error::source(*error);
    std::iter::successors(Some(error), next)
        .filter_map(|error| error.downcast_ref::<io::Error>()?.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_processor_sets_aside_leaves_half_of_a_map() {
        assert_eq!(with_room(MAX_BACKENDS, 8), MAX_BACKENDS);
        assert_eq!(with_room(MAX_BACKENDS, 128), 32_768);
        assert_eq!(with_room(MAX_RECEIVERS, 2), 512);
    }
}
