//! The kernel programs that count, and their maps: loaded, attached, read.

pub mod event_file;
pub(crate) mod flow_slots;
pub(crate) mod hooks;
pub(crate) mod loader;
mod namespace_totals;
pub(crate) mod typed;
pub(crate) mod verifier;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray, RingBuf, Stack};
use aya::programs::{ProgramError, RawTracePoint};
use aya::{Ebpf, EbpfError};
use tracer_core::address::canonical;
use tracer_core::recording::bad_checksums;
use tracer_ebpf::{Baseline, Control, Ends, FreeRange, Service, Socket, Totals, Tuple};

use crate::kernel::bpf;
use crate::kernel::clock::now_ns;
use crate::programs::flow_slots::FlowSlots;
use crate::programs::namespace_totals::NamespaceTotals;
use crate::programs::typed::{TypedError, TypedPrograms};
use tracer_core::recording::flow_table::TableReading;
use tracer_core::recording::programs::{DropCounters, RunStats};
use tracer_core::report::capabilities::HookStatus;

pub(crate) use crate::programs::hooks::{HOOKS, ProgramHook};
pub(crate) use crate::programs::loader::{NO_EVENT_BYTES, Options};

/// Why the kernel side could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramsError {
    #[error("the kernel programs cannot be set up")]
    Load(#[from] EbpfError),
    /// A program that nothing works without was refused.
    #[error("the program for the tracepoint {name} was refused: {cause}")]
    Program {
        name: &'static str,
        cause: ProgramError,
    },
    #[error("map {name} of the kernel programs: {cause}")]
    Map { name: &'static str, cause: MapError },
    /// The object lacks something that this file asks for by name.
    #[error("the kernel programs have no {0}: program and tool do not match")]
    Absent(&'static str),
    #[error("the flow table cannot be read: {0}")]
    Flows(std::io::Error),
    #[error("the kernel does not measure the run time of programs: {0}")]
    Statistics(std::io::Error),
}

/// Of as many peers the programs keep counts.
const PEERS_IN_A_MAP: usize = 1_024;
/// So many services they remember.
const SERVICES_IN_A_MAP: usize = 4_096;

/// The running kernel programs and their maps.
pub(crate) struct Programs {
    // Dropping it detaches the programs.
    ebpf: Ebpf,
    control: Array<MapData, u32>,
    baselines: HashMap<MapData, Tuple, Baseline>,
    memory: SocketMemory,
    totals: NamespaceTotals,
    bad_checksums: HashMap<MapData, [u8; 16], u64>,
    bad_checksum_ends: HashMap<MapData, Ends, u64>,
    sent: HashMap<MapData, [u8; 16], u64>,
    answered: HashMap<MapData, Service, u64>,
    gaps: PerCpuArray<MapData, u64>,
    slots: FlowSlots,
    _statistics: Option<OwnedFd>,
}

/// Where the programs remember sockets.
enum SocketMemory {
    /// In the sockets themselves.
    Sockets(TypedPrograms),
    /// In a table, and why.
    Table(HashMap<MapData, u64, Socket>, TypedError),
}

impl Programs {
    /// Creates the maps and loads every program, attached to nothing yet.
    pub(crate) fn load(options: &Options) -> Result<Self, ProgramsError> {
        let mut ebpf = loader::load(options, false)?;
        let memory = match verifier::load(options, &mut ebpf) {
            Ok(typed) => SocketMemory::Sockets(typed),
            Err(why) => {
                log::debug!("sockets are remembered in a table: {why}");
                ebpf = loader::load(options, true)?;
                verifier::load_plain(&mut ebpf);
                SocketMemory::Table(take(&mut ebpf, "SOCKETS")?, why)
            }
        };
        let slots = FlowSlots::new(&mut ebpf, options.max_flows)?;
        let statistics = match options.measure_run_time {
            true => Some(
                aya::sys::enable_stats(aya::sys::Stats::RunTime)
                    .map_err(|error| ProgramsError::Statistics(error.io_error))?,
            ),
            false => None,
        };
        Ok(Self {
            control: take(&mut ebpf, "CONTROL")?,
            baselines: take(&mut ebpf, "BASELINES")?,
            memory,
            totals: NamespaceTotals::new(&mut ebpf, options.settings.netns)?,
            bad_checksums: take(&mut ebpf, "BAD_CHECKSUMS")?,
            bad_checksum_ends: take(&mut ebpf, "BAD_CHECKSUM_ENDS")?,
            sent: take(&mut ebpf, "SENT")?,
            answered: take(&mut ebpf, "ANSWERED")?,
            gaps: take(&mut ebpf, "GAPS")?,
            slots,
            ebpf,
            _statistics: statistics,
        })
    }

    /// Attaches every program. From here on sockets are learnt; nothing is
    /// counted before [`Self::start_counting`]. `on_first` is called when the first
    /// is attached.
    pub(crate) fn attach(
        &mut self,
        mut on_first: impl FnMut(),
    ) -> Result<Vec<HookStatus>, ProgramsError> {
        let mut statuses = Vec::with_capacity(HOOKS.len());
        for hook in &HOOKS {
            let outcome = self.attach_one(hook.name)?;
            match (outcome, hook.consequence) {
                (Ok(()), _) => {
                    if statuses.is_empty() {
                        on_first();
                    }
                    statuses.push(HookStatus {
                        name: hook.name.into(),
                        attached: true,
                        consequence: None,
                        reason: None,
                    });
                }
                (Err(cause), None) => {
                    return Err(ProgramsError::Program {
                        name: hook.name,
                        cause,
                    });
                }
                (Err(error), consequence) => statuses.push(HookStatus {
                    name: hook.name.into(),
                    attached: false,
                    consequence: consequence.map(Cow::Borrowed),
                    reason: Some(reason(&error)),
                }),
            }
        }
        Ok(statuses)
    }

    /// Attaches every program as [`Self::attach`] does, but goes on after each
    /// refusal: what the kernel said to each of [`HOOKS`].
    pub(crate) fn try_each(&mut self) -> Result<[Result<(), String>; HOOKS.len()], ProgramsError> {
        let mut outcomes = [const { Ok(()) }; HOOKS.len()];
        for (outcome, hook) in outcomes.iter_mut().zip(&HOOKS) {
            *outcome = self.attach_one(hook.name)?.map_err(|error| reason(&error));
        }
        Ok(outcomes)
    }

    /// The outer error is ours, the inner one the kernel's.
    fn attach_one(
        &mut self,
        name: &'static str,
    ) -> Result<Result<(), ProgramError>, ProgramsError> {
        if let SocketMemory::Sockets(typed) = &mut self.memory
            && let Some(attached) = typed.attach(name)
        {
            return Ok(attached.map_err(ProgramError::IOError));
        }
        let program: &mut RawTracePoint = match self.ebpf.program_mut(name).map(TryInto::try_into) {
            Some(Ok(program)) => program,
            _ => return Err(ProgramsError::Absent(name)),
        };
        // What could not be loaded when all of them were says now why.
        let loaded = program.fd().map(drop).or_else(|_| program.load());
        let attached = loaded.and_then(|()| program.attach(name));
        if let Ok(info) = program.info() {
            let verified = info.verified_instruction_count();
            log::debug!("{name}: the verifier checked {verified:?} instructions");
        }
        Ok(attached.map(|_| ()))
    }

    /// Says what sockets had already retransmitted. A socket that was hit since
    /// the programs were attached is known better to them.
    pub(crate) fn set_baselines(
        &mut self,
        past: impl Iterator<Item = (Tuple, Baseline)>,
    ) -> Result<(), ProgramsError> {
        for (tuple, baseline) in past {
            self.baselines
                .insert(tuple, baseline, 0)
                .map_err(map_error("BASELINES"))?;
        }
        Ok(())
    }

    /// Counts everything from here on.
    pub(crate) fn start_counting(&mut self) -> Result<(), ProgramsError> {
        self.control
            .set(0, Control::Counting as u32, 0)
            .map_err(map_error("CONTROL"))
    }

    /// The sums of one namespace; zero if nothing ever happened there.
    pub(crate) fn totals(&self, netns: u32) -> Result<Totals, ProgramsError> {
        self.totals.of(netns)
    }

    /// Segments with a bad checksum so far, by who sent them, and by connection: of more than
    /// there is room for, some are missing.
    pub(crate) fn bad_checksums(&self) -> Result<bad_checksums::BySender, ProgramsError> {
        let by_peer = by_peer("BAD_CHECKSUMS", &self.bad_checksums)?;
        let entries = self.bad_checksum_ends.iter().map(|entry| {
            let (ends, count) = entry.map_err(map_error("BAD_CHECKSUM_ENDS"))?;
            Ok((bad_checksums::ConnectionEnds::from(&ends), count))
        });
        let by_connection: Result<_, ProgramsError> = entries.collect();
        let by_connection = by_connection?;
        Ok(bad_checksums::BySender {
            by_peer,
            by_connection,
        })
    }

    /// Segments sent so far by sockets that have closed, by who they went to; and whether
    /// some may be missing.
    pub(crate) fn sent(&self) -> Result<(BTreeMap<IpAddr, u64>, bool), ProgramsError> {
        let sent = by_peer("SENT", &self.sent)?;
        let is_full = sent.len() >= PEERS_IN_A_MAP;
        Ok((sent, is_full))
    }

    /// When services answered a connection from here the last time, ns of `CLOCK_MONOTONIC`;
    /// `None` if there are more of them than the programs remember.
    pub(crate) fn answered(&self) -> Result<Option<BTreeMap<SocketAddr, u64>>, ProgramsError> {
        let mut answered = BTreeMap::new();
        let mut count = 0;
        for entry in self.answered.iter() {
            let (service, at_ns) = entry.map_err(map_error("ANSWERED"))?;
            let address = canonical(Ipv6Addr::from(service.address));
            let last_ns: &mut u64 = answered
                .entry(SocketAddr::new(address, service.port))
                .or_default();
            *last_ns = at_ns.max(*last_ns);
            count += 1;
        }
        Ok((count < SERVICES_IN_A_MAP).then_some(answered))
    }

    /// Every namespace in which something happened, and that which is traced, if it is one.
    pub(crate) fn namespaces(&self) -> Result<BTreeSet<u32>, ProgramsError> {
        self.totals.namespaces()
    }

    /// Takes in every slot of the flow table that is in use.
    pub(crate) fn read_flows(&self, reading: &mut TableReading<'_>) -> Result<(), ProgramsError> {
        self.slots
            .each(|index, flow| reading.take(index, flow, true))
    }

    /// As [`Self::read_flows`], and gives the slots of sockets that have closed to others.
    pub(crate) fn take_flows(
        &mut self,
        reading: &mut TableReading<'_>,
    ) -> Result<(), ProgramsError> {
        self.slots.take(now_ns(), |index, flow, is_live| {
            reading.take(index, flow, is_live);
        })
    }

    /// What the programs remember, in a table, of sockets that are not closed. Nothing, if
    /// it is in [`Self::storage`].
    pub(crate) fn sockets(&self) -> Result<Vec<Socket>, ProgramsError> {
        let SocketMemory::Table(table, _) = &self.memory else {
            return Ok(Vec::new());
        };
        table
            .iter()
            .map(|entry| entry.map(|(_, socket)| socket))
            .collect::<Result<_, _>>()
            .map_err(map_error("SOCKETS"))
    }

    /// The map whose values are in the sockets; `None` if they are in a table.
    pub(crate) fn storage(&self) -> Option<BorrowedFd<'_>> {
        match &self.memory {
            SocketMemory::Sockets(typed) => Some(typed.storage()),
            SocketMemory::Table(..) => None,
        }
    }

    /// Why sockets are remembered in a table, if they are.
    pub(crate) fn why_in_table(&self) -> Option<String> {
        match &self.memory {
            SocketMemory::Sockets(_) => None,
            SocketMemory::Table(_, why) => Some(why.to_string()),
        }
    }

    /// What is still to be subtracted from sockets that were not seen since.
    pub(crate) fn baselines(&self) -> Result<Vec<(Tuple, Baseline)>, ProgramsError> {
        self.baselines
            .iter()
            .collect::<Result<_, _>>()
            .map_err(map_error("BASELINES"))
    }

    /// What had to be given up so far.
    pub(crate) fn gaps(&self) -> Result<DropCounters, ProgramsError> {
        let mut gaps = DropCounters::default();
        for (index, sum) in (0u32..).zip(&mut gaps.0) {
            let per_cpu = self.gaps.get(&index, 0).map_err(map_error("GAPS"))?;
            *sum = per_cpu.iter().sum();
        }
        Ok(gaps)
    }

    /// The ring buffer, once.
    pub(crate) fn take_events(&mut self) -> Result<RingBuf<MapData>, ProgramsError> {
        take(&mut self.ebpf, "EVENTS")
    }

    /// The programs' own log.
    pub(crate) fn logger(
        &mut self,
    ) -> Result<aya_log::EbpfLogger<&'static dyn log::Log>, aya_log::Error> {
        aya_log::EbpfLogger::init(&mut self.ebpf)
    }

    /// What the kernel says of the programs' runs so far.
    pub(crate) fn effort(&self) -> std::io::Result<RunStats> {
        let mut sum = RunStats::default();
        let mut add = |program: BorrowedFd<'_>| {
            let one = bpf::effort(program)?;
            sum.runs += one.runs;
            sum.ns += one.ns;
            sum.missed += one.missed;
            Ok::<_, std::io::Error>(())
        };
        for (_, program) in self.ebpf.programs() {
            // A program that was refused, or is there in another form, never ran.
            if let Ok(fd) = program.fd() {
                add(fd.as_fd())?;
            }
        }
        if let SocketMemory::Sockets(typed) = &self.memory {
            typed.programs().try_for_each(&mut add)?;
        }
        Ok(sum)
    }
}

