//! One flow of the table: the sum of its slots, with its history by interval.

use std::cmp::Reverse;
use std::net::SocketAddr;
use std::sync::Arc;

use tracer_ebpf::{Flow, Owner, RetransmitKind, Tuple};

use crate::by_kind::{add, sum};
use crate::recording::flow_interval::FlowInterval;
use crate::recording::flow_series::FlowSeries;
use crate::recording::packed_flow::PackedFlow;
use crate::recording::roles::Known;
use crate::recording::tcp_info::TcpInfoSeries;
use crate::report::endpoint::endpoints;
use crate::report::process::Process;
use crate::report::role::Kind;

/// Which slots of the kernel's table are a flow's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FlowSlots {
    None,
    One(u32),
    Several,
}

/// A slot, as it was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlotReading {
    /// Its place in the kernel's table.
    pub(super) index: u32,
    /// Whether it may still change; the others were given back, and are in no later reading.
    pub(super) is_live: bool,
    pub(super) flow: Flow,
}

/// One flow: the sum of its slots, and how it came about.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its ends.
    pub tuple: Tuple,
    /// The intervals in which something was retransmitted.
    pub series: FlowSeries,
    /// The path to its peer, if it is one that is watched.
    pub path: Option<Box<TcpInfoSeries>>,
    /// Whose socket it is, where that is known.
    pub process: Option<Arc<Process>>,
    /// When its peer was last heard from, ns of `CLOCK_MONOTONIC`, where it was asked.
    pub heard_ns: Option<u64>,
    /// How often `/proc` was searched for its process.
    pub searches: u8,
    counters: PackedFlow,
    /// What was in slots that are others' by now.
    closed: Option<PackedFlow>,
    slots: FlowSlots,
    /// The last reading of the kernel's table in which it was taken in slot by slot.
    reading: u32,
}

impl Entry {
    pub(super) fn new(tuple: Tuple) -> Self {
        Self {
            tuple,
            series: FlowSeries::default(),
            path: None,
            process: None,
            heard_ns: None,
            searches: 0,
            counters: PackedFlow::default(),
            closed: None,
            slots: FlowSlots::None,
            reading: 0,
        }
    }

    /// Counters and last readings.
    #[must_use]
    pub fn flow(&self) -> Flow {
        self.of(&self.counters)
    }

    fn closed(&self) -> Option<Flow> {
        self.closed.as_ref().map(|closed| self.of(closed))
    }

    fn of(&self, packed: &PackedFlow) -> Flow {
        Flow {
            tuple: self.tuple,
            ..packed.unpacked()
        }
    }

    /// Retransmitted segments.
    #[must_use]
    pub fn segments(&self) -> u64 {
        sum(&self.flow().segments)
    }

    /// Takes in the inode of its socket, where it is not known yet.
    pub(super) fn set_inode(&mut self, inode: u64) {
        let flow = self.flow();
        if flow.inode == 0 {
            self.counters = PackedFlow::of(&Flow { inode, ..flow });
        }
    }

    /// Adds what no hit showed; `failed` if that means that it never left.
    pub(super) fn add_unseen(&mut self, at_ns: u64, segments: u64, bytes: u64, failed: bool) {
        let other = RetransmitKind::Other as usize;
        let mut flow = self.flow();
        flow.segments[other] += segments;
        flow.failed_segments += if failed { segments } else { 0 };
        flow.bytes += bytes;
        self.counters = PackedFlow::of(&flow);
        let mut step = FlowInterval {
            at_ns,
            bytes,
            ..FlowInterval::default()
        };
        step.segments[other] = segments;
        self.series.push(step);
    }

    /// Takes in a slot of a reading of that number, and says whether it did: where it is not the
    /// only one, all of the reading are needed together, for [`Self::take_all`].
    pub(super) fn take(&mut self, at_ns: u64, reading: u32, slot: &SlotReading) -> bool {
        let before = self.flow();
        if self.reading == reading {
            // Another was taken in before it, and was the only one in all earlier readings: all
            // of this one is new.
            self.count(at_ns, &before, merge(&before, &slot.flow));
            match (slot.is_live, self.slots) {
                (true, FlowSlots::None) => self.slots = FlowSlots::One(slot.index),
                (true, _) => self.slots = FlowSlots::Several,
                (false, _) => self.close(&slot.flow),
            }
            return true;
        }
        if ![FlowSlots::None, FlowSlots::One(slot.index)].contains(&self.slots) {
            self.slots = FlowSlots::Several;
            return false;
        }
        self.reading = reading;
        let closed = self.closed();
        let now = closed.map_or(slot.flow, |closed| merge(&closed, &slot.flow));
        if slot.is_live {
            self.slots = FlowSlots::One(slot.index);
        } else {
            self.slots = FlowSlots::None;
            self.closed = Some(PackedFlow::of(&now));
        }
        self.count(at_ns, &before, now);
        true
    }

    /// Takes in all of its slots of one reading.
    pub(super) fn take_all(&mut self, at_ns: u64, slots: &[SlotReading]) {
        let before = self.flow();
        let (live, gone): (Vec<&SlotReading>, _) = slots.iter().partition(|slot| slot.is_live);
        gone.iter().for_each(|slot| self.close(&slot.flow));
        let closed = self.closed();
        let flows = closed.into_iter().chain(live.iter().map(|slot| slot.flow));
        if let Some(now) = flows.reduce(|one, other| merge(&one, &other)) {
            self.count(at_ns, &before, now);
        }
        self.slots = match live.as_slice() {
            [] => FlowSlots::None,
            [one] => FlowSlots::One(one.index),
            _ => FlowSlots::Several,
        };
    }

    fn close(&mut self, slot: &Flow) {
        let closed = self.closed();
        let closed = closed.map_or(*slot, |closed| merge(&closed, slot));
        self.closed = Some(PackedFlow::of(&closed));
    }

    fn count(&mut self, at_ns: u64, before: &Flow, mut now: Flow) {
        let step = step(at_ns, before, &now);
        if sum(&step.segments) > 0 || step.events > 0 {
            self.series.push(step);
        }
        // What a connection was found with is not in its slots.
        if now.inode == 0 {
            now.inode = before.inode;
        }
        self.counters = PackedFlow::of(&now);
    }

    /// Whether its socket is gone, and so is its slot.
    pub(super) fn has_closed(&self) -> bool {
        self.slots == FlowSlots::None && self.closed.is_some()
    }

    /// What it is for.
    pub(super) fn kind(&self, known: &Known) -> Kind {
        let (local, remote) = self.ends();
        known.role(local, remote, self.process.as_deref()).kind
    }

    /// Those that retransmitted the most segments come first, then by tuple.
    pub(super) fn rank(&self) -> (Reverse<u64>, Tuple) {
        (Reverse(self.segments()), self.tuple)
    }

    /// This host's end, and the peer's.
    #[must_use]
    pub fn ends(&self) -> (SocketAddr, SocketAddr) {
        let (local, remote) = endpoints(&self.tuple);
        (local.socket(), remote.socket())
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
    add(&mut segments, &earlier.segments);
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
