//! Flows added up, for those who have more of them than can be read: by peer and port, and
//! by role and program.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::peer_port::{PeerPort, PeerPorts};
use crate::report::role::Kind;
use crate::report::steps::{self, StepReport};
use crate::report::{ByKind, FlowReport};

/// How many flows a report lists, those of replication apart: the size of its file is
/// bounded, however many connections there are.
pub const MAX_LISTED: usize = 1_000;
/// Of how many peers, and of how many roles and programs, it has the sums.
const MAX_SUMS: usize = 1_000;

/// What flows add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowSums {
    /// How many flows; `null` of what the flow table had no room for.
    pub flows: Option<u64>,
    /// Retransmitted segments: the sum of `by_kind`.
    pub segments: u64,
    /// Calls that sent something.
    pub events: u64,
    /// Retransmitted bytes.
    pub bytes: u64,
    /// Segments that the kernel counted though they failed to leave.
    pub failed_segments: u64,
    /// Segments by kind.
    pub by_kind: ByKind,
}

/// The flows that are not listed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UnlistedFlows {
    /// What they add up to.
    #[serde(flatten)]
    pub sums: FlowSums,
    /// The intervals in which something was retransmitted.
    #[serde(with = "steps")]
    pub series: Vec<StepReport>,
}

/// The flows with one peer that have a port in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerSums {
    /// The peer; `null` of all beyond the first thousand, and of what the flow table had no
    /// room for.
    pub peer: Option<IpAddr>,
    /// The port that they have in common, likewise.
    pub port: Option<u16>,
    /// Whose port that is, likewise.
    pub port_of: Option<PortOf>,
    /// What they add up to.
    #[serde(flatten)]
    pub sums: FlowSums,
}

/// Whose port it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortOf {
    /// The peer's: this host connects to it.
    Peer,
    /// This host's: the peer connects to it.
    ThisHost,
}

/// The flows of programs of one name that are for the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleSums {
    /// What they are for.
    pub role: Kind,
    /// Name of the executable, at most 15 bytes; `null` where it is not known.
    pub comm: Option<String>,
    /// What they add up to.
    #[serde(flatten)]
    pub sums: FlowSums,
}

impl FlowSums {
    fn of(flow: &FlowReport) -> Self {
        Self {
            flows: flow.is_one().then_some(1),
            segments: flow.segments,
            events: flow.events,
            bytes: flow.bytes,
            failed_segments: flow.failed_segments,
            by_kind: flow.by_kind,
        }
    }

    fn add(&mut self, more: &Self) {
        if let Some(flows) = more.flows {
            *self.flows.get_or_insert(0) += flows;
        }
        self.segments += more.segments;
        self.events += more.events;
        self.bytes += more.bytes;
        self.failed_segments += more.failed_segments;
        self.by_kind = self.by_kind.plus(&more.by_kind);
    }
}

/// Whether a report lists a flow that has this place by its retransmitted segments, and is
/// for this.
#[must_use]
pub fn is_listed(place: usize, kind: Kind) -> bool {
    place < MAX_LISTED || kind.is_replication()
}

/// Those that are listed, of flows in their order, and the others as one.
#[must_use]
pub fn listed(flows: Vec<FlowReport>) -> (Vec<FlowReport>, Option<UnlistedFlows>) {
    let (mut listed, mut sums) = (Vec::new(), FlowSums::default());
    // Of one run, intervals that end at the same moment are one.
    let mut steps: BTreeMap<u64, StepReport> = BTreeMap::new();
    for (place, flow) in flows.into_iter().enumerate() {
        if is_listed(place, flow.role.kind) || !flow.is_one() {
            listed.push(flow);
            continue;
        }
        sums.add(&FlowSums::of(&flow));
        for step in flow.series {
            let sum = steps.entry(step.offset_s.to_bits());
            sum.and_modify(|sum| sum.add(&step)).or_insert(step);
        }
    }
    let others = sums.flows.is_some().then(|| UnlistedFlows {
        sums,
        series: steps.into_values().collect(),
    });
    (listed, others)
}

