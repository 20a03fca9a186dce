//! Flows added up: those that the report lists, those that it does not, and those that had no
//! room of their own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::SocketAddr;

use crate::assemble::flows::{step, without_room};
use crate::by_kind::sum;
use crate::peer_port::{PeerPort, PeerPorts};
use crate::recording::Recording;
use crate::recording::flow_history::FlowHistory;
use crate::recording::flow_interval::FlowInterval;
use crate::recording::past_flows::{FlowSum, PastService};
use crate::recording::roles::Known;
use crate::report::aggregate::{FlowSums, PeerSums, PortOf, RoleSums, UnlistedFlows};
use crate::report::role::Kind;
use crate::report::{ByKind, Selected};

/// Of how many peers, and of how many roles and programs, a report has the sums.
const MAX_SUMS: usize = 1_000;

/// All of them.
pub(super) struct Aggregates {
    pub(super) selected: Selected,
    pub(super) by_peer: Vec<PeerSums>,
    pub(super) by_role: Vec<RoleSums>,
    pub(super) unlisted: Option<UnlistedFlows>,
}

impl Aggregates {
    /// Of a recording whose flows have their roles, and of which the first are listed.
    pub(super) fn of(recording: &Recording, listed: usize) -> Self {
        Self {
            selected: selected(recording),
            by_peer: by_peer(recording),
            by_role: by_role(recording),
            unlisted: unlisted(recording, listed),
        }
    }
}

/// What is added up.
enum Part<'a> {
    Flow(&'a FlowHistory),
    Past(&'a PastService),
    /// What the flow table had no room for.
    Rest(FlowSums),
}

impl Part<'_> {
    fn sums(&self) -> FlowSums {
        match self {
            Self::Flow(flow) => sums(&FlowSum::of(&flow.counters)),
            Self::Past(past) => sums(&past.sum),
            Self::Rest(rest) => *rest,
        }
    }

    fn service(&self, ports: &PeerPorts) -> Option<PeerPort> {
        match self {
            Self::Flow(flow) => Some(ports.shared(flow.local, flow.remote)),
            Self::Past(past) => past.port,
            Self::Rest(_) => None,
        }
    }

    /// What it is for, as an index of [`Kind::ALL`], and the name of its program.
    fn role(&self, known: &Known) -> (usize, Option<String>) {
        let (kind, process) = match self {
            Self::Flow(flow) => (flow.kind(), flow.process.as_ref()),
            Self::Past(past) => match &past.example {
                Some((local, remote, process)) => {
                    let process = process.as_ref();
                    (known.role(*local, *remote, process).kind, process)
                }
                None => (Kind::Other, None),
            },
            Self::Rest(_) => (Kind::Other, None),
        };
        (kind as usize, process.map(|process| process.comm.clone()))
    }
}

fn parts(recording: &Recording) -> impl Iterator<Item = Part<'_>> {
    let rest = without_room(recording).map(|(segments, events, bytes)| {
        Part::Rest(FlowSums {
            flows: None,
            segments: sum(&segments),
            events,
            bytes,
            failed_segments: 0,
            by_kind: ByKind::from(segments),
        })
    });
    let flows = recording.flows.iter().map(Part::Flow);
    flows
        .chain(recording.past.services().map(Part::Past))
        .chain(rest)
}

fn sums(of: &FlowSum) -> FlowSums {
    FlowSums {
        flows: Some(of.flows),
        segments: sum(&of.segments),
        events: of.events,
        bytes: of.bytes,
        failed_segments: of.failed_segments,
        by_kind: ByKind::from(of.segments),
    }
}

fn add(to: &mut FlowSums, more: &FlowSums) {
    if let Some(flows) = more.flows {
        *to.flows.get_or_insert(0) += flows;
    }
    to.segments += more.segments;
    to.events += more.events;
    to.bytes += more.bytes;
    to.failed_segments += more.failed_segments;
    to.by_kind = to.by_kind.plus(&more.by_kind);
}

fn selected(recording: &Recording) -> Selected {
    let mut all = FlowSums::default();
    parts(recording).for_each(|part| add(&mut all, &part.sums()));
    Selected {
        segments: all.segments,
        events: all.events,
        bytes: all.bytes,
    }
}

/// The flows that are not listed, as one.
fn unlisted(recording: &Recording, listed: usize) -> Option<UnlistedFlows> {
    let flows = recording.flows.get(listed..).unwrap_or_default();
    let mut all = recording.past.sum();
    // Of one run, intervals that end at the same moment are one.
    let mut steps: BTreeMap<u64, FlowInterval> = BTreeMap::new();
    let series = flows.iter().flat_map(|flow| &flow.series);
    for one in series.chain(recording.past.series().copied()) {
        let sum = steps.entry(one.at_ns);
        sum.and_modify(|sum| sum.add(&one)).or_insert(one);
    }
    for flow in flows {
        all.add(&FlowSum::of(&flow.counters));
    }
    let clock = recording.run_clock();
    (all.flows > 0).then(|| UnlistedFlows {
        sums: sums(&all),
        series: steps.values().map(|one| step(one, clock)).collect(),
    })
}

