//! What the fault is told and what it counts.

use aya_ebpf::{
    macros::map,
    maps::{Array, LpmTrie, PerCpuArray},
};
use tracer_ebpf::{FaultCounters, FaultSettings, MAX_PORTS};

/// Overwritten by the loader before the kernel freezes it. As loaded, the
/// threshold is 0: an unconfigured program does nothing.
#[unsafe(no_mangle)]
static FAULT_SETTINGS: FaultSettings = FaultSettings {
    threshold: 0,
    port_count: 0,
    _pad: 0,
    ports: [0; MAX_PORTS],
};

/// Destinations that the fault is for. 256 is far more than anyone types;
/// the trie allocates per entry, so an empty slot costs nothing.
#[map]
pub(crate) static FAULT_PEERS: LpmTrie<[u8; 16], u8> = LpmTrie::with_max_entries(256, 0);

/// Not among the settings, because attaching may have to wait for the lock of
/// the network devices, and that is not to be taken off the fault's duration.
#[map]
static FAULT_UNTIL: Array<u64> = Array::with_max_entries(1, 0);

/// One set a CPU, so that counting takes no lock and loses nothing: the
/// program runs with migration disabled, and no packet interrupts another's
/// transmission on the same CPU between two instructions of one update except
/// from a softirq, which the transmit path keeps out (`rcu_read_lock_bh` in
/// [`__dev_queue_xmit`](https://github.com/torvalds/linux/blob/v6.18/net/core/dev.c)).
#[map]
pub(crate) static FAULT_COUNTERS: PerCpuArray<FaultCounters> = PerCpuArray::with_max_entries(1, 0);

fn settings() -> *const FaultSettings {
    &raw const FAULT_SETTINGS
}

pub(crate) fn threshold() -> u64 {
    // SAFETY: points into a static; volatile because the loader, which the
    // compiler does not know of, replaces its bytes.
    unsafe { (&raw const (*settings()).threshold).read_volatile() }
}

/// When the fault ends, ns of `CLOCK_MONOTONIC`.
pub(crate) fn until_ns() -> u64 {
    match FAULT_UNTIL.get_ptr(0) {
        // SAFETY: points to the value of the map; userspace writes it once, as
        // one aligned word.
        Some(until) => unsafe { until.read_volatile() },
        None => 0,
    }
}

/// Whether a segment with these ports (host order) is one that was asked for.
pub(crate) fn port_wanted(source: u16, destination: u16) -> bool {
    // SAFETY: as above.
    let count = unsafe { (&raw const (*settings()).port_count).read_volatile() };
    if count == 0 {
        return true;
    }
    let mut index = 0;
    while index < MAX_PORTS {
        if index >= count as usize {
            return false;
        }
        // SAFETY: as above, and `index` is below the length of the array.
        let port = unsafe { (&raw const (*settings()).ports[index]).read_volatile() };
        if port == source || port == destination {
            return true;
        }
        index += 1;
    }
    false
}