/// The sums by peer and port, most retransmitted segments first, then most flows.
#[must_use]
pub fn by_peer(flows: &[FlowReport]) -> Vec<PeerSums> {
    let single = flows.iter().filter(|flow| flow.is_one());
    let ports = PeerPorts::of(single.map(|flow| (flow.local.socket(), flow.remote.socket())));
    let key = |flow: &FlowReport| {
        let ends = (flow.local.socket(), flow.remote.socket());
        flow.is_one().then(|| ports.shared(ends.0, ends.1))
    };
    let sums = added_up(flows, key, None).into_iter();
    let sums = sums.map(|(key, sums)| PeerSums {
        peer: key.map(|key| key.peer),
        port: key.map(|key| key.port),
        port_of: key.map(PortOf::from),
        sums,
    });
    sums.collect()
}

/// The sums by role and program, in the same order.
#[must_use]
pub fn by_role(flows: &[FlowReport]) -> Vec<RoleSums> {
    let key = |flow: &FlowReport| {
        let comm = flow.process.as_ref().map(|process| process.comm.clone());
        (flow.role.kind as usize, comm)
    };
    let sums = added_up(flows, key, (Kind::Other as usize, None)).into_iter();
    let sums = sums.map(|((kind, comm), sums)| RoleSums {
        role: Kind::ALL.get(kind).copied().unwrap_or_default(),
        comm,
        sums,
    });
    sums.collect()
}

/// The sums by key, at most [`MAX_SUMS`] of them: what is beyond is added to those of `rest`.
fn added_up<K: Eq + Hash + Ord>(
    flows: &[FlowReport],
    key: impl Fn(&FlowReport) -> K,
    rest: K,
) -> Vec<(K, FlowSums)> {
    let mut sums: HashMap<K, FlowSums> = HashMap::new();
    for flow in flows {
        sums.entry(key(flow)).or_default().add(&FlowSums::of(flow));
    }
    let mut sums: Vec<(K, FlowSums)> = sums.into_iter().collect();
    in_order(&mut sums);
    if sums.len() > MAX_SUMS {
        let beyond = sums.split_off(MAX_SUMS - 1);
        let mut others = FlowSums::default();
        for (_, more) in &beyond {
            others.add(more);
        }
        match sums.iter_mut().find(|(key, _)| *key == rest) {
            Some((_, sum)) => sum.add(&others),
            None => sums.push((rest, others)),
        }
        in_order(&mut sums);
    }
    sums
}

fn in_order<K: Ord>(sums: &mut [(K, FlowSums)]) {
    sums.sort_by(|(key, one), (other_key, other)| {
        let weight = |sums: &FlowSums| Reverse((sums.segments, sums.flows));
        let by_weight = weight(one).cmp(&weight(other));
        by_weight.then_with(|| key.cmp(other_key))
    });
}