/// The sums by peer and port, most retransmitted segments first, then most flows.
fn by_peer(recording: &Recording) -> Vec<PeerSums> {
    let ends = |flow: &FlowHistory| -> (SocketAddr, SocketAddr) { (flow.local, flow.remote) };
    let ports = PeerPorts::of(recording.flows.iter().map(ends));
    let sums = added_up(recording, |part| part.service(&ports), None);
    let sums = sums.into_iter().map(|(key, sums)| PeerSums {
        peer: key.map(|key| key.peer),
        port: key.map(|key| key.port),
        port_of: key.map(PortOf::from),
        sums,
    });
    sums.collect()
}

/// The sums by role and program, in the same order.
fn by_role(recording: &Recording) -> Vec<RoleSums> {
    let known = recording.known();
    let rest = (Kind::Other as usize, None);
    let sums = added_up(recording, |part| part.role(&known), rest);
    let sums = sums.into_iter().map(|((kind, comm), sums)| RoleSums {
        role: Kind::ALL.get(kind).copied().unwrap_or_default(),
        comm,
        sums,
    });
    sums.collect()
}

/// The sums by key, at most [`MAX_SUMS`] of them: what is beyond is added to those of `rest`.
fn added_up<K: Eq + Hash + Ord>(
    recording: &Recording,
    key: impl Fn(&Part<'_>) -> K,
    rest: K,
) -> Vec<(K, FlowSums)> {
    let mut sums: HashMap<K, FlowSums> = HashMap::new();
    for part in parts(recording) {
        add(sums.entry(key(&part)).or_default(), &part.sums());
    }
    let mut sums: Vec<(K, FlowSums)> = sums.into_iter().collect();
    in_order(&mut sums);
    if sums.len() > MAX_SUMS {
        let beyond = sums.split_off(MAX_SUMS - 1);
        let mut others = FlowSums::default();
        for (_, more) in &beyond {
            add(&mut others, more);
        }
        match sums.iter_mut().find(|(key, _)| *key == rest) {
            Some((_, sum)) => add(sum, &others),
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

#[cfg(test)]
mod tests {
    use tracer_ebpf::{Flow, RetransmitKind, Totals};

    use super::*;
    use crate::assemble::flows::{listed, put_listed_first};
    use crate::recording::flow_table::FlowTable;
    use crate::recording::namespace::NamespaceCounts;
    use crate::report::aggregate::MAX_LISTED;
    use crate::report::process::Process;
    use crate::report::role::FlowRole;

    fn flow(local: &str, remote: &str, segments: u64) -> FlowHistory {
        let end = |text: &str| text.parse().unwrap();
        let mut counters = Flow {
            events: segments,
            bytes: 10 * segments,
            ..Flow::default()
        };
        counters.segments[RetransmitKind::Rto as usize] = segments;
        FlowHistory {
            counters,
            ..FlowHistory::between(end(local), end(remote))
        }
    }

    /// Connections of two programs to one service, of clients to one here, and seven segments
    /// that the flow table had no room for.
    fn recording() -> Recording {
        let mut totals = Totals::default();
        totals.overflow_segments[RetransmitKind::Rto as usize] = 7;
        (totals.overflow_events, totals.overflow_bytes) = (7, 70);
        Recording {
            flows: vec![
                flow("10.0.0.1:40001", "10.0.0.2:2000", 30),
                flow("10.0.0.1:40002", "10.0.0.2:2000", 20),
                flow("10.0.0.1:5432", "10.0.0.2:50001", 9),
                flow("10.0.0.1:5432", "10.0.0.2:50002", 1),
                flow("10.0.0.1:40003", "10.0.0.3:80", 0),
            ],
            namespaces: vec![NamespaceCounts {
                totals,
                ..NamespaceCounts::default()
            }],
            ..Recording::default()
        }
    }

    #[test]
    fn a_peer_has_an_entry_for_each_service_at_either_end() {
        let recording = recording();
        let all = by_peer(&recording);
        let lines: Vec<_> = all
            .iter()
            .map(|one| {
                let peer = one.peer.map(|peer| peer.to_string());
                let (flows, segments) = (one.sums.flows, one.sums.segments);
                (peer, one.port, one.port_of, flows, segments)
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
        let roles = by_role(&recording);
        for of in [
            |one: &FlowSums| one.segments,
            |one: &FlowSums| one.events,
            |one: &FlowSums| one.bytes,
            |one: &FlowSums| one.by_kind.rto,
        ] {
            let by_role: u64 = roles.iter().map(|one| of(&one.sums)).sum();
            assert_eq!(all.iter().map(|one| of(&one.sums)).sum::<u64>(), by_role);
        }
        assert_eq!(selected(&recording).segments, 67);
    }

    #[test]
    fn what_is_beyond_the_bounds_is_in_the_sums() {
        let mut recording = recording();
        let template = recording.flows[0].clone();
        let step = |at_ns: u64| {
            let mut step = FlowInterval {
                at_ns,
                ..FlowInterval::default()
            };
            step.segments[RetransmitKind::Rto as usize] = 1;
            step
        };
        let many = u16::try_from(2 * MAX_LISTED).unwrap();
        recording.flows = (1..=many)
            .map(|port| {
                let [high, low] = port.to_be_bytes();
                let mut flow = template.clone();
                flow.remote.set_ip([10, 1, high, low].into());
                flow.series = [step(1), step(u64::from(port))].into_iter().collect();
                if port == 1_500 {
                    flow.role = FlowRole {
                        kind: Kind::Walsender,
                        ..FlowRole::default()
                    };
                }
                flow
            })
            .collect();
        let segments = u64::from(many) * 30 + 7;

        let all = by_peer(&recording);
        assert_eq!(all.len(), MAX_SUMS);
        assert_eq!(all[0].peer, None, "what is beyond is the most");
        assert_eq!(
            all.iter().map(|one| one.sums.segments).sum::<u64>(),
            segments
        );
        let counted: u64 = all.iter().filter_map(|one| one.sums.flows).sum();
        assert_eq!(counted, u64::from(many));

        let first = put_listed_first(&mut recording.flows);
        let reports = listed(&recording, first);
        assert_eq!(reports.len(), MAX_LISTED + 2, "replication, and the rest");
        let unlisted = unlisted(&recording, first).unwrap();
        assert_eq!(unlisted.sums.flows, Some(u64::from(many) - 1_001));
        let listed: u64 = reports.iter().map(|flow| flow.segments).sum();
        assert_eq!(listed + unlisted.sums.segments, segments);
        assert_eq!(unlisted.series[0].segments, 999);
        assert_eq!(unlisted.series.len(), 1_000);
    }

    #[test]
    fn flows_of_one_role_and_program_are_one_entry() {
        let mut recording = recording();
        let comms = ["app", "app", "postgres", "postgres"];
        for (flow, comm) in recording.flows.iter_mut().zip(comms) {
            flow.role.kind = Kind::Client;
            flow.process = Some(Process {
                pid: 7,
                comm: comm.to_owned(),
                title: None,
                program: None,
                own_pid: None,
            });
        }
        let all = by_role(&recording);
        let named = |comm: &str| {
            let found = all.iter().find(|one| one.comm.as_deref() == Some(comm));
            found.map(|one| (one.role, one.sums.flows, one.sums.segments))
        };
        assert_eq!(named("app"), Some((Kind::Client, Some(2), 50)));
        assert_eq!(named("postgres"), Some((Kind::Client, Some(2), 10)));
    }

    #[test]
    fn flows_that_are_kept_no_longer_are_still_in_every_sum() {
        let mut table = FlowTable::new(8);
        for port in 1..=20u16 {
            let mut slot = flow("10.0.0.1:1", "10.0.0.2:2", u64::from(port)).counters;
            slot.tuple.local_port = port;
            slot.tuple.remote_port = 5432;
            (slot.last_ns, slot.closed_ns) = (u64::from(port), 100 + u64::from(port));
            table.update(1_000 + u64::from(port), &[], &[slot]);
            table.make_room();
        }
        let mut recording = recording();
        let (flows, past) = Recording::flows_of(table, 1);
        assert!(flows.len() <= 8, "{}", flows.len());
        // The latest are kept.
        assert!(flows.iter().any(|one| one.local.port() == 20));
        (recording.flows, recording.past) = (flows, past);
        let segments = (1..=20).sum::<u64>() + 7;
        assert_eq!(selected(&recording).segments, segments);
        let of_all = |one: &PeerSums| (one.port, one.sums.flows, one.sums.segments);
        let all: Vec<_> = by_peer(&recording).iter().map(of_all).collect();
        assert_eq!(all[0], (Some(5432), Some(20), segments - 7));
        let first = put_listed_first(&mut recording.flows);
        let rest = unlisted(&recording, first).unwrap();
        let listed: u64 = recording
            .flows
            .iter()
            .map(|one| sum(&one.counters.segments))
            .sum();
        assert_eq!(listed + rest.sums.segments, segments - 7);
        let by_step: u64 = rest.series.iter().map(|one| one.segments).sum();
        assert_eq!(by_step, rest.sums.segments);
    }
}
