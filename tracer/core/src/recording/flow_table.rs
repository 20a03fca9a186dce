//! The flow table: one entry a tuple, with its history by interval.

use std::cmp::Ordering;
use std::collections::HashMap;

use tracer_ebpf::{Flow, Owner, RetransmitKind, Tuple};

use crate::by_kind::sum;
use crate::recording::tcp_info::TcpInfoSeries;
use crate::report::process::Process;

/// What grew in one interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlowInterval {
    /// End of the interval, ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// Retransmitted segments by kind.
    pub segments: [u64; RetransmitKind::COUNT],
    /// Calls that sent something.
    pub events: u64,
    /// Retransmitted bytes.
    pub bytes: u64,
}

impl FlowInterval {
    pub(crate) fn of_kinds(&self, kinds: &[RetransmitKind]) -> u64 {
        kinds.iter().map(|kind| self.segments[*kind as usize]).sum()
    }
}

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

/// One flow: the sum of its slots, and how it came about.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Counters and last readings.
    pub flow: Flow,
    /// The intervals in which something was retransmitted.
    pub series: Vec<FlowInterval>,
    /// The path to its peer, if it is one that is watched.
    pub path: TcpInfoSeries,
    /// Whose socket it is, where that is known.
    pub process: Option<Process>,
}

/// All flows that were seen.
#[derive(Debug, Default)]
pub struct FlowTable {
    entries: HashMap<Tuple, Entry>,
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

    /// Takes in a reading of the slots of the kernel's table.
    pub fn update(&mut self, at_ns: u64, slots: &[Flow]) {
        self.updated_ns = at_ns;
        let mut sums: HashMap<Tuple, Flow> = HashMap::with_capacity(slots.len());
        for slot in slots {
            sums.entry(slot.tuple)
                .and_modify(|sum| *sum = merge(sum, slot))
                .or_insert(*slot);
        }
        for (tuple, now) in sums {
            let entry = self.entry(tuple);
            let step = step(at_ns, &entry.flow, &now);
            if sum(&step.segments) > 0 || step.events > 0 {
                entry.series.push(step);
            }
            entry.flow = now;
        }
    }

    /// Adds what no hit showed; `failed` if that means that it never left.
    pub fn add_unseen(&mut self, at_ns: u64, unseen: &Unseen, failed: bool) {
        let entry = self.entry(unseen.tuple);
        let other = RetransmitKind::Other as usize;
        entry.flow.segments[other] += unseen.segments;
        entry.flow.failed_segments += if failed { unseen.segments } else { 0 };
        entry.flow.bytes += unseen.bytes;
        let mut step = FlowInterval {
            at_ns,
            bytes: unseen.bytes,
            ..FlowInterval::default()
        };
        step.segments[other] = unseen.segments;
        entry.series.push(step);
    }

    /// Takes in a connection that exists, whether it retransmitted or not.
    pub fn add_connection(&mut self, tuple: Tuple, inode: u64) -> &mut Entry {
        let entry = self.entry(tuple);
        if entry.flow.inode == 0 {
            entry.flow.inode = inode;
        }
        entry
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
        entries.sort_unstable_by(|a, b| a.compare(b));
        entries
    }

    pub(crate) fn into_sorted(self) -> Vec<Entry> {
        let mut entries: Vec<_> = self.entries.into_values().collect();
        entries.sort_unstable_by(Entry::compare);
        entries
    }
}

impl Entry {
    /// Most retransmitted segments first, then by tuple.
    fn compare(&self, other: &Self) -> Ordering {
        sum(&other.flow.segments)
            .cmp(&sum(&self.flow.segments))
            .then_with(|| self.flow.tuple.cmp(&other.flow.tuple))
    }

    fn new(tuple: Tuple) -> Self {
        Self {
            flow: Flow {
                tuple,
                ..Flow::default()
            },
            series: Vec::new(),
            path: TcpInfoSeries::default(),
            process: None,
        }
    }
}

/// Two slots of one tuple as one flow. Readings are those of the later hit.
fn merge(a: &Flow, b: &Flow) -> Flow {
    let (earlier, later) = match a.last_ns <= b.last_ns {
        true => (a, b),
        false => (b, a),
    };
    // A slot without a socket never closes and says nothing about it.
    let (inode, closed_ns) = match later.inode {
        0 => (earlier.inode, earlier.closed_ns.max(later.closed_ns)),
        inode => (inode, later.closed_ns),
    };
    let owner = match later.owner == Owner::default() {
        true => earlier.owner,
        false => later.owner,
    };
    let mut segments = later.segments;
    for (sum, more) in segments.iter_mut().zip(earlier.segments) {
        *sum += more;
    }
    Flow {
        segments,
        events: a.events + b.events,
        failed_events: a.failed_events + b.failed_events,
        failed_segments: a.failed_segments + b.failed_segments,
        bytes: a.bytes + b.bytes,
        fin: a.fin + b.fin,
        resets_sent: a.resets_sent + b.resets_sent,
        resets_received: a.resets_received + b.resets_received,
        first_ns: [a.first_ns, b.first_ns]
            .into_iter()
            .filter(|time| *time != 0)
            .min()
            .unwrap_or(0),
        closed_ns,
        inode,
        owner,
        rto_max: a.rto_max.max(b.rto_max),
        backoff_max: a.backoff_max.max(b.backoff_max),
        ..*later
    }
}

fn step(at_ns: u64, before: &Flow, now: &Flow) -> FlowInterval {
    let mut segments = [0; RetransmitKind::COUNT];
    for (index, grown) in segments.iter_mut().enumerate() {
        *grown = now.segments[index].saturating_sub(before.segments[index]);
    }
    FlowInterval {
        at_ns,
        segments,
        events: now.events.saturating_sub(before.events),
        bytes: now.bytes.saturating_sub(before.bytes),
    }
}

#[cfg(test)]
mod tests {
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
        table.update(10, &[slot(1, RetransmitKind::Rto, 3, 8)]);
        table.update(20, &[slot(1, RetransmitKind::Rto, 3, 8)]);
        table.update(30, &[slot(1, RetransmitKind::Rto, 5, 28)]);
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
    fn what_no_hit_showed_is_counted_as_other_and_failed() {
        let mut table = FlowTable::default();
        let tuple = slot(1, RetransmitKind::Rto, 3, 8).tuple;
        table.update(10, &[slot(1, RetransmitKind::Rto, 3, 8)]);
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
