//! The flow table: one entry a tuple.

use std::collections::HashMap;

use tracer_ebpf::{Flow, Owner, Tuple};

use crate::by_kind::sum;
use crate::peer_port::PeerPorts;
use crate::recording::flow_entry::Entry;
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
    entries: HashMap<Tuple, Entry>,
    groups: FlowGroups,
    updated_ns: u64,
}

impl FlowTable {
    /// Takes in whose sockets they are, of those of which that is not known yet.
    pub fn identify(&mut self, whose: impl Fn(&Owner) -> Option<Process>) {
        for entry in self.entries.values_mut() {
            if entry.process.is_none() {
                entry.process = whose(&entry.flow.owner);
            }
        }
    }

    /// Takes in a reading of the slots of the kernel's table: of all that may still change,
    /// and of those that were given back, which are in no later reading.
    pub fn update(&mut self, at_ns: u64, live: &[Flow], closed: &[Flow]) {
        self.updated_ns = at_ns;
        for entry in self.entries.values_mut() {
            entry.is_live = false;
        }
        let mut slots: Vec<(&Flow, bool)> = live.iter().map(|slot| (slot, true)).collect();
        slots.extend(closed.iter().map(|slot| (slot, false)));
        slots.sort_unstable_by_key(|(slot, _)| slot.tuple);
        for same in slots.chunk_by(|(one, _), (other, _)| one.tuple == other.tuple) {
            let Some((first, _)) = same.first() else {
                continue;
            };
            self.entry(first.tuple).update(at_ns, same);
        }
    }

    /// Adds up flows that have closed, where there are too many of them: those that retransmitted
    /// the least, and of replication last. Returns them.
    pub fn make_room(&mut self, known: &Known) -> Vec<Entry> {
        let closed = || self.entries.values().filter(|one| one.has_closed());
        let count = closed().count();
        if count <= MAX_LISTED + MAX_LISTED / 4 {
            return Vec::new();
        }
        let worth = |entry: &Entry| {
            let flow = &entry.flow;
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
        let ports = PeerPorts::of(self.entries.values().map(Entry::ends));
        let tuples = ended.into_iter().take(count - MAX_LISTED);
        let gone = tuples.filter_map(|(_, _, _, tuple)| self.entries.remove(&tuple));
        let gone: Vec<Entry> = gone.collect();
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
        if entry.flow.inode == 0 {
            entry.flow.inode = inode;
        }
        entry.heard_ns = entry.heard_ns.max(heard_ns);
    }

    fn entry(&mut self, tuple: Tuple) -> &mut Entry {
        let entry = self.entries.entry(tuple);
        entry.or_insert_with(|| Entry::new(tuple))
    }

    /// When it was last updated, ns of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn updated_ns(&self) -> u64 {
        self.updated_ns
    }

    /// The entry of a tuple.
    #[must_use]
    pub fn get(&self, tuple: &Tuple) -> Option<&Entry> {
        self.entries.get(tuple)
    }

    /// All entries, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// All entries, in no order, to be changed.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.values_mut()
    }

    /// All entries, most retransmitted segments first, then by tuple.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Entry> {
        let mut entries: Vec<_> = self.entries.values().collect();
        entries.sort_unstable_by_key(|entry| entry.rank());
        entries
    }

    /// The flows that a report lists, most retransmitted segments first, and the others added up.
    pub(crate) fn into_listed(mut self, known: &Known) -> (Vec<Entry>, FlowGroups) {
        let mut first: Vec<_> = self.entries.values().map(Entry::rank).collect();
        if first.len() > MAX_LISTED {
            first.select_nth_unstable(MAX_LISTED);
            first.truncate(MAX_LISTED);
        }
        let last = first.into_iter().max();
        let ports = PeerPorts::of(self.entries.values().map(Entry::ends));
        let mut listed = Vec::new();
        for entry in self.entries.into_values() {
            match Some(entry.rank()) <= last || entry.kind(known).is_replication() {
                true => listed.push(entry),
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
        assert_eq!(sum(&entry.flow.segments), 5);
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
        let flow = sorted[0].flow;
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
        assert_eq!((sum(&entry.flow.segments), entry.flow.closed_ns), (7, 9));
        let steps = entry.series.iter();
        let steps: Vec<_> = steps.map(|one| (one.at_ns, sum(&one.segments))).collect();
        assert_eq!(steps, [(10, 3), (30, 2), (40, 2)]);
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
        assert_eq!(entry.flow.segments[RetransmitKind::Other as usize], 2);
        assert_eq!((entry.flow.failed_segments, entry.flow.bytes), (2, 500));
        assert_eq!(entry.series.len(), 2);
    }
}
