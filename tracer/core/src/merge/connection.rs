//! Connections, joined end to end.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::report::endpoint::Endpoint;
use crate::report::process::Process;
use crate::report::{ByKind, FlowReport, Report};

/// A connection that both hosts saw.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Connection {
    /// What it is for, in words; `null` where nothing is known.
    pub purpose: Option<String>,
    /// Segments that were retransmitted, in both directions.
    pub segments: u64,
    /// Each host's end, and what it retransmitted toward the other.
    pub sides: [Side; 2],
}

/// One end of a connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Side {
    /// Where in this file: a JSON pointer to the flow.
    pub flow: String,
    /// Address and port.
    pub endpoint: Endpoint,
    /// Whose socket it is.
    pub process: Option<Process>,
    /// Segments that it retransmitted.
    pub segments: u64,
    /// The same by kind.
    pub by_kind: ByKind,
    /// Its largest retransmission timeout.
    pub rto_max_ms: Option<f64>,
    /// How often that had doubled in a row, at most.
    pub backoff_max: Option<u32>,
    /// Its smoothed round-trip time, at its last retransmit.
    pub srtt_us: Option<u32>,
    /// When it closed, by its host's clock.
    pub closed: Option<String>,
    /// Hits whose segment carried a FIN: then the two closed apart.
    pub fin: u64,
}

/// Flows of a host that the other did not see.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneSided {
    /// How many.
    pub flows: u64,
    /// Segments that were retransmitted on them.
    pub segments: u64,
}

/// Joins the flows of two reports: one's local end is the other's remote end.
pub(crate) fn join(reports: &[Report; 2]) -> (Vec<Connection>, [OneSided; 2]) {
    let [ours, theirs] = reports;
    // The same ends can be in several network namespaces.
    let mut others: HashMap<(SocketAddr, SocketAddr), VecDeque<usize>> = HashMap::new();
    for (index, flow) in theirs.flows.iter().enumerate().filter(|one| leaves(one.1)) {
        let ends = (flow.local.socket(), flow.remote.socket());
        others.entry(ends).or_default().push_back(index);
    }
    let mut connections = Vec::new();
    let mut alone = [OneSided::default(), OneSided::default()];
    let mut unseen: BTreeSet<usize> = (0..theirs.flows.len()).collect();
    for (index, flow) in ours.flows.iter().enumerate() {
        let ends = (flow.remote.socket(), flow.local.socket());
        let same = others.get_mut(&ends).filter(|_| leaves(flow));
        match same.and_then(VecDeque::pop_front) {
            Some(other) => {
                unseen.remove(&other);
                let seen = theirs.flows.get(other).map(|it| (other, it));
                connections.extend(seen.map(|seen| connection([(index, flow), seen])));
            }
            None => alone[0].add(flow),
        }
    }
    for flow in unseen.into_iter().filter_map(|at| theirs.flows.get(at)) {
        alone[1].add(flow);
    }
    connections.sort_by_key(|one| std::cmp::Reverse(one.segments));
    (connections, alone)
}

/// Whether a flow can have its other end on another host. What had no room in the table
/// has no ends, and every host has a loopback of its own.
fn leaves(flow: &FlowReport) -> bool {
    flow.netns.is_some() && !flow.local.address.is_loopback() && !flow.remote.address.is_loopback()
}

impl OneSided {
    fn add(&mut self, flow: &FlowReport) {
        self.flows = self.flows.saturating_add(1);
        self.segments = self.segments.saturating_add(flow.segments);
    }
}

/// Of each report's flow, with its place there.
fn connection(ends: [(usize, &FlowReport); 2]) -> Connection {
    let [(at, flow), (other_at, other)] = ends;
    // What a server or a process says comes before what a port suggests.
    let guessed = |flow: &FlowReport| {
        let told_by = flow.role.told_by;
        matches!(told_by, None | Some(crate::report::role::ToldBy::Port))
    };
    let better = match guessed(flow) && !guessed(other) {
        true => other,
        false => flow,
    };
    Connection {
        purpose: better.role.words(better.remote.address),
        // A file may claim more than can be counted.
        segments: flow.segments.saturating_add(other.segments),
        sides: [side(0, at, flow), side(1, other_at, other)],
    }
}

fn side(report: usize, index: usize, flow: &FlowReport) -> Side {
    Side {
        flow: format!("/reports/{report}/flows/{index}"),
        endpoint: flow.local.clone(),
        process: flow.process.clone(),
        segments: flow.segments,
        by_kind: flow.by_kind,
        rto_max_ms: flow.rto_max_ms,
        backoff_max: flow.backoff_max,
        srtt_us: flow.srtt_us,
        closed: flow.closed.clone(),
        fin: flow.fin,
    }
}