impl From<PeerPort> for PortOf {
    fn from(port: PeerPort) -> Self {
        match port.is_ours {
            true => Self::ThisHost,
            false => Self::Peer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    /// Connections of two programs to one service, and of clients to one here.
    fn flows() -> Vec<FlowReport> {
        let report = Report::read(include_bytes!("../../tests/data/db1.json")).unwrap();
        let template = report.flows[0].clone();
        let flow = |local: &str, remote: &str, segments: u64| {
            let mut flow = template.clone();
            let end = |text: &str| text.parse::<std::net::SocketAddr>().unwrap().into();
            (flow.local, flow.remote) = (end(local), end(remote));
            flow.netns = Some(1);
            flow.segments = segments;
            flow.by_kind = ByKind {
                rto: segments,
                ..ByKind::default()
            };
            (flow.events, flow.bytes, flow.failed_segments) = (segments, 10 * segments, 0);
            flow
        };
        let mut rest = flow("0.0.0.0:0", "0.0.0.0:0", 7);
        (rest.netns, rest.process) = (None, None);
        vec![
            flow("10.0.0.1:40001", "10.0.0.2:2000", 30),
            flow("10.0.0.1:40002", "10.0.0.2:2000", 20),
            flow("10.0.0.1:5432", "10.0.0.2:50001", 9),
            flow("10.0.0.1:5432", "10.0.0.2:50002", 1),
            flow("10.0.0.1:40003", "10.0.0.3:80", 0),
            rest,
        ]
    }

    #[test]
    fn a_peer_has_an_entry_for_each_service_at_either_end() {
        let flows = flows();
        let sums = by_peer(&flows);
        let lines: Vec<_> = sums
            .iter()
            .map(|one| {
                let peer = one.peer.map(|peer| peer.to_string());
                (
                    peer,
                    one.port,
                    one.port_of,
                    one.sums.flows,
                    one.sums.segments,
                )
            })
            .collect();
        let peer = |last: u8| Some(format!("10.0.0.{last}"));
        let (theirs, ours) = (Some(PortOf::Peer), Some(PortOf::ThisHost));
        assert_eq!(
            lines,
            [
                (peer(2), Some(2000), theirs, Some(2), 50),
                (peer(2), Some(5432), ours, Some(2), 10),
                (None, None, None, None, 7),
                (peer(3), Some(80), theirs, Some(1), 0),
            ]
        );
        for of in [
            |one: &FlowSums| one.segments,
            |one: &FlowSums| one.events,
            |one: &FlowSums| one.bytes,
            |one: &FlowSums| one.by_kind.rto,
        ] {
            let roles = by_role(&flows);
            let by_role: u64 = roles.iter().map(|one| of(&one.sums)).sum();
            assert_eq!(sums.iter().map(|one| of(&one.sums)).sum::<u64>(), by_role);
        }
        assert_eq!(sums.iter().map(|one| one.sums.segments).sum::<u64>(), 67);
    }

    #[test]
    fn what_is_beyond_the_bounds_is_in_the_sums() {
        let all = flows();
        let (template, last) = (&all[0], &all[5]);
        let step = |offset_s: f64| StepReport {
            offset_s,
            segments: 1,
            events: 1,
            bytes: 10,
            by_kind: template.by_kind,
        };
        let many = u16::try_from(2 * MAX_LISTED).unwrap();
        let mut flows: Vec<FlowReport> = (1..=many)
            .map(|port| {
                let mut flow = template.clone();
                let [high, low] = port.to_be_bytes();
                flow.remote.address = [10, 1, high, low].into();
                flow.series = vec![step(1.0), step(f64::from(port))];
                flow.role.kind = match port {
                    1_500 => Kind::Walsender,
                    _ => Kind::Other,
                };
                flow
            })
            .collect();
        flows.push(last.clone());
        let segments: u64 = flows.iter().map(|flow| flow.segments).sum();

        let sums = by_peer(&flows);
        assert_eq!(sums.len(), MAX_SUMS);
        assert_eq!(sums[0].peer, None, "what is beyond is the most");
        assert_eq!(
            sums.iter().map(|one| one.sums.segments).sum::<u64>(),
            segments
        );
        let counted: u64 = sums.iter().filter_map(|one| one.sums.flows).sum();
        assert_eq!(counted, u64::from(many));

        let (listed, unlisted) = listed(flows);
        let unlisted = unlisted.unwrap();
        assert_eq!(
            listed.len(),
            MAX_LISTED + 2,
            "with replication, and the rest"
        );
        assert_eq!(unlisted.sums.flows, Some(u64::from(many) - 1_001));
        let listed: u64 = listed.iter().map(|flow| flow.segments).sum();
        assert_eq!(listed + unlisted.sums.segments, segments);
        assert_eq!(unlisted.series[0].segments, 999);
        assert_eq!(unlisted.series.len(), 1_000);
    }

    #[test]
    fn flows_of_one_role_and_program_are_one_entry() {
        let mut flows = flows();
        for (flow, comm) in flows.iter_mut().zip(["app", "app", "postgres", "postgres"]) {
            flow.process.as_mut().unwrap().comm = comm.into();
            flow.role.kind = Kind::Client;
        }
        let sums = by_role(&flows);
        let named = |comm: &str| {
            let found = sums.iter().find(|one| one.comm.as_deref() == Some(comm));
            found.map(|one| (one.role, one.sums.flows, one.sums.segments))
        };
        assert_eq!(named("app"), Some((Kind::Client, Some(2), 50)));
        assert_eq!(named("postgres"), Some((Kind::Client, Some(2), 10)));
    }
}
