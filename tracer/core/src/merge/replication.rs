//! What a primary sent, and what a standby received of it: one connection, seen from both ends.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::merge::exchange::{Between, ClockBounds, OneWay, Unbounded};
use crate::report::commits::ServerReport;
use crate::report::exchanges::MAX_EXCHANGES;
use crate::report::role::Kind;
use crate::report::stages::StandbyStages;
use crate::report::walreceiver::WalreceiverReport;
use crate::report::{FlowReport, Report};

/// One connection of a replication.
#[derive(Clone, Copy)]
pub(crate) struct Replication<'a> {
    /// The primary.
    pub(crate) server: &'a ServerReport,
    pub(crate) sent: &'a StandbyStages,
    pub(crate) received: &'a WalreceiverReport,
}

/// What is known of the two hosts' clocks.
#[derive(Debug, Clone)]
pub(crate) enum TwoClocks {
    /// They are one.
    Same,
    /// The standby's is ahead by so much.
    Bounded(ClockBounds),
}

/// All that both saw.
pub(crate) fn replications<'a>(
    primary: &'a Report,
    standby: &'a Report,
) -> impl Iterator<Item = Replication<'a>> {
    let servers = primary.commits.iter().flat_map(|one| &one.servers);
    let received = || standby.commits.iter().flat_map(|one| &one.walreceivers);
    servers.flat_map(move |server| {
        let standbys = server.stages.standbys.iter().filter(|one| !one.logical);
        standbys.flat_map(move |sent| {
            let all = received().map(move |received| Replication {
                server,
                sent,
                received,
            });
            all.filter(Replication::is_one)
        })
    })
}

/// The flows of a standby's report that receive what the primary sends: where its own walsenders
/// are among the other ends, only those. What the standby's host sends on, to a standby of its
/// own, is none of them.
pub(crate) fn received_from(primary: &Report, standby: &Report) -> Vec<usize> {
    let flows = standby.flows.iter().enumerate();
    let received = flows.filter(|(_, flow)| flow.role.kind == Kind::Walreceiver);
    let received: Vec<(usize, &FlowReport)> = received.collect();
    let senders = primary.flows.iter();
    let ends: BTreeSet<(SocketAddr, SocketAddr)> = senders
        .filter(|flow| flow.role.kind == Kind::Walsender)
        .map(|flow| (flow.remote.socket(), flow.local.socket()))
        .collect();
    let is_joined = |flow: &FlowReport| ends.contains(&(flow.local.socket(), flow.remote.socket()));
    let any_is_joined = received.iter().any(|(_, flow)| is_joined(flow));
    let own = received
        .into_iter()
        .filter(|(_, flow)| !any_is_joined || is_joined(flow));
    own.map(|(at, _)| at).collect()
}

/// Whether both reports are of one kernel.
pub(crate) fn same_boot(one: &Report, other: &Report) -> bool {
    one.host.boot_id.is_some() && one.host.boot_id == other.host.boot_id
}

impl Replication<'_> {
    /// Whether what was sent there was received here, on one connection all the time: after
    /// another begins, WAL is sent again, and arrives for the second time.
    fn is_one(&self) -> bool {
        let (sent, received) = (self.sent, self.received);
        let same_end = received.local.as_ref() == Some(&sent.remote);
        let port = received.remote.as_ref().map(|remote| remote.port);
        let same_port = self.server.port.is_none() || self.server.port == port;
        same_end && same_port && received.connections == 1 && received.reason.is_none()
    }

    /// What the exchanges of both hosts show of their clocks.
    pub(crate) fn bounds(&self) -> Result<ClockBounds, Unbounded> {
        let (ours, theirs) = (&self.sent.exchanges, &self.received.exchanges);
        let out = one_way(
            &by_key(&ours.wal_end, &ours.wal_ns),
            &by_key(&theirs.wal_end, &theirs.wal_ns),
        );
        let back = one_way(
            &by_key(&theirs.reply_seq, &theirs.reply_ns),
            &by_key(&ours.reply_seq, &ours.reply_ns),
        );
        ClockBounds::new(&out, &back)
    }
}

impl TwoClocks {
    /// How long something was on its way that the standby sent and that arrived at the primary,
    /// ns.
    pub(crate) fn took_back(&self, sent_ns: u64, arrived_ns: u64) -> Between {
        match self {
            Self::Same => {
                let took_ns = arrived_ns as f64 - sent_ns as f64;
                Between {
                    least_ns: took_ns,
                    most_ns: took_ns,
                }
            }
            Self::Bounded(bounds) => bounds.took_back(sent_ns, arrived_ns),
        }
    }
}

/// A file may hold more of one column than of the other, and more than was ever written.
fn by_key<K: Copy + Ord>(keys: &[K], at_ns: &[u64]) -> BTreeMap<K, u64> {
    let all = keys.iter().copied().zip(at_ns.iter().copied());
    all.take(MAX_EXCHANGES).collect()
}

/// What both hosts kept of one direction.
fn one_way<K: Ord>(sent: &BTreeMap<K, u64>, arrived: &BTreeMap<K, u64>) -> Vec<OneWay> {
    let both = sent.iter().filter_map(|(key, sent_ns)| {
        Some(OneWay {
            sent_ns: *sent_ns,
            arrived_ns: *arrived.get(key)?,
        })
    });
    both.collect()
}
