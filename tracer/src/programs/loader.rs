//! Handing the object to the kernel with this kernel's offsets in it.

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap, Map, MapError};
use aya::{Ebpf, Pod};
use tracer_ebpf::{Offsets, PidNamespace, Settings};

use crate::kernel::bpf;
use crate::kernel::offsets::Resolved;
use crate::kernel::tracepoints::Tracepoints;
use crate::programs::{ProgramsError, map_error};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer-ebpf.o"));

/// The settings of the kernel programs, before they are loaded.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Where this kernel keeps its fields.
    pub(crate) offsets: Offsets,
    /// Which hooks it has.
    pub(crate) tracepoints: Tracepoints,
    /// What to trace.
    pub(crate) settings: Settings,
    /// In whose numbers to report processes.
    pub(crate) pids: PidNamespace,
    /// Prefixes of the peers to keep, see [`tracer_core::address::prefix`].
    pub(crate) peers: Vec<([u8; 16], u32)>,
    /// Ports of either end to keep.
    pub(crate) ports: Vec<u16>,
    /// TCP sockets on this host: how many may have to be remembered.
    pub(crate) sockets: u32,
    /// Slots of the flow table.
    pub(crate) max_flows: u32,
    /// Bytes of the ring buffer for events, a power of two of at least a page.
    pub(crate) event_bytes: u32,
    /// What the programs may log: 0 nothing, 3 info, 4 debug.
    pub(crate) log_level: u8,
    /// Whether the kernel is to measure the programs' run time.
    pub(crate) measure_run_time: bool,
}

impl Options {
    /// What every object has of them.
    pub(super) fn globals(&self) -> [(&'static str, &[u8]); 4] {
        [
            ("OFFSETS", bytes_of(&self.offsets)),
            ("SETTINGS", bytes_of(&self.settings)),
            ("PID_NAMESPACE", bytes_of(&self.pids)),
            (aya_log::LEVEL, std::slice::from_ref(&self.log_level)),
        ]
    }

    /// What a run asks for to which nothing particular was said: every peer, in
    /// every network namespace.
    pub(crate) fn plain(resolved: &Resolved, sockets: u32, max_flows: u32) -> Self {
        Self {
            offsets: resolved.offsets,
            tracepoints: resolved.tracepoints,
            settings: Settings::default(),
            pids: PidNamespace::default(),
            peers: Vec::new(),
            ports: Vec::new(),
            sockets,
            max_flows,
            event_bytes: NO_EVENT_BYTES,
            log_level: 0,
            measure_run_time: false,
        }
    }
}

fn bytes_of<T: Pod>(value: &T) -> &[u8] {
    // SAFETY: plain old data has no byte that is not initialised.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// The smallest ring buffer that the kernel makes.
pub(crate) const NO_EVENT_BYTES: u32 = 1 << 12;
/// Room for sockets that are opened while tracing runs.
const SPARE_SOCKETS: u32 = 16_384;
/// More than any host has; 64 bytes and a key each.
const MAX_SOCKETS: u32 = 4_194_304;

/// Makes every map; the table of sockets with room for those there are, or for none if
/// they are remembered elsewhere.
pub(crate) fn load(options: &Options, in_table: bool) -> Result<Ebpf, ProgramsError> {
    let sockets = match in_table {
        true => options
            .sockets
            .saturating_mul(2)
            .saturating_add(SPARE_SOCKETS)
            .min(MAX_SOCKETS),
        false => 1,
    };
    let peers = u32::try_from(options.peers.len().max(1)).unwrap_or(u32::MAX);
    let baselines = options.sockets.saturating_mul(2).clamp(256, MAX_SOCKETS);
    let mut loader = bpf::without_kernel_types();
    let globals = options.globals();
    for (name, value) in globals {
        loader.override_global(name, value, true);
    }
    let mut ebpf = loader
        .map_max_entries("SOCKETS", sockets)
        .map_max_entries("BASELINES", baselines)
        .map_max_entries("FLOWS", options.max_flows)
        .map_max_entries("FREE_SLOTS", options.max_flows)
        .map_max_entries("EVENTS", options.event_bytes)
        .map_max_entries("PEERS", peers)
        .load(OBJECT)?;
    let mut peers: LpmTrie<_, [u8; 16], u32> = map(&mut ebpf, "PEERS")?;
    for (address, length) in &options.peers {
        let peer = Key::new(*length, *address);
        peers.insert(&peer, 1, 0).map_err(map_error("PEERS"))?;
    }
    let mut ports: HashMap<_, u16, u32> = map(&mut ebpf, "PORTS")?;
    for port in &options.ports {
        ports.insert(port, 1, 0).map_err(map_error("PORTS"))?;
    }
    Ok(ebpf)
}

fn map<'a, M: TryFrom<&'a mut Map, Error = MapError>>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<M, ProgramsError> {
    let map = ebpf.map_mut(name).ok_or(ProgramsError::Absent(name))?;
    map.try_into().map_err(map_error(name))
}
