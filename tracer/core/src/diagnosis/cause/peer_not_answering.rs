//! Nobody answers at a service that this host connects to.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};

use crate::diagnosis::rank::{Rank, Ranked};
use crate::evidence::Evidence;
use crate::evidence::thresholds::{FIRST_SYN_S, MIN_LOST_SEGMENTS, SURELY_UNANSWERED};
use crate::recording::flow_history::FlowHistory;
use crate::recording::unanswered::Unanswered;
use crate::report::finding::{Cause, Confidence, Finding, Size};

/// More services are not named.
const MOST_SERVICES: usize = 3;

/// One finding a service, those with the most segments first.
pub(super) fn findings(evidence: &Evidence<'_>, found: &[Ranked]) -> Vec<Ranked> {
    let recorded = evidence.recorded;
    // Where it answers others, what became of these connections is not known.
    let Some(answered) = &recorded.answered else {
        return Vec::new();
    };
    let mut answers = recorded.groups.answers().clone();
    for flow in &recorded.flows {
        answers.add(flow.remote, &flow.counters, flow.heard_ns);
    }
    for (service, at_ns) in answered {
        answers.hear(*service, *at_ns);
    }
    // Where the path to a standby is cut, that is what there is to say of its host.
    let is_cut = |peer: IpAddr| {
        let cut = found
            .iter()
            .any(|one| one.finding.cause == Cause::Partition);
        cut && recorded.is_replication_peer(peer)
    };
    let silent = answers.silent();
    let mut silent: Vec<_> = silent
        .filter(|(service, one)| one.segments >= MIN_LOST_SEGMENTS && !is_cut(service.ip()))
        .collect();
    silent.sort_by_key(|(service, one)| (Reverse(one.segments), *service));
    silent.truncate(MOST_SERVICES);
    // Where some flows are not known one by one, there may be more.
    let is_all = recorded.saw_every_flow() && answers.is_complete();
    let findings = silent.iter().map(|(service, one)| {
        let is_one = |flow: &FlowHistory| {
            flow.remote == *service && Unanswered::of(&flow.counters, flow.heard_ns).is_some()
        };
        let place = recorded.flows.iter().position(is_one);
        Ranked::new(Rank::Note, finding(*service, one, is_all, place))
    });
    findings.collect()
}

fn syns(count: u64) -> String {
    match count {
        1 => "1 SYN".to_owned(),
        some => format!("{some} SYNs"),
    }
}

/// Of a service, whose first connection among the flows has that place.
fn finding(service: SocketAddr, all: &Unanswered, is_all: bool, place: Option<usize>) -> Finding {
    let at_least = if is_all { "" } else { "at least " };
    let connections = match all.connections {
        1 => "1 connection".to_owned(),
        many => format!("{many} connections"),
    };
    let silent_s = all.last_ns.saturating_sub(all.first_ns) as f64 / 1e9 + FIRST_SYN_S;
    let verb = match all.is_going_on {
        true => "does",
        false => "did",
    };
    let listed = place.map(|place| format!("/flows/{place}/by_kind/syn"));
    Finding {
        text: format!(
            "{service} {verb} not answer: {at_least}{connections}, {} retransmitted in {silent_s:.0} s, and nothing came back. Its host or the service is down, or the path or a firewall discards what is sent in one direction.",
            syns(all.segments)
        ),
        cause: Cause::PeerNotAnswering,
        confidence: match all.segments >= SURELY_UNANSWERED {
            true => Confidence::High,
            false => Confidence::Medium,
        },
        size: Size {
            duration_s: Some(silent_s),
            segments: Some(all.segments),
            silent_s: Some(silent_s),
            ..Size::default()
        },
        evidence: listed.into_iter().chain(["/by_peer".to_owned()]).collect(),
    }
}
