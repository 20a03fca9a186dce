//! Nobody answers at a service that this host connects to.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use tracer_ebpf::RetransmitKind;

use crate::diagnosis::rank::{Rank, Ranked};
use crate::evidence::Evidence;
use crate::evidence::thresholds::{FIRST_SYN_S, MIN_LOST_SEGMENTS, SURELY_UNANSWERED};
use crate::recording::flow_history::FlowHistory;
use crate::report::aggregate::MAX_LISTED;
use crate::report::finding::{Cause, Confidence, Finding, Size};

/// More services are not named.
const MOST_SERVICES: usize = 3;

/// Connections to one service that nobody answered.
#[derive(Debug, Default)]
struct Unanswered {
    connections: u64,
    segments: u64,
    first_ns: u64,
    last_ns: u64,
    /// Whether one of them still waits.
    is_going_on: bool,
    /// The place of the first of them among the flows.
    flow: usize,
}

/// One finding a service, those with the most segments first.
pub(super) fn findings(evidence: &Evidence<'_>, found: &[Ranked]) -> Vec<Ranked> {
    let mut services: BTreeMap<SocketAddr, Unanswered> = BTreeMap::new();
    let flows = &evidence.recorded.flows;
    for (place, flow) in flows
        .iter()
        .enumerate()
        .filter(|(_, one)| is_unanswered(one))
    {
        let (first_ns, last_ns) = (flow.counters.first_ns, flow.counters.last_ns);
        let service = services.entry(flow.remote).or_insert_with(|| Unanswered {
            first_ns,
            flow: place,
            ..Unanswered::default()
        });
        service.connections += 1;
        service.segments += all(flow);
        service.first_ns = service.first_ns.min(first_ns);
        service.last_ns = service.last_ns.max(last_ns);
        service.is_going_on |= flow.counters.closed_ns == 0;
    }
    // Where it answers others, what became of these connections is not known.
    let Some(answered) = &evidence.recorded.answered else {
        return Vec::new();
    };
    let open = flows
        .iter()
        .filter_map(|flow| Some((flow.remote, heard_ns(flow)?)));
    for (service, at_ns) in open.chain(answered.iter().map(|(service, at_ns)| (*service, *at_ns))) {
        if services
            .get(&service)
            .is_some_and(|one| at_ns > one.first_ns)
        {
            services.remove(&service);
        }
    }
    // Where the path to a standby is cut, that is what there is to say of its host.
    let is_cut = |peer: IpAddr| {
        let cut = found
            .iter()
            .any(|one| one.finding.cause == Cause::Partition);
        cut && evidence.recorded.is_replication_peer(peer)
    };
    let mut services: Vec<_> = services
        .into_iter()
        .filter(|(service, one)| one.segments >= MIN_LOST_SEGMENTS && !is_cut(service.ip()))
        .collect();
    services.sort_by_key(|(service, one)| (Reverse(one.segments), *service));
    services.truncate(MOST_SERVICES);
    // Where some flows are not known one by one, there may be more.
    let is_all = evidence.recorded.knows_every_flow();
    let findings = services
        .iter()
        .map(|(service, one)| one.finding(*service, is_all));
    findings.map(|one| Ranked::new(Rank::Note, one)).collect()
}

impl Unanswered {
    fn finding(&self, service: SocketAddr, is_all: bool) -> Finding {
        let at_least = if is_all { "" } else { "at least " };
        let connections = match self.connections {
            1 => "1 connection".to_owned(),
            many => format!("{many} connections"),
        };
        let silent_s = self.last_ns.saturating_sub(self.first_ns) as f64 / 1e9 + FIRST_SYN_S;
        let verb = match self.is_going_on {
            true => "does",
            false => "did",
        };
        let listed = (self.flow < MAX_LISTED).then(|| format!("/flows/{}/by_kind/syn", self.flow));
        Finding {
            text: format!(
                "{service} {verb} not answer: {at_least}{connections}, {} SYN retransmitted in {silent_s:.0} s, and nothing came back. Its host or the service is down, or the path or a firewall discards what is sent in one direction.",
                self.segments
            ),
            cause: Cause::PeerNotAnswering,
            confidence: match self.segments >= SURELY_UNANSWERED {
                true => Confidence::High,
                false => Confidence::Medium,
            },
            size: Size {
                duration_s: Some(silent_s),
                segments: Some(self.segments),
                silent_s: Some(silent_s),
                ..Size::default()
            },
            evidence: listed.into_iter().chain(["/by_peer".to_owned()]).collect(),
        }
    }
}

fn all(flow: &FlowHistory) -> u64 {
    flow.counters.segments.iter().sum()
}

/// Whether nothing but its SYN was retransmitted, more than once, and nothing came back.
fn is_unanswered(flow: &FlowHistory) -> bool {
    let counters = &flow.counters;
    let of = |kind: RetransmitKind| counters.segments[kind as usize];
    // A hit that the kernel does not show is of no kind, and a SYN as well if others are.
    of(RetransmitKind::Syn) > 0
        && of(RetransmitKind::Syn) + of(RetransmitKind::Other) == all(flow)
        && all(flow) > 1
        && counters.srtt_us == 0
        && counters.resets_received == 0
        && heard_ns(flow).is_none()
}

/// When its peer was last heard from, as far as that is known.
fn heard_ns(flow: &FlowHistory) -> Option<u64> {
    let answered_ns = Some(flow.counters.answered_ns).filter(|at_ns| *at_ns != 0);
    flow.heard_ns.max(answered_ns)
}