fn by_peer(
    name: &'static str,
    map: &HashMap<MapData, [u8; 16], u64>,
) -> Result<BTreeMap<IpAddr, u64>, ProgramsError> {
    let entries = map.iter();
    let by_peer = entries
        .map(|entry| entry.map(|(address, count)| (canonical(Ipv6Addr::from(address)), count)));
    by_peer.collect::<Result<_, _>>().map_err(map_error(name))
}

fn map_error(name: &'static str) -> impl FnOnce(MapError) -> ProgramsError {
    move |cause| ProgramsError::Map { name, cause }
}

fn take<M: TryFrom<aya::maps::Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<M, ProgramsError> {
    let map = ebpf.take_map(name).ok_or(ProgramsError::Absent(name))?;
    map.try_into().map_err(map_error(name))
}

/// Takes a stack and puts ranges of all numbers from `first` to before `end` there, the first of
/// them on top.
fn take_stack(
    ebpf: &mut Ebpf,
    name: &'static str,
    first: u32,
    end: u32,
) -> Result<Stack<MapData, FreeRange>, ProgramsError> {
    let mut stack: Stack<MapData, FreeRange> = take(ebpf, name)?;
    for range in FreeRange::cover(first, end).rev() {
        stack.push(range, 0).map_err(map_error(name))?;
    }
    Ok(stack)
}

/// What a refusal means, without the verifier's log.
fn reason(error: &ProgramError) -> String {
    let text = match error {
        ProgramError::SyscallError(error)
            if error.io_error.raw_os_error() == Some(libc::ENOENT) =>
        {
            "this kernel has no such tracepoint".to_owned()
        }
        ProgramError::SyscallError(error) => error.to_string(),
        ProgramError::LoadError { io_error, .. } => {
            format!("the verifier refused the program: {io_error}")
        }
        other => other.to_string(),
    };
    text.lines().next().unwrap_or_default().to_owned()
}
