//! The fault's kernel program: what it is to hit, and what it counts.

use std::error::Error;
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use aya::Ebpf;
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, LpmTrie, Map, MapData, PerCpuArray};
use aya::programs::tc::{SchedClassifierLinkId, TcAttachOptions};
use aya::programs::{LinkOrder, ProgramError, ProgramFd, SchedClassifier, TcAttachType};
use aya::sys::SyscallError;
use caps::Capability::{self, CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON};
use ipnet::IpNet;
use tracer_ebpf::{Direction, FaultCounters, FaultSettings};

use crate::inject::guard::origin::Origin;
use crate::inject::{InjectError, Interface};
use crate::kernel::bpf::{self, with_causes, without_log};
use crate::kernel::preflight;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/fault.o"));
/// How many peers the trie holds (`FAULT_PEERS` in the kernel program).
pub(crate) const MAX_PEERS: usize = 256;
/// How long the kernel may take to let go of a closed link.
const PATIENCE: Duration = Duration::from_secs(1);

/// What loading and attaching take; the verifier asks for `CAP_PERFMON` where a program
/// computes with addresses
/// ([`bpf_allow_ptr_leaks`](https://github.com/torvalds/linux/blob/v6.18/include/linux/bpf.h),
/// Linux 5.8).
const NEEDED: [Capability; 3] = [CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN];

/// One of the object's programs: the same fault, for one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// What leaves or arrives.
    Direction(Direction),
    /// What leaves, as the filter of a queueing discipline.
    Queue,
}

impl Entry {
    /// Its name in the object, and in the kernel's list.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Direction(Direction::Egress) => "fault_out",
            Self::Direction(Direction::Ingress) => "fault_in",
            Self::Queue => "fault_queue",
        }
    }
}

/// The loaded programs and, while they are attached by TCX, their links.
pub(crate) struct FaultProgram {
    object: Ebpf,
    links: Vec<TcxLink>,
    counters: PerCpuArray<MapData, FaultCounters>,
    until: Array<MapData, u64>,
    interface: String,
}

struct TcxLink {
    direction: Direction,
    link: SchedClassifierLinkId,
    program_id: u32,
}

impl FaultProgram {
    /// Loads the programs with what they are to hit. They hit nothing yet.
    pub(crate) fn load(
        interface: &str,
        entries: &[Entry],
        settings: FaultSettings,
        peers: &[IpNet],
    ) -> Result<Self, InjectError> {
        let mut object = bpf::without_kernel_types()
            .override_global("FAULT_SETTINGS", &settings, true)
            .load(OBJECT)
            .map_err(failed("load"))?;
        let mut trie = LpmTrie::<_, [u8; 16], u8>::try_from(map(&mut object, "FAULT_PEERS")?)
            .map_err(failed("configure"))?;
        for peer in peers {
            trie.insert(&key(*peer), 1, 0)
                .map_err(failed("configure"))?;
        }
        let until =
            Array::try_from(map(&mut object, "FAULT_UNTIL")?).map_err(failed("configure"))?;
        let counters = PerCpuArray::try_from(map(&mut object, "FAULT_COUNTERS")?)
            .map_err(failed("configure"))?;
        for entry in entries {
            classifier(&mut object, *entry)?
                .load()
                .map_err(failed("load"))?;
        }
        Ok(Self {
            object,
            links: Vec::new(),
            counters,
            until,
            interface: interface.to_owned(),
        })
    }

    /// Hangs the program on a link that goes with this process.
    pub(crate) fn attach(&mut self, direction: Direction) -> Result<(), InjectError> {
        let program = classifier(&mut self.object, Entry::Direction(direction))?;
        let program_id = program.info().map_err(failed("attach"))?.id();
        let order = TcAttachOptions::TcxOrder(LinkOrder::default());
        let link = program.attach_with_options(&self.interface, tcx(direction), order);
        let link = link.map_err(attach_failed)?;
        self.links.push(TcxLink {
            direction,
            link,
            program_id,
        });
        Ok(())
    }

    /// For a filter to hold.
    pub(crate) fn descriptor(&mut self, entry: Entry) -> Result<&ProgramFd, InjectError> {
        classifier(&mut self.object, entry)?
            .fd()
            .map_err(failed("attach"))
    }

    /// From here on packets are hit, until this time (ns of `CLOCK_MONOTONIC`).
    pub(crate) fn arm(&mut self, until_ns: u64) -> Result<(), InjectError> {
        self.until.set(0, until_ns, 0).map_err(failed("configure"))
    }

    /// Sum over the CPUs. [`None`] if the kernel does not say.
    pub(crate) fn counters(&self, direction: Direction) -> Option<FaultCounters> {
        let counters = self.counters.get(&(direction as u32), 0).ok()?;
        let sum = |sum: FaultCounters, cpu: &FaultCounters| FaultCounters {
            matched: sum.matched + cpu.matched,
            matched_bytes: sum.matched_bytes + cpu.matched_bytes,
            matched_squares: sum.matched_squares + cpu.matched_squares,
            passed: sum.passed + cpu.passed,
            repeated: sum.repeated + cpu.repeated,
            loss: sum.loss.plus(cpu.loss),
            corrupt: sum.corrupt.plus(cpu.corrupt),
        };
        Some(counters.iter().fold(FaultCounters::default(), sum))
    }

