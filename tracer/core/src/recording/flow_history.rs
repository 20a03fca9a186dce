//! What a run leaves of one flow.

use std::net::SocketAddr;
use std::sync::Arc;

use tracer_ebpf::Flow;

use crate::clock::jiffies_to_ms;
use crate::recording::bad_checksums::ConnectionEnds;
use crate::recording::flow_entry::Entry;
use crate::recording::flow_series::FlowSeries;
use crate::recording::tcp_info::TcpInfoSample;
use crate::report::endpoint::endpoints;
use crate::report::process::Process;
use crate::report::role::{FlowRole, Kind};

/// One flow.
#[derive(Debug, Clone)]
pub struct FlowHistory {
    /// This host's end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// What it is for.
    pub role: FlowRole,
    /// What to call the other end.
    pub name: String,
    /// Whose socket it is, where that is known.
    pub process: Option<Process>,
    /// When its peer was last heard from, ns of `CLOCK_MONOTONIC`, where its socket was asked.
    pub heard_ns: Option<u64>,
    /// Counters and last readings, as the kernel programs left them.
    pub counters: Flow,
    /// The intervals in which something was retransmitted.
    pub series: FlowSeries,
    /// What its socket said of the path, in order.
    pub path: Vec<TcpInfoSample>,
    /// The largest retransmission timeout at a retransmit, ms.
    pub rto_max_ms: Option<f64>,
    /// How often it had doubled in a row, at most.
    pub backoff_max: Option<u32>,
}

impl FlowHistory {
    /// As segments name it that arrive on it.
    pub(crate) fn connection(&self) -> ConnectionEnds {
        ConnectionEnds {
            remote: self.remote,
            local_port: self.local.port(),
        }
    }

    /// One of which nothing is known but its ends.
    #[must_use]
    pub fn between(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            local,
            remote,
            role: FlowRole::default(),
            name: remote.ip().to_string(),
            process: None,
            heard_ns: None,
            counters: Flow::default(),
            series: FlowSeries::default(),
            path: Vec::new(),
            rto_max_ms: None,
            backoff_max: None,
        }
    }

    /// Of an entry of the flow table, with jiffies of that length; its role is not known
    /// yet.
    pub(super) fn new(entry: Entry, jiffy_ns: u64) -> Self {
        let flow = entry.flow();
        let Entry {
            series,
            path,
            process,
            heard_ns,
            ..
        } = entry;
        let (local, remote) = endpoints(&flow.tuple);
        let read = has_readings(&flow);
        Self {
            process: process.map(Arc::unwrap_or_clone),
            heard_ns,
            series,
            path: path.map_or_else(Vec::new, |path| path.into_readings()),
            rto_max_ms: read.then(|| jiffies_to_ms(flow.rto_max, jiffy_ns)),
            backoff_max: read.then_some(flow.backoff_max),
            counters: flow,
            ..Self::between(local.socket(), remote.socket())
        }
    }

    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.role.kind
    }

    /// Whether a server's WAL is sent or received on it.
    pub(crate) fn is_replication(&self) -> bool {
        self.kind().is_replication()
    }

    /// Whether its socket was read: there has to be a hit on it, and SYN-ACKs have none.
    pub(crate) fn has_readings(&self) -> bool {
        has_readings(&self.counters)
    }
}

fn has_readings(flow: &Flow) -> bool {
    flow.rto != 0 || flow.cwnd != 0
}
