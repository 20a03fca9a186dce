//! Flows that are not kept apart: a run may last for months and see any number of flows, and
//! what it remembers is bounded.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use crate::peer_port::{PeerPort, PeerPorts};
use crate::recording::flow_entry::Entry;
use crate::recording::flow_interval::FlowInterval;
use crate::recording::flow_series::FlowSeries;
use crate::recording::flow_sum::FlowSum;
use crate::recording::roles::Known;
use crate::recording::unanswered::{ServiceAnswers, Unanswered};
use crate::report::role::Kind;

/// Flows of as many services and programs are kept apart from those of others.
const MOST_GROUPS: usize = 1_000;

/// What flows of one group have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupKey {
    /// The service; `None` of all beyond the first thousand groups.
    pub port: Option<PeerPort>,
    /// What they are for.
    pub kind: Kind,
    /// Whose they are, likewise, as far as it is known.
    pub comm: Option<String>,
}

/// What they add up to.
#[derive(Debug, Clone, Default)]
pub struct FlowGroup {
    /// In all.
    pub sum: FlowSum,
    /// The intervals in which something was retransmitted.
    pub series: FlowSeries,
    /// Those that are to be merged into it.
    waiting: BTreeMap<u64, FlowInterval>,
}

impl FlowGroup {
    fn add(&mut self, gone: &Entry) {
        self.sum.add(&FlowSum::of(&gone.flow()));
        add_up(&mut self.waiting, &gone.series);
    }
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct FlowGroups {
    groups: HashMap<GroupKey, FlowGroup>,
    answers: ServiceAnswers,
}

impl FlowGroups {
    /// Adds a flow that is not kept apart.
    pub(super) fn take(&mut self, gone: &Entry, ports: &PeerPorts, known: &Known) {
        let (local, remote) = gone.ends();
        let port = ports.shared(local, remote);
        let flow = gone.flow();
        // Whoever connects to this host has a port of its own, and is no service.
        let is_service = !port.is_ours || Unanswered::of(&flow, gone.heard_ns).is_some();
        if is_service {
            self.answers.add(remote, &flow, gone.heard_ns);
        }
        let mut key = GroupKey {
            port: Some(port),
            kind: gone.kind(known),
            comm: gone.process.as_ref().map(|process| process.comm.clone()),
        };
        if self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(&key) {
            (key.port, key.comm) = (None, None);
        }
        self.groups.entry(key).or_default().add(gone);
    }

    /// Brings the series up to date.
    pub(super) fn settle(&mut self) {
        for group in self.groups.values_mut() {
            group.series.merge(std::mem::take(&mut group.waiting));
        }
    }

    /// Each of them, in no order.
    pub fn each(&self) -> impl Iterator<Item = (&GroupKey, &FlowGroup)> {
        self.groups.iter()
    }

    /// By service, what became of connections to it.
    #[must_use]
    pub fn answers(&self) -> &ServiceAnswers {
        &self.answers
    }

    /// What each retransmitted in each interval; those of several may have the same end.
    pub fn steps(&self) -> impl Iterator<Item = FlowInterval> {
        self.each().flat_map(|(_, group)| &group.series)
    }

    /// What all of them together retransmitted in each interval.
    pub(crate) fn series(&self) -> BTreeMap<u64, FlowInterval> {
        let mut all = BTreeMap::new();
        for (_, group) in self.each() {
            add_up(&mut all, &group.series);
        }
        all
    }

    /// What all of them add up to.
    #[must_use]
    pub fn sum(&self) -> FlowSum {
        let mut all = FlowSum::default();
        for (_, group) in self.each() {
            all.add(&group.sum);
        }
        all
    }
}

fn add_up(sums: &mut BTreeMap<u64, FlowInterval>, series: &FlowSeries) {
    for step in series {
        let sum = sums.entry(step.at_ns);
        sum.and_modify(|sum| sum.add(&step)).or_insert(step);
    }
}

/// Flows, each by this host's end and the peer's, and groups of them, added up by service; `None`
/// is what is with many.
pub(crate) fn by_peer(
    flows: impl Iterator<Item = (SocketAddr, SocketAddr, FlowSum)> + Clone,
    groups: &FlowGroups,
) -> HashMap<Option<PeerPort>, FlowSum> {
    let ends = flows.clone().map(|(local, remote, _)| (local, remote));
    let ports = PeerPorts::of(ends);
    let flows = flows.map(|(local, remote, sum)| (Some(ports.shared(local, remote)), sum));
    let groups = groups.each().map(|(key, group)| (key.port, group.sum));
    let mut peers: HashMap<_, FlowSum> = HashMap::new();
    for (port, sum) in flows.chain(groups) {
        peers.entry(port).or_default().add(&sum);
    }
    peers
}
