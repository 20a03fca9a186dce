//! Which flows are asked for.

use aya_ebpf::maps::lpm_trie::Key;
use tracer_ebpf::{Tuple, Verdict};

use crate::maps::{PEERS, PORTS, SETTINGS};

macro_rules! setting {
    ($($name:tt)+) => {
        // SAFETY: a frozen global; volatile, because the loader changes it.
        unsafe { core::ptr::read_volatile(&raw const SETTINGS.$($name)+) }
    };
}

/// Whether a program that runs on a CPU is not run there once more before it has ended.
#[inline(always)]
pub fn is_alone() -> bool {
    setting!(one_at_a_time) != 0
}

/// The namespace that a flow is counted in. One that could not be told is taken
/// for the one that is traced, if it is one.
#[inline(always)]
pub fn namespace(tuple: &Tuple) -> u32 {
    if tuple.netns == 0 {
        setting!(netns)
    } else {
        tuple.netns
    }
}

/// What becomes of a flow's counts.
#[inline(always)]
pub fn verdict(tuple: &Tuple) -> Verdict {
    let only = setting!(netns);
    let here = only == 0 || only == namespace(tuple);
    match (here, keeps(tuple)) {
        (true, true) => Verdict::Selected,
        (true, false) => Verdict::TotalsOnly,
        (false, true) => Verdict::Elsewhere,
        (false, false) => Verdict::Ignored,
    }
}

/// Whether peer and port are asked for, whatever the namespace.
#[inline(always)]
fn keeps(tuple: &Tuple) -> bool {
    keeps_peer(&tuple.remote) && keeps_port(tuple)
}

/// Whether the peer is asked for.
#[inline(always)]
pub fn keeps_peer(remote: &[u8; 16]) -> bool {
    setting!(filter_peers) == 0 || PEERS.get(Key::new(128, *remote)).is_some()
}

#[inline(always)]
fn keeps_port(tuple: &Tuple) -> bool {
    setting!(filter_ports) == 0
        || PORTS.get_ptr(tuple.local_port).is_some()
        || PORTS.get_ptr(tuple.remote_port).is_some()
}
