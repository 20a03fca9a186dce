//! The flow table: one entry a tuple.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;

use tracer_ebpf::{Flow, Owner, Tuple};

use crate::by_kind::sum;
use crate::peer_port::PeerPorts;
use crate::recording::flow_entry::{Entry, SlotReading};
use crate::recording::flow_groups::FlowGroups;
use crate::recording::roles::Known;
use crate::report::aggregate::MAX_LISTED;
use crate::report::process::Process;

/// Segments of a socket that the kernel counted and no hit showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unseen {
    /// Which flow.
    pub tuple: Tuple,
    /// How many.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The flows that were seen: those that are open, as many as a report lists of those that have
/// closed, and the others added up.
#[derive(Debug, Default)]
pub struct FlowTable {
    entries: HashMap<Tuple, Box<Entry>>,
    groups: FlowGroups,
    updated_ns: u64,
    readings: u32,
}

/// A reading of the kernel's table that is being taken in.
#[derive(Debug)]
pub struct TableReading<'a> {
    table: &'a mut FlowTable,
    at_ns: u64,
    /// Slots of flows that have more than one.
    several: BTreeMap<Tuple, Vec<SlotReading>>,
}

impl TableReading<'_> {
    /// Takes in the slot at that place of the kernel's table: it may still change, or was given
    /// back and is in no later reading.
    pub fn take(&mut self, index: u32, flow: &Flow, is_live: bool) {
        let slot = SlotReading {
            index,
            is_live,
            flow: *flow,
        };
        let (at_ns, reading) = (self.at_ns, self.table.readings);
        if !self.table.entry(flow.tuple).take(at_ns, reading, &slot) {
            self.gather(slot);
        }
    }

    fn gather(&mut self, slot: SlotReading) {
        self.several.entry(slot.flow.tuple).or_default().push(slot);
    }

    /// There are no more.
    pub fn finish(self) {
        for (tuple, slots) in &self.several {
            self.table.entry(*tuple).take_all(self.at_ns, slots);
        }
    }
}