    /// Lets go of the links. True if the kernel confirms that the programs are
    /// gone from the interface, wherever that is now, or the interface is gone.
    pub(crate) fn detach(&mut self, origin: &Origin) -> bool {
        let links = std::mem::take(&mut self.links);
        let mut attached = Vec::new();
        for TcxLink {
            direction,
            link,
            program_id,
        } in links
        {
            if let Ok(program) = classifier(&mut self.object, Entry::Direction(direction)) {
                // Closing the descriptor is what detaches, and that cannot fail.
                let _ = program.detach(link);
            }
            attached.push((direction, program_id));
        }
        // A child of this process that is just being started holds copies of
        // all descriptors until it runs its program.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (whereabouts, gone) =
                origin.visit(|interface, _| attached.iter().all(|it| is_off(interface, *it)));
            if gone.unwrap_or(whereabouts.is_gone()) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Whether a program of that id is not on the interface any more.
fn is_off(interface: &Interface, (direction, id): (Direction, u32)) -> bool {
    let programs = SchedClassifier::query_tcx(&interface.name, tcx(direction));
    programs.is_ok_and(|(_, programs)| programs.iter().all(|it| it.id() != id))
}

/// Whether this kernel has TCX links (Linux 6.6).
pub(crate) fn has_tcx(interface: &str) -> bool {
    SchedClassifier::query_tcx(interface, TcAttachType::Egress).is_ok()
}

impl fmt::Debug for FaultProgram {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FaultProgram")
            .field("interface", &self.interface)
            .field("links", &self.links.len())
            .finish_non_exhaustive()
    }
}

const fn tcx(direction: Direction) -> TcAttachType {
    match direction {
        Direction::Egress => TcAttachType::Egress,
        Direction::Ingress => TcAttachType::Ingress,
    }
}

/// An address of the kernel's trie: always 16 bytes, IPv4 mapped.
fn key(peer: IpNet) -> Key<[u8; 16]> {
    let (address, length) = tracer_core::address::prefix(&peer);
    Key::new(length, address)
}

fn map(object: &mut Ebpf, name: &'static str) -> Result<Map, InjectError> {
    object.take_map(name).ok_or_else(|| InjectError::Program {
        doing: "configure",
        reason: format!("its object has no map {name}"),
    })
}

fn classifier(object: &mut Ebpf, entry: Entry) -> Result<&mut SchedClassifier, InjectError> {
    let name = entry.name();
    let program = object
        .program_mut(name)
        .ok_or_else(|| InjectError::Program {
            doing: "load",
            reason: format!("its object has no program {name}"),
        })?;
    program.try_into().map_err(failed("load"))
}

fn attach_failed(error: ProgramError) -> InjectError {
    match error {
        // What an unknown attach type gets.
        ProgramError::SyscallError(SyscallError { io_error, .. })
            if io_error.raw_os_error() == Some(libc::EINVAL) =>
        {
            InjectError::NoTcx(io_error)
        }
        error => failed("attach")(error),
    }
}

fn failed<E: Error + 'static>(doing: &'static str) -> impl FnOnce(E) -> InjectError {
    move |error| {
        let has_all = NEEDED.into_iter().all(preflight::has);
        InjectError::Program {
            doing,
            reason: reason(&error, has_all, || preflight::missing(&NEEDED)),
        }
    }
}

/// The kernel's words; where something was forbidden, a line with what is missing.
fn reason(
    error: &(dyn Error + 'static),
    has_all: bool,
    missing: impl FnOnce() -> String,
) -> String {
    let words = with_causes(error);
    match answer(error) {
        // The verifier says EACCES, also of a program that may not be: what it found is
        // only worth reading where nothing is missing.
        Some(libc::EPERM | libc::EACCES) if !has_all => {
            format!("{}; {}", without_log(&words), missing())
        }
        Some(libc::EPERM) => format!("{words}; {}", missing()),
        _ => words,
    }
}

/// The kernel's answer to the system call.
fn answer(error: &(dyn Error + 'static)) -> Option<i32> {
    let own = match error.downcast_ref::<ProgramError>() {
        Some(ProgramError::LoadError { io_error, .. }) => io_error.raw_os_error(),
        _ => error.downcast_ref().and_then(io::Error::raw_os_error),
    };
    own.or_else(|| answer(error.source()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_in_one_trie() {
        let key = |text: &str| {
            let key = key(text.parse().unwrap());
            (key.prefix_len(), key.data())
        };
        let mapped = |last| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 10, last];
        assert_eq!(key("10.0.10.2/32"), (128, mapped(2)));
        assert_eq!(key("10.0.10.2/24"), (120, mapped(0)));
        assert_eq!(key("0.0.0.0/0").0, 96);
        assert_eq!(key("2001:db8::2/64").0, 64);
        assert_eq!(key("2001:db8::2/64").1[15], 0);
        assert_eq!(key("::/0").0, 0);
    }
}
