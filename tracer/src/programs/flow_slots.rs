//! The flow table of the kernel programs, shared through memory.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use aya::Ebpf;
use aya::maps::{Array, Map, MapData, MapError, Queue};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use tracer_ebpf::{Flow, Tuple};

use crate::programs::ProgramsError;

/// Slots are handed out in order, but one that was handed out may not carry its
/// tuple yet when a later one already does; this is far more than there are CPUs
/// that could be in between.
const UNUSED_RUN: usize = 4_096;

/// A slot is given back so long after its socket closed: what other processors wrote by then
/// is seen here.
const SETTLED_NS: u64 = 1_000_000;

/// The table, mapped read-only. Reading a slot costs no system call.
pub(crate) struct FlowSlots {
    memory: NonNull<Flow>,
    length: usize,
    bytes: NonZeroUsize,
    /// How many have been in use, from the first.
    reached: usize,
    map: Array<MapData, Flow>,
    free: Queue<MapData, u32>,
}

/// What was in the slots.
#[derive(Debug, Default)]
pub(crate) struct SlotContents {
    /// What may still change.
    pub(crate) live: Vec<Flow>,
    /// What has closed: it will not be found again.
    pub(crate) closed: Vec<Flow>,
}

// SAFETY: the memory is only read, and belongs to no thread in particular.
unsafe impl Send for FlowSlots {}

impl FlowSlots {
    /// Maps the table.
    pub(crate) fn new(ebpf: &mut Ebpf, length: u32) -> Result<Self, ProgramsError> {
        let Some(Map::Array(map)) = ebpf.take_map("FLOWS") else {
            return Err(ProgramsError::Absent("FLOWS"));
        };
        let free = ebpf
            .take_map("FREE_SLOTS")
            .ok_or(ProgramsError::Absent("FREE_SLOTS"))?;
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
            reached: 0,
            map: Map::Array(map)
                .try_into()
                .map_err(|cause| ProgramsError::Map {
                    name: "FLOWS",
                    cause,
                })?,
            free: free.try_into().map_err(|cause| ProgramsError::Map {
                name: "FREE_SLOTS",
                cause,
            })?,
        })
    }

    /// A copy of every slot in use.
    pub(crate) fn used(&self) -> Vec<Flow> {
        self.each().map(|(_, flow)| flow).collect()
    }

    /// As [`Self::used`], and gives back those of sockets that had closed before this
    /// moment, ns of `CLOCK_MONOTONIC`, for others to take.
    pub(crate) fn take(&mut self, now_ns: u64) -> SlotContents {
        let settled_ns = now_ns.saturating_sub(SETTLED_NS);
        let all: Vec<_> = self.each().collect();
        self.reached = all
            .last()
            .map_or(0, |(index, _)| index + 1)
            .max(self.reached);
        let mut contents = SlotContents::default();
        for (index, flow) in all {
            let has_closed = (1..settled_ns).contains(&flow.closed_ns);
            if has_closed && self.give_back(index).is_ok() {
                contents.closed.push(flow);
            } else {
                contents.live.push(flow);
            }
        }
        contents
    }

    /// Nobody writes to it any more: its socket is gone.
    fn give_back(&mut self, index: usize) -> Result<(), MapError> {
        let index = u32::try_from(index).map_err(|_| MapError::KeyNotFound)?;
        // Empty before others have it. If that is all that can be done, it stays unused.
        self.map.set(index, Flow::default(), 0)?;
        if let Err(error) = self.free.push(index, 0) {
            log::debug!("slot {index} of the flow table is lost: {error}");
        }
        Ok(())
    }

    /// Every slot in use, with its place.
    fn each(&self) -> impl Iterator<Item = (usize, Flow)> {
        let mut unused = 0;
        let slots = (0..self.length).map(|index| (index, self.read(index)));
        let reached = self.reached;
        let slots = slots.take_while(move |(index, flow)| {
            let is_used = flow.tuple != Tuple::default();
            unused = if is_used { 0 } else { unused + 1 };
            *index < reached || unused < UNUSED_RUN
        });
        slots.filter(|(_, flow)| flow.tuple != Tuple::default())
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
