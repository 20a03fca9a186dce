//! One flow of the table: the sum of its slots, with its history by interval.

use std::cmp::Reverse;
use std::net::SocketAddr;

use tracer_ebpf::{Flow, Owner, RetransmitKind, Tuple};

use crate::by_kind::{add, sum};
use crate::recording::flow_interval::FlowInterval;
use crate::recording::flow_series::FlowSeries;
use crate::recording::roles::Known;
use crate::recording::tcp_info::TcpInfoSeries;
use crate::report::endpoint::endpoints;
use crate::report::process::Process;
use crate::report::role::Kind;

/// One flow: the sum of its slots, and how it came about.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Counters and last readings.
    pub flow: Flow,
    /// The intervals in which something was retransmitted.
    pub series: FlowSeries,
    /// The path to its peer, if it is one that is watched.
    pub path: TcpInfoSeries,
    /// Whose socket it is, where that is known.
    pub process: Option<Process>,
    /// When its peer was last heard from, ns of `CLOCK_MONOTONIC`, where it was asked.
    pub heard_ns: Option<u64>,
    /// How often `/proc` was searched for that.
    pub searches: u8,
    /// What was in slots that are others' by now.
    pub(super) closed: Option<Box<Flow>>,
    /// Whether it has a slot.
    pub(super) is_live: bool,
}

impl Entry {
    pub(super) fn new(tuple: Tuple) -> Self {
        Self {
            flow: Flow {
                tuple,
                ..Flow::default()
            },
            series: FlowSeries::default(),
            path: TcpInfoSeries::default(),
            process: None,
            heard_ns: None,
            searches: 0,
            closed: None,
            is_live: false,
        }
    }

    /// Adds what no hit showed; `failed` if that means that it never left.
    pub(super) fn add_unseen(&mut self, at_ns: u64, segments: u64, bytes: u64, failed: bool) {
        let other = RetransmitKind::Other as usize;
        self.flow.segments[other] += segments;
        self.flow.failed_segments += if failed { segments } else { 0 };
        self.flow.bytes += bytes;
        let mut step = FlowInterval {
            at_ns,
            bytes,
            ..FlowInterval::default()
        };
        step.segments[other] = segments;
        self.series.push(step);
    }

    /// Takes in its slots, and which of them it still has.
    pub(super) fn update(&mut self, at_ns: u64, slots: &[(&Flow, bool)]) {
        let plus =
            |sum: Option<Flow>, slot: &Flow| Some(sum.map_or(*slot, |sum| merge(&sum, slot)));
        let mut closed = self.closed.as_deref().copied();
        for (slot, _) in slots.iter().filter(|(_, is_live)| !is_live) {
            closed = plus(closed, slot);
        }
        let mut now = closed;
        for (slot, _) in slots.iter().filter(|(_, is_live)| *is_live) {
            now = plus(now, slot);
            self.is_live = true;
        }
        self.closed = closed.map(Box::new);
        let Some(now) = now else {
            return;
        };
        let step = step(at_ns, &self.flow, &now);
        if sum(&step.segments) > 0 || step.events > 0 {
            self.series.push(step);
        }
        self.flow = now;
    }

    /// Whether its socket is gone, and so is its slot.
    pub(super) fn has_closed(&self) -> bool {
        !self.is_live && self.closed.is_some()
    }

    /// What it is for.
    pub(super) fn kind(&self, known: &Known) -> Kind {
        let (local, remote) = self.ends();
        known.role(local, remote, self.process.as_ref()).kind
    }

    /// Those that retransmitted the most segments come first, then by tuple.
    pub(super) fn rank(&self) -> (Reverse<u64>, Tuple) {
        (Reverse(sum(&self.flow.segments)), self.flow.tuple)
    }

    /// This host's end, and the peer's.
    #[must_use]
    pub fn ends(&self) -> (SocketAddr, SocketAddr) {
        let (local, remote) = endpoints(&self.flow.tuple);
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
