//! Flows added up: those that the report lists, those that it does not, and those that had no
//! room of their own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::IpAddr;

use crate::assemble::flows::{step, without_room};
use crate::by_kind::sum;
use crate::recording::Recording;
use crate::recording::flow_groups;
use crate::recording::flow_sum::FlowSum;
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
    pub(super) sent: Option<BTreeMap<IpAddr, u64>>,
    pub(super) unlisted: Option<UnlistedFlows>,
}

impl Aggregates {
    /// Of a recording whose flows have their roles.
    pub(super) fn of(recording: &Recording) -> Self {
        let by_peer = by_peer(recording);
        Self {
            selected: selected(recording),
            sent: sent(recording, &by_peer),
            by_peer,
            by_role: by_role(recording),
            unlisted: unlisted(recording),
        }
    }
}

fn selected(recording: &Recording) -> Selected {
    let mut all = recording.groups.sum();
    let flows = recording.flows.iter();
    flows.for_each(|flow| all.add(&FlowSum::of(&flow.counters)));
    let mut all = sums(&all);
    if let Some(rest) = rest(recording) {
        add(&mut all, &rest);
    }
    Selected {
        segments: all.segments,
        events: all.events,
        bytes: all.bytes,
    }
}

/// What the flow table had no room for.
fn rest(recording: &Recording) -> Option<FlowSums> {
    let (segments, events, bytes) = without_room(recording)?;
    Some(FlowSums {
        flows: None,
        segments: sum(&segments),
        events,
        bytes,
        failed_segments: 0,
        by_kind: ByKind::from(segments),
    })
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

/// The flows that are not listed, as one.
fn unlisted(recording: &Recording) -> Option<UnlistedFlows> {
    let all = recording.groups.sum();
    let series = recording.groups.series();
    let clock = recording.run_clock();
    (all.flows > 0).then(|| UnlistedFlows {
        sums: sums(&all),
        series: series.values().map(|one| step(one, clock)).collect(),
    })
}

/// The sums by peer and port, most retransmitted segments first, then most flows.
fn by_peer(recording: &Recording) -> Vec<PeerSums> {
    let flows = recording.flows.iter();
    let flows = flows.map(|one| (one.local, one.remote, FlowSum::of(&one.counters)));
    let sums = flow_groups::by_peer(flows, &recording.groups);
    let sums = bounded(sums, rest(recording), None).into_iter();
    let sums = sums.map(|(key, sums)| PeerSums {
        peer: key.map(|key| key.peer),
        port: key.map(|key| key.port),
        port_of: key.map(PortOf::from),
        sums,
    });
    sums.collect()
}

/// Segments sent to these peers, as far as that is known; `None` if it is of none.
fn sent(recording: &Recording, by_peer: &[PeerSums]) -> Option<BTreeMap<IpAddr, u64>> {
    let peers = by_peer.iter().filter_map(|one| one.peer);
    let sent = peers.filter_map(|peer| Some((peer, *recording.sent.get(&peer)?)));
    let sent: BTreeMap<_, _> = sent.collect();
    (!sent.is_empty()).then_some(sent)
}

/// The sums by role and program, in the same order.
fn by_role(recording: &Recording) -> Vec<RoleSums> {
    let mut roles: HashMap<(Kind, Option<String>), FlowSum> = HashMap::new();
    let flows = recording.flows.iter().map(|flow| {
        let comm = flow.process.as_ref().map(|process| process.comm.clone());
        ((flow.kind(), comm), FlowSum::of(&flow.counters))
    });
    let groups = recording.groups.each();
    let groups = groups.map(|(key, group)| ((key.kind, key.comm.clone()), group.sum));
    for (role, sum) in flows.chain(groups) {
        roles.entry(role).or_default().add(&sum);
    }
    let sums = bounded(roles, rest(recording), (Kind::Other, None));
    let sums = sums
        .into_iter()
        .map(|((role, comm), sums)| RoleSums { role, comm, sums });
    sums.collect()
}

/// In order, and at most [`MAX_SUMS`] of them: what is beyond is added to those of `others`, and
/// so is what had no room in the flow table.
fn bounded<K: Eq + Hash + Ord>(
    all: HashMap<K, FlowSum>,
    rest: Option<FlowSums>,
    others: K,
) -> Vec<(K, FlowSums)> {
    let mut all: Vec<_> = all.into_iter().map(|(key, of)| (key, sums(&of))).collect();
    in_order(&mut all);
    let beyond = match all.len() > MAX_SUMS {
        true => all.split_off(MAX_SUMS - 1),
        false => Vec::new(),
    };
    let beyond = beyond.into_iter().map(|(_, sums)| sums).chain(rest);
    let beyond = beyond.reduce(|mut all, more| {
        add(&mut all, &more);
        all
    });
    if let Some(beyond) = beyond {
        match all.iter_mut().find(|(key, _)| *key == others) {
            Some((_, sums)) => add(sums, &beyond),
            None => all.push((others, beyond)),
        }
        in_order(&mut all);
    }
    all
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
    use std::net::SocketAddr;
    use std::sync::Arc;

    use tracer_ebpf::{Flow, RetransmitKind, Totals};

    use super::*;
    use crate::assemble::flows::listed;
    use crate::recording::flow_history::FlowHistory;
    use crate::recording::flow_table::FlowTable;
    use crate::recording::namespace::NamespaceCounts;
    use crate::recording::peers::ReplicationPeer;
    use crate::recording::roles::Known;
    use crate::report::aggregate::MAX_LISTED;
    use crate::report::process::Process;

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

    /// A slot of a flow with that peer that retransmitted 30 segments.
    fn slot(remote: &str, closed_ns: u64) -> Flow {
        let mut slot = flow("10.0.0.1:5432", remote, 30).counters;
        let socket: SocketAddr = remote.parse().unwrap();
        let IpAddr::V4(address) = socket.ip() else {
            panic!("{remote}");
        };
        slot.tuple.remote = address.to_ipv6_mapped().octets();
        (slot.tuple.local_port, slot.tuple.remote_port) = (5432, socket.port());
        (slot.last_ns, slot.closed_ns) = (7, closed_ns);
        slot
    }

    #[test]
    fn what_is_beyond_the_bounds_is_in_the_sums() {
        let many = u16::try_from(4 * MAX_LISTED).unwrap();
        let slots: Vec<_> = (1..=many)
            .map(|number| {
                let [high, low] = number.to_be_bytes();
                slot(&format!("10.1.{high}.{low}:40000"), 0)
            })
            .collect();
        let mut table = FlowTable::default();
        table.update(1, &slots[..1_000], &[]);
        table.update(2, &slots, &[]);
        // Of flows that are alike, replication is listed.
        let standby = ReplicationPeer {
            pid: 7,
            name: "db2".to_owned(),
            sends: true,
        };
        let address: SocketAddr = "10.1.7.200:40000".parse().unwrap();
        let known = Known {
            peers: Arc::new([((address.ip(), address.port()), standby)].into()),
            ..Known::default()
        };
        let mut recording = recording();
        (recording.flows, recording.groups) = Recording::flows_of(table, &known, 1);
        let segments = u64::from(many) * 30 + 7;

        let all = by_peer(&recording);
        assert_eq!(all.len(), MAX_SUMS - 1);
        assert_eq!(all[0].peer, None, "what is beyond is the most");
        assert_eq!(
            all.iter().map(|one| one.sums.segments).sum::<u64>(),
            segments
        );
        let counted: u64 = all.iter().filter_map(|one| one.sums.flows).sum();
        assert_eq!(counted, u64::from(many));

        let reports = listed(&recording);
        assert_eq!(reports.len(), MAX_LISTED + 2, "replication, and the rest");
        assert_eq!(recording.flows.last().unwrap().remote, address);
        let unlisted = unlisted(&recording).unwrap();
        let are_not = u64::from(many) - MAX_LISTED as u64 - 1;
        assert_eq!(unlisted.sums.flows, Some(are_not));
        let listed: u64 = reports.iter().map(|flow| flow.segments).sum();
        assert_eq!(listed + unlisted.sums.segments, segments);
        let steps: Vec<_> = unlisted.series.iter().map(|one| one.segments).collect();
        assert_eq!(steps, [500 * 30, (are_not - 500) * 30]);
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
    fn segments_that_were_sent_are_those_to_the_peers_that_are_listed() {
        let mut recording = recording();
        assert_eq!(Aggregates::of(&recording).sent, None);
        let peer = |last: u8| IpAddr::from([10, 0, 0, last]);
        recording.sent = [(peer(2), 900), (peer(9), 5)].into();
        let sent = Aggregates::of(&recording).sent.unwrap();
        assert_eq!(sent, BTreeMap::from([(peer(2), 900)]));
    }

    #[test]
    fn flows_that_are_kept_no_longer_are_still_in_every_sum() {
        let mut table = FlowTable::default();
        let known = Known::default();
        let many = 3 * MAX_LISTED as u64;
        for number in 1..=many {
            let mut slot = slot(&format!("10.0.0.2:{number}"), 100 + number);
            slot.segments[RetransmitKind::Rto as usize] = number;
            table.make_room(&known);
            table.update(1_000 + number, &[], &[slot]);
        }
        let mut recording = recording();
        (recording.flows, recording.groups) = Recording::flows_of(table, &known, 1);
        assert_eq!(recording.flows.len(), MAX_LISTED);
        let least = recording.flows.last().unwrap();
        let those_with_most = many + 1 - MAX_LISTED as u64;
        assert_eq!(sum(&least.counters.segments), those_with_most);
        let segments = (1..=many).sum::<u64>() + 7;
        assert_eq!(selected(&recording).segments, segments);
        let of_all = |one: &PeerSums| (one.port, one.sums.flows, one.sums.segments);
        let all: Vec<_> = by_peer(&recording).iter().map(of_all).collect();
        assert_eq!(all[0], (Some(5432), Some(many), segments - 7));
        recording.assign_roles();
        let clients = &by_role(&recording)[0];
        assert_eq!(
            (clients.role, clients.sums.flows),
            (Kind::Client, Some(many))
        );
        let rest = unlisted(&recording).unwrap();
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
