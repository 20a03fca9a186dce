//! The flow table of the kernel programs, shared through memory.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use aya::Ebpf;
use aya::maps::{Map, MapData};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use tracer_ebpf::{Flow, Tuple};

use crate::programs::ProgramsError;

/// Slots are handed out in order, but one that was handed out may not carry its
/// tuple yet when a later one already does; this is far more than there are CPUs
/// that could be in between.
const UNUSED_RUN: usize = 4_096;

/// The table, mapped read-only. Reading a slot costs no system call.
pub(crate) struct FlowSlots {
    memory: NonNull<Flow>,
    length: usize,
    bytes: NonZeroUsize,
    // The mapping outlives the descriptor, but not its meaning.
    _map: MapData,
}

// SAFETY: the memory is only read, and belongs to no thread in particular.
unsafe impl Send for FlowSlots {}

impl FlowSlots {
    /// Maps the table.
    pub(crate) fn new(ebpf: &mut Ebpf, length: u32) -> Result<Self, ProgramsError> {
        let Some(Map::Array(map)) = ebpf.take_map("FLOWS") else {
            return Err(ProgramsError::Absent("FLOWS"));
        };
        let length = length as usize;
        let bytes =
            NonZeroUsize::new(length * size_of::<Flow>()).ok_or(ProgramsError::Absent("FLOWS"))?;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let memory = unsafe {
            mmap(
                None,
                bytes,
                ProtFlags::PROT_READ,
                MapFlags::MAP_SHARED,
                map.fd().as_fd(),
                0,
            )
        }
        .map_err(|error| ProgramsError::Share(error.into()))?;
        Ok(Self {
            memory: memory.cast(),
            length,
            bytes,
            _map: map,
        })
    }

    /// A copy of every slot in use.
    pub(crate) fn used(&self) -> Vec<Flow> {
        let mut flows = Vec::new();
        let mut unused = 0;
        for index in 0..self.length {
            let flow = self.read(index);
            if flow.tuple == Tuple::default() {
                unused += 1;
                if unused == UNUSED_RUN {
                    break;
                }
            } else {
                unused = 0;
                flows.push(flow);
            }
        }
        flows
    }

    fn read(&self, index: usize) -> Flow {
        debug_assert!(index < self.length);
        // SAFETY: inside the mapping, which holds `length` aligned values; any
        // bytes are a `Flow`. Volatile, because the kernel writes to it.
        unsafe { self.memory.add(index).read_volatile() }
    }
}

impl Drop for FlowSlots {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, of which no reference is left.
        let _ = unsafe { munmap(self.memory.cast(), self.bytes.get()) };
    }
}
