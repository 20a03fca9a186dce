//! What the fault is told, what it remembers and what it counts.

use aya_ebpf::{
    macros::map,
    maps::{Array, LpmTrie, PerCpuArray},
};
use tracer_ebpf::{BurstState, DIRECTIONS, FaultCounters, FaultSettings, HitChance, MAX_PORTS};

const NEVER: HitChance = HitChance {
    threshold: 0,
    threshold_after_hit: 0,
};

/// Overwritten by the loader before the kernel freezes it. As loaded, no lot
/// falls on anything: an unconfigured program does nothing.
#[unsafe(no_mangle)]
static FAULT_SETTINGS: FaultSettings = FaultSettings {
    loss: NEVER,
    corrupt: NEVER,
    seed: 0,
    class: 0,
    mark: 0,
    tcp_only: 0,
    port_count: 0,
    ports: [0; MAX_PORTS],
};

/// Whose packets the fault is for. 256 is far more than anyone types; the trie
/// allocates per entry, so an empty slot costs nothing.
#[map]
pub(crate) static FAULT_PEERS: LpmTrie<[u8; 16], u8> = LpmTrie::with_max_entries(256, 0);

/// Not among the settings, because attaching may have to wait for the lock of
/// the network devices, and that is not to be taken off the fault's duration.
#[map]
static FAULT_UNTIL: Array<u64> = Array::with_max_entries(1, 0);

/// One set a CPU and direction, so that counting takes no lock and loses nothing: the
/// programs run with migration disabled, and no packet interrupts another of the
/// same direction on the same CPU between two instructions of one update. Out, the
/// transmit path keeps softirqs away (`rcu_read_lock_bh` in
/// [`__dev_queue_xmit`](https://github.com/torvalds/linux/blob/v6.18/net/core/dev.c));
/// in, all of it is one softirq.
#[map]
pub(crate) static FAULT_COUNTERS: PerCpuArray<FaultCounters> =
    PerCpuArray::with_max_entries(DIRECTIONS, 0);

/// One a CPU and direction, for the same reason.
#[map]
pub(crate) static FAULT_MEMORY: PerCpuArray<BurstState> =
    PerCpuArray::with_max_entries(DIRECTIONS, 0);

/// The settings, read field by field.
pub(crate) struct FrozenSettings(*const FaultSettings);

#[inline(always)]
pub(crate) fn settings() -> FrozenSettings {
    FrozenSettings(&raw const FAULT_SETTINGS)
}

macro_rules! read {
    ($settings:expr, $($field:tt)+) => {
        // SAFETY: points into a static; volatile because the loader, which the
        // compiler does not know of, replaces its bytes.
        unsafe { (&raw const (*$settings.0).$($field)+).read_volatile() }
    };
}

impl FrozenSettings {
    #[inline(always)]
    pub(crate) fn loses(&self) -> bool {
        read!(self, loss.threshold) != 0
    }

    #[inline(always)]
    pub(crate) fn corrupts(&self) -> bool {
        read!(self, corrupt.threshold) != 0
    }

    #[inline(always)]
    pub(crate) fn loss_threshold(&self, after_hit: bool) -> u64 {
        if after_hit {
            read!(self, loss.threshold_after_hit)
        } else {
            read!(self, loss.threshold)
        }
    }

    #[inline(always)]
    pub(crate) fn corrupt_threshold(&self, after_hit: bool) -> u64 {
        if after_hit {
            read!(self, corrupt.threshold_after_hit)
        } else {
            read!(self, corrupt.threshold)
        }
    }

    #[inline(always)]
    pub(crate) fn seed(&self) -> u64 {
        read!(self, seed)
    }

    #[inline(always)]
    pub(crate) fn class(&self) -> u32 {
        read!(self, class)
    }

    #[inline(always)]
    pub(crate) fn mark(&self) -> u32 {
        read!(self, mark)
    }

    #[inline(always)]
    pub(crate) fn tcp_only(&self) -> bool {
        read!(self, tcp_only) != 0
    }

    #[inline(always)]
    pub(crate) fn any_port(&self) -> bool {
        read!(self, port_count) == 0
    }
}

/// When the fault ends, ns of `CLOCK_MONOTONIC`.
pub(crate) fn until_ns() -> u64 {
    match FAULT_UNTIL.get_ptr(0) {
        // SAFETY: points to the value of the map; userspace writes it as one
        // aligned word.
        Some(until) => unsafe { until.read_volatile() },
        None => 0,
    }
}

/// Whether a packet with these two ports (host order) is one that was asked for.
pub(crate) fn port_wanted(ends: [u16; 2]) -> bool {
    let settings = settings();
    let count = read!(settings, port_count);
    let mut index = 0;
    while index < MAX_PORTS {
        if index >= count as usize {
            return false;
        }
        // `index` is below the length of the array.
        let port = read!(settings, ports[index]);
        if port == ends[0] || port == ends[1] {
            return true;
        }
        index += 1;
    }
    false
}
