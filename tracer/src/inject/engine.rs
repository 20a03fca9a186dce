//! The engine `bpf`: a TCX program held by a file descriptor.

use std::{
    error::Error,
    fmt, thread,
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    maps::{Array, LpmTrie, Map, MapData, PerCpuArray, lpm_trie::Key},
    programs::{
        LinkOrder, ProgramError, SchedClassifier, TcAttachType,
        tc::{SchedClassifierLinkId, TcAttachOptions},
    },
    sys::SyscallError,
};
use ipnet::IpNet;
use tracer_ebpf::{FaultCounters, FaultSettings};

use super::{FaultTotals, InjectError};
use crate::loader::{self, with_causes};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/fault.o"));
/// The program's name in the object.
const PROGRAM: &str = "corrupt";
/// How many peers the trie holds (`FAULT_PEERS` in the kernel program).
pub(super) const MAX_PEERS: usize = 256;

/// How long the kernel may take to let go of a closed link.
const PATIENCE: Duration = Duration::from_secs(1);

/// The loaded program and, while it is attached, its link.
pub(super) struct Engine {
    object: Ebpf,
    link: Option<SchedClassifierLinkId>,
    counters: PerCpuArray<MapData, FaultCounters>,
    until: Array<MapData, u64>,
    program_id: u32,
    interface: String,
}

impl Engine {
    /// Loads the program and tells it what to hit. It hits nothing yet.
    pub(super) fn load(
        interface: &str,
        settings: FaultSettings,
        peers: &[IpNet],
    ) -> Result<Self, InjectError> {
        let mut object = loader::without_kernel_types()
            .override_global("FAULT_SETTINGS", &settings, true)
            .load(OBJECT)
            .map_err(|error| failed("load", &error))?;
        let mut trie = LpmTrie::<_, [u8; 16], u8>::try_from(map(&mut object, "FAULT_PEERS")?)
            .map_err(|error| failed("configure", &error))?;
        for peer in peers {
            trie.insert(&key(*peer), 1, 0)
                .map_err(|error| failed("configure", &error))?;
        }
        let until = Array::try_from(map(&mut object, "FAULT_UNTIL")?)
            .map_err(|error| failed("configure", &error))?;
        let counters = PerCpuArray::try_from(map(&mut object, "FAULT_COUNTERS")?)
            .map_err(|error| failed("configure", &error))?;
        let program = program(&mut object)?;
        program.load().map_err(|error| failed("load", &error))?;
        let program_id = program.info().map_err(|error| failed("load", &error))?.id();
        Ok(Self {
            object,
            link: None,
            counters,
            until,
            program_id,
            interface: interface.to_owned(),
        })
    }

    /// Puts the program on the interface, where it still hits nothing.
    pub(super) fn attach(&mut self) -> Result<(), InjectError> {
        let link = program(&mut self.object)?
            .attach_with_options(
                &self.interface,
                TcAttachType::Egress,
                TcAttachOptions::TcxOrder(LinkOrder::default()),
            )
            .map_err(attach_failed)?;
        self.link = Some(link);
        Ok(())
    }

    /// From here on packets are hit, until this time (ns of `CLOCK_MONOTONIC`).
    pub(super) fn arm(&mut self, until_ns: u64) -> Result<(), InjectError> {
        self.until
            .set(0, until_ns, 0)
            .map_err(|error| failed("configure", &error))
    }

    /// Sum over the CPUs. [`None`] if the kernel does not tell.
    pub(super) fn totals(&self) -> Option<FaultTotals> {
        let counters = self.counters.get(&0, 0).ok()?;
        Some(
            counters
                .iter()
                .fold(FaultTotals::default(), |sum, cpu| FaultTotals {
                    seen: sum.seen + cpu.seen,
                    hit: sum.hit + cpu.hit,
                    bytes: sum.bytes + cpu.hit_bytes,
                    passed: sum.passed + cpu.passed,
                    seen_squares: sum.seen_squares + cpu.seen_squares,
                }),
        )
    }

    /// From here on nothing is hit. True if the kernel confirms that the
    /// program is gone from the interface, or the interface is gone.
    pub(super) fn detach(&mut self) -> bool {
        let Some(link) = self.link.take() else {
            return true;
        };
        if let Ok(program) = program(&mut self.object) {
            // Closing the descriptor is what detaches, and that cannot fail.
            let _ = program.detach(link);
        }
        // A child of this process that is just being started holds copies of
        // all descriptors until it runs its program.
        let deadline = Instant::now() + PATIENCE;
        loop {
            if self.is_gone() {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn is_gone(&self) -> bool {
        match SchedClassifier::query_tcx(&self.interface, TcAttachType::Egress) {
            Ok((_, programs)) => programs.iter().all(|it| it.id() != self.program_id),
            Err(_) => nix::net::if_::if_nametoindex(self.interface.as_str()).is_err(),
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("program_id", &self.program_id)
            .field("interface", &self.interface)
            .field("attached", &self.link.is_some())
            .finish_non_exhaustive()
    }
}

/// An address of the kernel's trie: always 16 bytes, IPv4 mapped.
fn key(peer: IpNet) -> Key<[u8; 16]> {
    match peer.trunc() {
        IpNet::V4(net) => Key::new(
            u32::from(net.prefix_len()) + 96,
            net.addr().to_ipv6_mapped().octets(),
        ),
        IpNet::V6(net) => Key::new(u32::from(net.prefix_len()), net.addr().octets()),
    }
}

fn map(object: &mut Ebpf, name: &str) -> Result<Map, InjectError> {
    object
        .take_map(name)
        .ok_or_else(|| missing(&format!("map {name}")))
}

fn program(object: &mut Ebpf) -> Result<&mut SchedClassifier, InjectError> {
    object
        .program_mut(PROGRAM)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| missing(&format!("program {PROGRAM}")))
}

fn missing(what: &str) -> InjectError {
    InjectError::Program {
        doing: "load",
        reason: format!("this build of tracer has no {what}"),
    }
}

/// `BPF_LINK_CREATE` says `EINVAL` to an attach type that it does not know:
/// [`link_create`](https://github.com/torvalds/linux/blob/v6.5/kernel/bpf/syscall.c).
fn attach_failed(error: ProgramError) -> InjectError {
    match error {
        ProgramError::SyscallError(SyscallError { io_error, .. })
            if io_error.raw_os_error() == Some(libc::EINVAL) =>
        {
            InjectError::NoTcx(io_error)
        }
        error => failed("attach", &error),
    }
}

fn failed(doing: &'static str, error: &dyn Error) -> InjectError {
    InjectError::Program {
        doing,
        reason: with_causes(error),
    }
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
