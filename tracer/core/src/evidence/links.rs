//! Whom commits waited for, and which flows are theirs: the network says something of a
//! commit only where it is the path of a standby that the commit waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::awaited::{Level, awaited};
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
    /// It is the path of one of them.
    Theirs,
}

/// By what a flow is known to be a standby's.
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

/// Whom commits wait for at the moment of a sample.
#[derive(Debug, Clone)]
pub(crate) struct AwaitedStandbys<'a> {
    /// What they wait for to be done.
    pub(crate) level: Option<Level>,
    /// Whether too few standbys stream for any commit to be released.
    pub(crate) is_gone: bool,
    /// Those that hold commits: whose position keeps them waiting, or that would have to
    /// stream first. Where the setting does not say so, those that the server calls
    /// synchronous, or else all.
    pub(crate) standbys: Vec<&'a Standby>,
}

impl<'a> AwaitedStandbys<'a> {
    fn of(sample: &'a Sample) -> Self {
        if let Some(awaited) = awaited(sample) {
            let is_gone = awaited.lacking > 0;
            return Self {
                level: awaited.level,
                is_gone,
                standbys: if is_gone {
                    awaited.joining
                } else {
                    awaited.holding
                },
            };
        }
        let standbys = sample.standbys.iter();
        let streaming = standbys.filter(|one| one.state.as_deref() == Some("streaming"));
        let streaming: Vec<&Standby> = streaming.collect();
        let is_sync = |one: &&Standby| matches!(one.sync_state.as_deref(), Some("sync" | "quorum"));
        let named: Vec<&Standby> = streaming.iter().copied().filter(is_sync).collect();
        Self {
            level: None,
            is_gone: streaming.is_empty(),
            standbys: if named.is_empty() { streaming } else { named },
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Links<'a> {
    pub(crate) recorded: &'a Recording,
    /// By sample.
    awaited: Vec<AwaitedStandbys<'a>>,
    known: Vec<KnownBy>,
    /// Whether the primary never had but one standby.
    only_one: bool,
}

impl<'a> Links<'a> {
    /// From what the samples of a primary name.
    pub(crate) fn new(recorded: &'a Recording) -> Self {
        let samples = || recorded.samples().iter();
        let standbys = || samples().flat_map(|one| &one.standbys);
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
            awaited: samples().map(AwaitedStandbys::of).collect(),
            known: known.collect(),
            only_one: names.len() <= 1,
        }
    }

    /// Whom commits waited for at a sample, by its number in the series.
    pub(crate) fn awaited(&self, sample: usize) -> &AwaitedStandbys<'a> {
        &self.awaited[sample]
    }

    /// Whether a flow, by its number, may be the path of a standby that holds commits in a
    /// sample, by its number.
    pub(crate) fn serves(&self, flow: usize, sample: usize) -> bool {
        self.of(flow, sample) != Link::Others
    }

    /// Flows that may be it in any of these intervals, by their numbers.
    pub(crate) fn serving<'s>(
        &'s self,
        intervals: &'s [SampleInterval<'_>],
    ) -> impl Iterator<Item = usize> + 's {
        let flows = 0..self.recorded.flows.len();
        flows.filter(|flow| intervals.iter().any(|one| self.serves(*flow, one.index)))
    }

    /// Whether a flow is the path of a standby that holds commits in a sample, both by their
    /// numbers.
    pub(crate) fn of(&self, flow: usize, sample: usize) -> Link {
        let track = self.recorded.flows.get(flow);
        let Some(track) = track.filter(|track| track.is_replication()) else {
            return Link::Others;
        };
        let end = end(track);
        let known = self.known.get(flow).copied().unwrap_or(KnownBy::Nothing);
        let standbys = &self.awaited(sample).standbys;
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

/// Of each flow, whether it was the path of a standby that held commits at any sample, or may
/// have been: what is lost on any other one keeps no commit waiting.
pub(crate) fn hold_commits(recorded: &Recording) -> Vec<bool> {
    let links = Links::new(recorded);
    let samples = recorded.samples().len();
    let flows = recorded.flows.iter().enumerate();
    let holds = flows.map(|(flow, track)| {
        let is_without_samples = samples == 0 && track.is_replication();
        is_without_samples || (0..samples).any(|sample| links.serves(flow, sample))
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
