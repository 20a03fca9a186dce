//! Handing the object to the kernel with this kernel's offsets in it.

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap, Map, MapError};
use tracer_ebpf::{Offsets, PidNamespace, Settings};

use crate::kernel::bpf;
use crate::programs::{ProgramsError, map_error};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tracer-ebpf.o"));

/// The settings of the kernel programs, before they are loaded.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Where this kernel keeps its fields.
    pub(crate) offsets: Offsets,
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
    /// Bytes of the ring buffer for events, a power of two of at least a page.
    pub(crate) event_bytes: u32,
    /// What the programs may log: 0 nothing, 3 info, 4 debug.
    pub(crate) log_level: u8,
    /// Whether the kernel is to measure the programs' run time.
    pub(crate) measure_run_time: bool,
}

impl Options {
    /// What a run asks for to which nothing particular was said: every peer, in
    /// every network namespace.
    pub(crate) fn plain(offsets: Offsets, sockets: u32, max_flows: u32) -> Self {
        Self {
            offsets,
            settings: Settings {
                max_flows,
                ..Settings::default()
            },
            pids: PidNamespace::default(),
            peers: Vec::new(),
            ports: Vec::new(),
            sockets,
            event_bytes: NO_EVENT_BYTES,
            log_level: 0,
            measure_run_time: false,
        }
    }
}

/// The smallest ring buffer that the kernel makes.
pub(crate) const NO_EVENT_BYTES: u32 = 1 << 12;
/// Room for sockets that are opened while tracing runs.
const SPARE_SOCKETS: u32 = 16_384;
/// More than any host has; 64 bytes and a key each.
const MAX_SOCKETS: u32 = 4_194_304;

pub(crate) fn load(options: &Options) -> Result<Ebpf, ProgramsError> {
    let sockets = options
        .sockets
        .saturating_mul(2)
        .saturating_add(SPARE_SOCKETS)
        .min(MAX_SOCKETS);
    let peers = u32::try_from(options.peers.len().max(1)).unwrap_or(u32::MAX);
    let baselines = options.sockets.saturating_mul(2).clamp(256, MAX_SOCKETS);
    let mut ebpf = bpf::without_kernel_types()
        .override_global("OFFSETS", &options.offsets, true)
        .override_global("SETTINGS", &options.settings, true)
        .override_global("PID_NAMESPACE", &options.pids, true)
        .override_global(aya_log::LEVEL, &options.log_level, true)
        .map_max_entries("SOCKETS", sockets)
        .map_max_entries("BASELINES", baselines)
        .map_max_entries("FLOWS", options.settings.max_flows)
        .map_max_entries("TAKEN_SLOTS", options.settings.max_flows)
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
