//! The flow table of the kernel programs.

use std::os::fd::AsFd;

use aya::Ebpf;
use aya::maps::{Map, MapData, Stack};
use tracer_ebpf::{Flow, FreeRange, Tuple};

use crate::kernel::bpf::syscall;
use crate::programs::{ProgramsError, take_stack};

/// As many slots are read at a time. The ranges that they are handed out from are begun in order,
/// so that none is in use behind as many that are not: one of them begins a range.
const CHUNK: usize = 1_024;

const _: () = assert!(FreeRange::MAX_LENGTH as usize <= CHUNK);

/// A slot is given back so long after its socket closed: what other processors wrote by then
/// is seen here.
const SETTLED_NS: u64 = 1_000_000;

/// The table.
pub(crate) struct FlowSlots {
    length: usize,
    /// How many have been in use, from the first.
    reached: usize,
    map: MapData,
    free: Stack<MapData, FreeRange>,
}

impl FlowSlots {
    /// Takes the table.
    pub(crate) fn new(ebpf: &mut Ebpf, length: u32) -> Result<Self, ProgramsError> {
        let Some(Map::Array(map)) = ebpf.take_map("FLOWS") else {
            return Err(ProgramsError::Absent("FLOWS"));
        };
        Ok(Self {
            length: length as usize,
            reached: 0,
            map,
            free: take_stack(ebpf, "FREE_SLOTS", 0, length)?,
        })
    }

    /// Shows every slot in use, with its place.
    pub(crate) fn each(&self, mut show: impl FnMut(u32, &Flow)) -> Result<(), ProgramsError> {
        let (mut begin, mut slots) = (0, Vec::new());
        while self.read(begin, &mut slots)? {
            for (index, slot) in used(begin, &slots) {
                show(index, slot);
            }
            begin += slots.len();
        }
        Ok(())
    }

    /// As [`Self::each`], and gives back those of sockets that had closed before this moment, ns
    /// of `CLOCK_MONOTONIC`, for others to take: only the others may still change.
    pub(crate) fn take(
        &mut self,
        now_ns: u64,
        mut show: impl FnMut(u32, &Flow, bool),
    ) -> Result<(), ProgramsError> {
        let settled_ns = now_ns.saturating_sub(SETTLED_NS);
        let (mut begin, mut slots) = (0, Vec::new());
        while self.read(begin, &mut slots)? {
            for (index, slot) in used(begin, &slots) {
                self.reached = self.reached.max(index as usize + 1);
                let has_closed = (1..settled_ns).contains(&slot.closed_ns);
                let is_given_back = has_closed && self.give_back(index).is_ok();
                show(index, slot, !is_given_back);
            }
            begin += slots.len();
        }
        Ok(())
    }

    /// Reads the slots from there on, and says whether there are some that are used, or were.
    fn read(&self, begin: usize, slots: &mut Vec<Flow>) -> Result<bool, ProgramsError> {
        slots.resize(
            CHUNK.min(self.length.saturating_sub(begin)),
            Flow::default(),
        );
        if slots.is_empty() {
            return Ok(false);
        }
        let map = self.map.fd().as_fd();
        let read = syscall::read_array(map, begin as u32, slots).map_err(ProgramsError::Flows)?;
        slots.truncate(read);
        Ok(begin < self.reached || used(begin, slots).next().is_some())
    }

    /// Nobody writes to it any more: its socket is gone.
    fn give_back(&mut self, index: u32) -> Result<(), ProgramsError> {
        // Empty before others have it. If that is all that can be done, it stays unused.
        let map = self.map.fd().as_fd();
        syscall::set_element(map, index, &Flow::default()).map_err(ProgramsError::Flows)?;
        if let Err(error) = self.free.push(FreeRange::one(index), 0) {
            log::debug!("slot {index} of the flow table is lost: {error}");
        }
        Ok(())
    }
}

/// Those that are in use, of slots that begin there.
fn used(begin: usize, slots: &[Flow]) -> impl Iterator<Item = (u32, &Flow)> {
    let slots = (begin as u32..).zip(slots);
    slots.filter(|(_, slot)| slot.tuple != Tuple::default())
}
