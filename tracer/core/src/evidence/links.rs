//! Whom commits waited for, and which flows are theirs: the network says something of a
//! commit only where it is the way of a standby that the commit waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::awaited::{self, Level};
use crate::evidence::blocked::SampleInterval;
use crate::recording::Recording;
use crate::recording::flow_history::FlowHistory;
use crate::report::role::Kind;
use crate::report::sample::{Sample, Standby};

/// What is known of a flow and some standbys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Link {
    /// It belongs to none of them.
    Others,
    /// Neither end is one that the primary knows, as behind address translation, and there
    /// are several standbys.
    Unknown,
    /// It is the way of one of them.
    Theirs,
}

/// By what a flow can be told to be a standby's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KnownBy {
    /// The primary has named a connection of this address and port.
    Connection,
    /// It has named this address, with another port: the connection ended between two
    /// samples, or was never sampled.
    Address,
    /// Neither.
    Nothing,
}

/// Every flow of a run.
#[derive(Debug, Clone)]
pub(crate) struct Links<'a> {
    /// Of this run.
    pub(crate) recorded: &'a Recording,
    known: Vec<KnownBy>,
    /// Whether the primary never had but one standby.
    only_one: bool,
}

impl<'a> Links<'a> {
    /// From what the samples of a primary name.
    pub(crate) fn new(recorded: &'a Recording) -> Self {
        let standbys = || recorded.samples().iter().flat_map(|one| &one.standbys);
        let connections: BTreeSet<SocketAddr> = standbys().filter_map(connection).collect();
        let addresses: BTreeSet<IpAddr> = standbys().filter_map(address).collect();
        let names: BTreeSet<_> = standbys().map(|one| (one.name(), address(one))).collect();
        let known = recorded.flows.iter().map(|track| match end(track) {
            end if connections.contains(&end) => KnownBy::Connection,
            end if addresses.contains(&end.ip()) => KnownBy::Address,
            _ => KnownBy::Nothing,
        });
        Self {
            recorded,
            known: known.collect(),
            only_one: names.len() <= 1,
        }
    }

    /// Whether a flow, by its number, is the path of a standby that holds commits in this
    /// sample.
    pub(crate) fn of_sample(&self, index: usize, sample: &Sample) -> Link {
        self.of(index, &awaited(sample))
    }

    /// Whether it may be.
    pub(crate) fn serves(&self, index: usize, sample: &Sample) -> bool {
        self.of_sample(index, sample) != Link::Others
    }

    /// Flows that may be it in any of these intervals, by their numbers.
    pub(crate) fn serving<'s>(
        &'s self,
        intervals: &'s [SampleInterval<'_>],
    ) -> impl Iterator<Item = usize> + 's {
        let flows = 0..self.recorded.flows.len();
        flows.filter(|flow| intervals.iter().any(|one| self.serves(*flow, one.sample)))
    }

    /// Whether a flow, by its number, is the path of one of these.
    pub(crate) fn of(&self, index: usize, standbys: &[&Standby]) -> Link {
        let track = self.recorded.flows.get(index);
        let Some(track) = track.filter(|track| track.is_replication()) else {
            return Link::Others;
        };
        let end = end(track);
        let known = self.known.get(index).copied().unwrap_or(KnownBy::Nothing);
        let is_theirs = |one: &&Standby| match known {
            KnownBy::Connection => connection(one) == Some(end),
            KnownBy::Address => address(one) == Some(end.ip()),
            KnownBy::Nothing => self.only_one,
        };
        match known {
            _ if standbys.iter().any(is_theirs) => Link::Theirs,
            KnownBy::Nothing if !standbys.is_empty() => Link::Unknown,
            _ => Link::Others,
        }
    }
}

/// What the server's commits wait for to be done.
pub(crate) fn level(sample: &Sample) -> Option<Level> {
    awaited::awaited(sample)?.level
}

/// Whether too few standbys stream for any commit to be released.
pub(crate) fn is_gone(sample: &Sample) -> bool {
    match awaited::awaited(sample) {
        Some(awaited) => awaited.lacking > 0,
        None => streaming(sample).next().is_none(),
    }
}

fn streaming(sample: &Sample) -> impl Iterator<Item = &Standby> {
    let streams = |one: &&Standby| one.state.as_deref() == Some("streaming");
    sample.standbys.iter().filter(streams)
}

/// Those that hold commits: whose position keeps them waiting, or that would have to stream
/// first. Where the setting tells nothing, those that the server calls synchronous, or else
/// all.
pub(crate) fn awaited(sample: &Sample) -> Vec<&Standby> {
    if let Some(awaited) = awaited::awaited(sample) {
        return match awaited.lacking {
            0 => awaited.holding,
            _ => awaited.joining,
        };
    }
    let is_sync = |one: &&Standby| matches!(one.sync_state.as_deref(), Some("sync" | "quorum"));
    let named: Vec<_> = streaming(sample).filter(is_sync).collect();
    if named.is_empty() {
        streaming(sample).collect()
    } else {
        named
    }
}

/// Of each flow, whether it was the way of a standby that held commits at any sample, or may
/// have been: what is lost on any other one keeps no commit waiting.
#[must_use]
pub fn hold_commits(recorded: &Recording) -> Vec<bool> {
    let links = Links::new(recorded);
    let flows = recorded.flows.iter().enumerate();
    let holds = flows.map(|(index, track)| {
        let samples = recorded.samples();
        let holds = |sample| links.serves(index, sample);
        track.is_replication() && (samples.is_empty() || samples.iter().any(holds))
    });
    holds.collect()
}

/// Connections of this role by the standby that they are of, one after the other as it
/// connected again.
pub(crate) fn by_standby(recorded: &Recording, role: Kind) -> Vec<Vec<usize>> {
    let flows = || {
        let flows = recorded.flows.iter().enumerate();
        flows.filter(|(_, track)| track.kind() == role)
    };
    let names = |address: IpAddr| -> BTreeSet<&str> {
        let there = flows().filter(|(_, track)| end(track).ip() == address);
        there.filter_map(|(_, track)| named(track)).collect()
    };
    let mut found: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (index, track) in flows() {
        let address = end(track).ip();
        // A connection that ended before the primary was asked has no name.
        let name = match names(address) {
            names if names.len() > 1 => named(track),
            names => names.first().copied(),
        };
        found.entry((address, name)).or_default().push(index);
    }
    found.into_values().collect()
}

/// What the other end calls itself; an address is no name.
fn named(track: &FlowHistory) -> Option<&str> {
    let name = track.name.as_str();
    name.parse::<IpAddr>().is_err().then_some(name)
}

/// The standby's end of a flow of the replication.
pub(crate) fn end(track: &FlowHistory) -> SocketAddr {
    match track.kind() {
        Kind::Walreceiver => track.local,
        _ => track.remote,
    }
}

fn address(standby: &Standby) -> Option<IpAddr> {
    standby.client_addr.as_deref()?.parse().ok()
}

fn connection(standby: &Standby) -> Option<SocketAddr> {
    Some(SocketAddr::new(address(standby)?, standby.client_port?))
}
