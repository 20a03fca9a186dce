//! A good part of what is sent to a peer is retransmitted.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

use tracer_ebpf::RetransmitKind;

use crate::diagnosis::rank::{Rank, Ranked};
use crate::evidence::Evidence;
use crate::evidence::thresholds::{HIGH_LOSING_SHARE, MIN_LOSING_SEGMENTS, MIN_LOSING_SHARE};
use crate::report::finding::{Cause, Confidence, Finding, Size};

/// More peers are not named.
const MOST_PEERS: usize = 3;
/// What is retransmitted on a connection that is open, because it seems lost. A tail loss probe is
/// sent before that is known.
const BECAUSE_OF_LOSS: [RetransmitKind; 4] = [
    RetransmitKind::Rto,
    RetransmitKind::Fast,
    RetransmitKind::Rack,
    RetransmitKind::SlowStart,
];

/// What went to one peer.
#[derive(Debug, Default)]
struct Losing {
    retransmitted: u64,
    /// The flow with the most of it, by its place, if it is listed.
    flow: Option<usize>,
}

/// One finding a peer, those of which most is retransmitted first.
pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Ranked> {
    let recorded = evidence.recorded;
    let flows = recorded.flows.iter().enumerate();
    let flows = flows.map(|(place, flow)| {
        let peer = flow.remote.ip();
        (peer, Some(place), &flow.counters.segments)
    });
    let groups = recorded.groups.each();
    let groups = groups.filter_map(|(key, group)| {
        let peer = key.port?.peer;
        Some((peer, None, &group.sum.segments))
    });
    let mut peers: BTreeMap<IpAddr, Losing> = BTreeMap::new();
    for (peer, place, segments) in flows.chain(groups) {
        let losing = peers.entry(peer).or_default();
        let kinds = BECAUSE_OF_LOSS.iter();
        losing.retransmitted += kinds.map(|kind| segments[*kind as usize]).sum::<u64>();
        losing.flow = losing.flow.or(place);
    }
    let losing = peers.into_iter().filter_map(|(peer, one)| {
        // Of replication other causes speak, who know what commits waited for.
        if one.retransmitted < MIN_LOSING_SEGMENTS || recorded.is_replication_peer(peer) {
            return None;
        }
        let sent = *recorded.sent.get(&peer)?;
        let share = one.retransmitted as f64 / sent.max(one.retransmitted) as f64;
        (share >= MIN_LOSING_SHARE).then_some((peer, one, sent, share))
    });
    let mut losing: Vec<_> = losing.collect();
    losing.sort_by_key(|(peer, one, ..)| (Reverse(one.retransmitted), *peer));
    losing.truncate(MOST_PEERS);
    let findings = losing
        .iter()
        .map(|(peer, one, sent, share)| one.finding(*peer, *sent, *share));
    findings.map(|one| Ranked::new(Rank::Note, one)).collect()
}

impl Losing {
    fn finding(&self, peer: IpAddr, sent: u64, share: f64) -> Finding {
        let flow = self.flow.map(|place| format!("/flows/{place}/by_kind"));
        Finding {
            text: format!(
                "Of {sent} segments sent to {peer}, {} were retransmitted ({:.1} %): they or their acknowledgements were lost, or very late. Whether commits waited because of this is not known.",
                self.retransmitted,
                100.0 * share
            ),
            cause: Cause::PeerLosing,
            confidence: match share >= HIGH_LOSING_SHARE {
                true => Confidence::High,
                false => Confidence::Medium,
            },
            size: Size {
                segments: Some(self.retransmitted),
                ..Size::default()
            },
            evidence: flow.into_iter().chain(["/by_peer".to_owned()]).collect(),
        }
    }
}
