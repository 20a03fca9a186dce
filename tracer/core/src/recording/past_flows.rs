//! Flows that have closed and are no longer kept apart: a run may last for months, and what it
//! remembers is bounded.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use tracer_ebpf::{Flow, RetransmitKind};

use crate::by_kind;
use crate::peer_port::{PeerPort, PeerPorts};
use crate::recording::flow_entry::Entry;
use crate::recording::flow_interval::FlowInterval;
use crate::report::endpoint::endpoints;
use crate::report::process::Process;

/// Of as many services and programs the sums are kept apart.
const MOST_SERVICES: usize = 1_000;

/// What flows add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlowSum {
    /// How many flows.
    pub flows: u64,
    /// Retransmitted segments by kind.
    pub segments: [u64; RetransmitKind::COUNT],
    /// Calls that sent something.
    pub events: u64,
    /// Retransmitted bytes.
    pub bytes: u64,
    /// Segments that the kernel counted though they failed to leave.
    pub failed_segments: u64,
}

impl FlowSum {
    /// Of one flow.
    #[must_use]
    pub fn of(flow: &Flow) -> Self {
        Self {
            flows: 1,
            segments: flow.segments,
            events: flow.events,
            bytes: flow.bytes,
            failed_segments: flow.failed_segments,
        }
    }

    /// Adds others.
    pub fn add(&mut self, more: &Self) {
        by_kind::add(&mut self.segments, &more.segments);
        self.flows += more.flows;
        self.events += more.events;
        self.bytes += more.bytes;
        self.failed_segments += more.failed_segments;
    }
}

/// Flows with one service of one program.
#[derive(Debug, Clone)]
pub struct PastService {
    /// The service; `None` of all beyond the first thousand.
    pub port: Option<PeerPort>,
    /// The ends of one of them, and whose it was.
    pub example: Option<(SocketAddr, SocketAddr, Option<Process>)>,
    /// What they add up to.
    pub sum: FlowSum,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct PastFlows {
    services: HashMap<Option<(PeerPort, Option<String>)>, PastService>,
    series: BTreeMap<u64, FlowInterval>,
}

impl PastFlows {
    /// Adds flows that are kept no longer.
    pub(super) fn add(&mut self, gone: &[Entry]) {
        let ends = |entry: &Entry| {
            let (local, remote) = endpoints(&entry.flow.tuple);
            (local.socket(), remote.socket())
        };
        let ports = PeerPorts::of(gone.iter().map(ends));
        for entry in gone {
            let (local, remote) = ends(entry);
            let port = ports.shared(local, remote);
            let comm = entry.process.as_ref().map(|process| process.comm.clone());
            let mut key = Some((port, comm));
            if self.services.len() >= MOST_SERVICES && !self.services.contains_key(&key) {
                key = None;
            }
            let is_apart = key.is_some();
            let service = self.services.entry(key).or_insert_with(|| PastService {
                port: is_apart.then_some(port),
                example: is_apart.then(|| (local, remote, entry.process.clone())),
                sum: FlowSum::default(),
            });
            service.sum.add(&FlowSum::of(&entry.flow));
            for step in &entry.series {
                let sum = self.series.entry(step.at_ns);
                sum.and_modify(|sum| sum.add(&step)).or_insert(step);
            }
        }
    }

    /// By service and program, in no order.
    pub fn services(&self) -> impl Iterator<Item = &PastService> {
        self.services.values()
    }

    /// The intervals in which something was retransmitted, in order.
    pub fn series(&self) -> impl Iterator<Item = &FlowInterval> {
        self.series.values()
    }

    /// What all of them add up to.
    #[must_use]
    pub fn sum(&self) -> FlowSum {
        let mut all = FlowSum::default();
        for service in self.services() {
            all.add(&service.sum);
        }
        all
    }
}
