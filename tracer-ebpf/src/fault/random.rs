//! Lots, and the random numbers that they are drawn with.

use aya_ebpf::helpers::{bpf_get_prandom_u32, bpf_get_smp_processor_id};
use tracer_ebpf::{BurstState, Direction};

use crate::maps::{self, FAULT_MEMORY};

/// Luck on this CPU.
pub(crate) struct Chance {
    memory: &'static mut BurstState,
    direction: u32,
}

impl Chance {
    #[inline(always)]
    pub(crate) fn of(direction: Direction) -> Option<Self> {
        let direction = direction as u32;
        // SAFETY: a pointer to this CPU's value of the map, alive as long as the
        // map and written by nobody else meanwhile: see the map.
        let memory = unsafe { &mut *FAULT_MEMORY.get_ptr_mut(direction)? };
        Some(Self { memory, direction })
    }

    /// Whether this packet is lost.
    #[inline(always)]
    pub(crate) fn loses(&mut self) -> bool {
        let threshold = maps::settings().loss_threshold(self.memory.lost != 0);
        let hit = u64::from(self.number()) < threshold;
        self.memory.lost = u32::from(hit);
        hit
    }

    /// Whether this packet gets a wrong checksum.
    #[inline(always)]
    pub(crate) fn corrupts(&mut self) -> bool {
        let threshold = maps::settings().corrupt_threshold(self.memory.corrupted != 0);
        let hit = u64::from(self.number()) < threshold;
        self.memory.corrupted = u32::from(hit);
        hit
    }

    /// A uniform random number: the kernel's own, or the next one after a seed.
    #[inline(always)]
    pub(crate) fn number(&mut self) -> u32 {
        let seed = maps::settings().seed();
        if seed == 0 {
            // SAFETY: a helper without arguments.
            return unsafe { bpf_get_prandom_u32() };
        }
        if self.memory.random == 0 {
            // SAFETY: a helper without arguments.
            let cpu = u64::from(unsafe { bpf_get_smp_processor_id() });
            self.memory.random = scatter(seed ^ (cpu << 1 | u64::from(self.direction)) << 48) | 1;
        }
        // xorshift64*, Vigna 2016: its upper half passes the usual batteries.
        let mut state = self.memory.random;
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.memory.random = state;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }
}

/// The last step of SplitMix64: near seeds become far ones.
#[inline(always)]
fn scatter(seed: u64) -> u64 {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ state >> 31
}