impl FlowTable {
    /// Begins to take in a reading of the kernel's table, as of that moment.
    pub fn read(&mut self, at_ns: u64) -> TableReading<'_> {
        self.updated_ns = at_ns;
        // 0 is none.
        self.readings = self.readings.checked_add(1).unwrap_or(1);
        TableReading {
            table: self,
            at_ns,
            several: BTreeMap::new(),
        }
    }

    /// Takes in flows as of that moment, wherever they are: those that may still change, and
    /// those that have closed.
    pub fn update(&mut self, at_ns: u64, live: &[Flow], closed: &[Flow]) {
        let mut reading = self.read(at_ns);
        for (flows, is_live) in [(live, true), (closed, false)] {
            for flow in flows {
                reading.gather(SlotReading {
                    index: u32::MAX,
                    is_live,
                    flow: *flow,
                });
            }
        }
        reading.finish();
    }

    /// Takes in whose sockets they are, of those of which that is not known yet.
    pub fn identify(&mut self, whose: impl Fn(&Owner) -> Option<Process>) {
        let mut known: BTreeMap<(u32, [u8; 16]), Option<Arc<Process>>> = BTreeMap::new();
        let entries = self.entries.values_mut();
        for entry in entries.filter(|entry| entry.process.is_none()) {
            let owner = entry.flow().owner;
            let process = known.entry((owner.pid, owner.comm));
            entry.process = process
                .or_insert_with(|| whose(&owner).map(Arc::new))
                .clone();
        }
    }

    /// Adds up flows that have closed, where there are too many of them: those that retransmitted
    /// the least, and of replication last. Returns them.
    pub fn make_room(&mut self, known: &Known) -> Vec<Box<Entry>> {
        let closed = || self.entries().filter(|one| one.has_closed());
        let count = closed().count();
        if count <= MAX_LISTED + MAX_LISTED / 4 {
            return Vec::new();
        }
        let worth = |entry: &Entry| {
            let flow = entry.flow();
            let is_replication = entry.kind(known).is_replication();
            (
                is_replication,
                sum(&flow.segments),
                flow.last_ns,
                flow.tuple,
            )
        };
        let mut ended: Vec<_> = closed().map(worth).collect();
        ended.sort_unstable();
        let ports = PeerPorts::of(self.entries().map(Entry::ends));
        let tuples = ended.into_iter().take(count - MAX_LISTED);
        let gone = tuples.filter_map(|(_, _, _, tuple)| self.entries.remove(&tuple));
        let gone: Vec<_> = gone.collect();
        for entry in &gone {
            self.groups.take(entry, &ports, known);
        }
        self.groups.settle();
        gone
    }

    /// The flows that are not kept apart.
    #[must_use]
    pub fn groups(&self) -> &FlowGroups {
        &self.groups
    }

    /// Adds what no hit showed; `failed` if that means that it never left.
    pub fn add_unseen(&mut self, at_ns: u64, unseen: &Unseen, failed: bool) {
        let entry = self.entry(unseen.tuple);
        entry.add_unseen(at_ns, unseen.segments, unseen.bytes, failed);
    }

    /// Takes in a connection that exists, whether it retransmitted or not, and when its peer was
    /// last heard from, ns of `CLOCK_MONOTONIC`, as far as that is known.
    pub fn add_connection(&mut self, tuple: Tuple, inode: u64, heard_ns: Option<u64>) {
        let entry = self.entry(tuple);
        entry.set_inode(inode);
        entry.heard_ns = entry.heard_ns.max(heard_ns);
    }

    fn entry(&mut self, tuple: Tuple) -> &mut Entry {
        let entry = self.entries.entry(tuple);
        entry.or_insert_with(|| Box::new(Entry::new(tuple)))
    }

    /// When it was last updated, ns of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn updated_ns(&self) -> u64 {
        self.updated_ns
    }

    /// The entry of a tuple.
    #[must_use]
    pub fn get(&self, tuple: &Tuple) -> Option<&Entry> {
        self.entries.get(tuple).map(|entry| &**entry)
    }

    /// All entries, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> + Clone {
        self.entries.values().map(|entry| &**entry)
    }

    /// All entries, in no order, to be changed.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.values_mut().map(|entry| &mut **entry)
    }

    /// All entries, most retransmitted segments first, then by tuple.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Entry> {
        let entries = self.entries().map(|entry| (entry.segments(), entry));
        let mut entries: Vec<_> = entries.collect();
        entries.sort_unstable_by_key(|(segments, entry)| (Reverse(*segments), entry.tuple));
        entries.into_iter().map(|(_, entry)| entry).collect()
    }

    /// The flows that a report lists, most retransmitted segments first, and the others added up.
    pub(crate) fn into_listed(mut self, known: &Known) -> (Vec<Entry>, FlowGroups) {
        // The last of them in the order of the list is on top.
        let mut first = BinaryHeap::with_capacity(MAX_LISTED + 1);
        for entry in self.entries() {
            first.push(entry.rank());
            if first.len() > MAX_LISTED {
                first.pop();
            }
        }
        let ports = PeerPorts::of(self.entries().map(Entry::ends));
        let mut listed = Vec::new();
        for entry in self.entries.into_values() {
            let is_first = first.peek().is_some_and(|last| entry.rank() <= *last);
            match is_first || entry.kind(known).is_replication() {
                true => listed.push(*entry),
                false => self.groups.take(&entry, &ports, known),
            }
        }
        self.groups.settle();
        listed.sort_unstable_by_key(Entry::rank);
        (listed, self.groups)
    }
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::RetransmitKind;

    use super::*;

    fn slot(port: u16, kind: RetransmitKind, segments: u64, last_ns: u64) -> Flow {
        let mut flow = Flow {
            tuple: Tuple {
                local_port: port,
                remote_port: 5432,
                netns: 1,
                ..Tuple::default()
            },
            events: segments,
            bytes: segments * 100,
            first_ns: last_ns / 2,
            last_ns,
            ..Flow::default()
        };
        flow.segments[kind as usize] = segments;
        flow
    }

    #[test]
    fn the_series_holds_what_grew_and_nothing_else() {
        let mut table = FlowTable::default();
        table.update(10, &[slot(1, RetransmitKind::Rto, 3, 8)], &[]);
        table.update(20, &[slot(1, RetransmitKind::Rto, 3, 8)], &[]);
        table.update(30, &[slot(1, RetransmitKind::Rto, 5, 28)], &[]);
        let entry = table.sorted()[0];
        assert_eq!(
            entry
                .series
                .iter()
                .map(|s| (s.at_ns, sum(&s.segments)))
                .collect::<Vec<_>>(),
            [(10, 3), (30, 2)]
        );
        assert_eq!(sum(&entry.flow().segments), 5);
    }

    #[test]
    fn slots_of_one_tuple_are_one_flow() {
        let mut table = FlowTable::default();
        let mut child = slot(1, RetransmitKind::Fast, 2, 90);
        child.inode = 77;
        child.rto_max = 60;
        table.update(
            100,
            &[
                slot(1, RetransmitKind::SynAck, 4, 50),
                child,
                slot(2, RetransmitKind::Rto, 1, 60),
            ],
            &[],
        );
        let sorted = table.sorted();
        assert_eq!(sorted.len(), 2);
        let flow = sorted[0].flow();
        assert_eq!(
            (flow.tuple.local_port, sum(&flow.segments), flow.events),
            (1, 6, 6)
        );
        assert_eq!(
            (flow.first_ns, flow.last_ns, flow.inode, flow.rto_max),
            (25, 90, 77, 60)
        );
    }

    #[test]
    fn what_was_in_slots_that_are_others_by_now_stays_counted() {
        let mut table = FlowTable::default();
        let rto = |segments, last_ns| slot(1, RetransmitKind::Rto, segments, last_ns);
        let mut closed = rto(3, 8);
        closed.closed_ns = 9;
        table.update(10, &[rto(3, 8)], &[]);
        table.update(20, &[], &[closed]);
        // Another connection with the same ends.
        table.update(30, &[rto(2, 28)], &[]);
        table.update(40, &[rto(4, 38)], &[]);
        let entry = table.sorted()[0];
        assert_eq!(
            (sum(&entry.flow().segments), entry.flow().closed_ns),
            (7, 9)
        );
        let steps = entry.series.iter();
        let steps: Vec<_> = steps.map(|one| (one.at_ns, sum(&one.segments))).collect();
        assert_eq!(steps, [(10, 3), (30, 2), (40, 2)]);
    }

    /// Slots of three tuples, which come, grow, close and are others' later, in any order: slot by
    /// slot, everything counts once, in the interval in which it grew.
    #[test]
    fn slots_are_taken_in_one_by_one_whatever_becomes_of_them() {
        let mut state = 7u64;
        let mut random = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        };
        for _ in 0..200 {
            let mut table = FlowTable::default();
            let mut places: [Option<Flow>; 5] = [None; 5];
            let mut counted = [0; 3];
            for at_ns in 1..30 {
                let mut grown = [0; 3];
                let mut reading = table.read(at_ns);
                for (index, place) in (0u32..).zip(&mut places) {
                    if place.is_none() && random(3) == 0 {
                        let port = random(3) as u16 + 1;
                        *place = Some(slot(port, RetransmitKind::Rto, 0, at_ns));
                    }
                    let Some(flow) = place else {
                        continue;
                    };
                    let more = random(3);
                    flow.segments[RetransmitKind::Rto as usize] += more;
                    flow.events += more;
                    grown[usize::from(flow.tuple.local_port) - 1] += more;
                    let is_live = random(4) > 0;
                    flow.closed_ns = if is_live { 0 } else { at_ns };
                    reading.take(index, flow, is_live);
                    if !is_live {
                        *place = None;
                    }
                }
                reading.finish();
                for ((port, counted), grown) in (1..).zip(&mut counted).zip(grown) {
                    *counted += grown;
                    let tuple = slot(port, RetransmitKind::Rto, 0, 0).tuple;
                    let Some(entry) = table.get(&tuple) else {
                        assert_eq!(*counted, 0);
                        continue;
                    };
                    assert_eq!(entry.segments(), *counted);
                    let last = entry.series.last().filter(|step| step.at_ns == at_ns);
                    assert_eq!(last.map_or(0, |step| sum(&step.segments)), grown);
                    let mut slots = places.iter().flatten();
                    let is_there = slots.any(|slot| slot.tuple == tuple);
                    assert_eq!(entry.has_closed(), !is_there);
                }
            }
        }
    }

    #[test]
    fn what_no_hit_showed_is_counted_as_other_and_failed() {
        let mut table = FlowTable::default();
        let tuple = slot(1, RetransmitKind::Rto, 3, 8).tuple;
        table.update(10, &[slot(1, RetransmitKind::Rto, 3, 8)], &[]);
        table.add_unseen(
            20,
            &Unseen {
                tuple,
                segments: 2,
                bytes: 200,
            },
            true,
        );
        let entry = table.get(&tuple).unwrap();
        assert_eq!(entry.flow().segments[RetransmitKind::Other as usize], 2);
        assert_eq!((entry.flow().failed_segments, entry.flow().bytes), (2, 500));
        assert_eq!(entry.series.len(), 2);
    }
}
