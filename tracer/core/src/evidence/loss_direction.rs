//! Whether what was retransmitted was lost at all: or what came from the other side was,
//! or nothing.

use tracer_ebpf::RetransmitKind;

use crate::evidence::loss_episode::{LossEpisode, loss_retransmits};
use crate::evidence::rtt;
use crate::evidence::thresholds::{
    MAX_EARLY_RETRANSMITS, MIN_DSACK_SHARE, MIN_OUT_OF_ORDER_READINGS, MIN_OVERTAKEN_SHARE,
    MIN_RTT_GROWTH_MS, NEARLY_ALL,
};
use crate::interval::Span;
use crate::recording::flow_history::FlowHistory;

/// What tells that it was not what was sent again that was lost, but what came from the
/// other side.
pub(crate) enum Reversed {
    /// It had so many of them.
    Dsack(u64),
    /// What it sent itself had gaps.
    OutOfOrder(usize),
}

impl Reversed {
    /// What shows it, as a clause on the peer.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Dsack(spurious) => {
                format!("though at least {spurious} of them had arrived there already (D-SACK)")
            }
            Self::OutOfOrder(readings) => {
                format!("while segments from there arrived out of order in {readings} samples")
            }
        }
    }
}

/// Nothing does where it is what was sent again that was lost.
pub(crate) fn reversed(
    track: &FlowHistory,
    segments: u64,
    episodes: &[LossEpisode],
) -> Option<Reversed> {
    let (spurious, out_of_order) = (spurious(track), out_of_order(track, episodes));
    let readings = track
        .series
        .iter()
        .filter(|step| loss_retransmits(step) > 0)
        .count();
    if spurious as f64 >= MIN_DSACK_SHARE * segments as f64 {
        Some(Reversed::Dsack(spurious))
    } else if out_of_order >= readings.max(MIN_OUT_OF_ORDER_READINGS) {
        Some(Reversed::OutOfOrder(out_of_order))
    } else {
        None
    }
}

/// Whether the kernel only asked whether what it had sent was lost.
fn only_probes(track: &FlowHistory) -> bool {
    of_kind(track, RetransmitKind::Tlp) == track.series.iter().map(loss_retransmits).sum::<u64>()
}

fn of_kind(track: &FlowHistory, kind: RetransmitKind) -> u64 {
    let steps = track.series.iter();
    steps.map(|step| step.segments[kind as usize]).sum()
}

/// How many of what was sent again the peer had already, as it said itself.
fn spurious(track: &FlowHistory) -> u64 {
    let mut told = track.path.iter().filter_map(|one| one.dsack_dups);
    let first = told.next().unwrap_or(0);
    u64::from(told.next_back().unwrap_or(first).saturating_sub(first))
}

/// At how many looks of these times something had arrived while what was sent before it
/// was missing. One that is lost may be missed by many, so that these do not count.
fn out_of_order(track: &FlowHistory, episodes: &[LossEpisode]) -> usize {
    let pairs = track.path.windows(2);
    let grown = pairs.filter(|two| two[1].rcv_ooopack > two[0].rcv_ooopack);
    let within = |at_ns| {
        let mut episodes = episodes.iter();
        episodes.any(|one| one.observed.from_ns < at_ns && at_ns <= one.extends_to_ns)
    };
    grown.filter(|two| within(two[1].at_ns)).count()
}

/// Whether all of it was sent again too early: what acknowledges it took longer than
/// ever before, and came; or what was sent later had overtaken it, so that acknowledgements
/// showed a gap
/// ([RFC 8985, section 6.2](https://www.rfc-editor.org/rfc/rfc8985#section-6.2)).
pub(crate) fn were_early(track: &FlowHistory, segments: u64, episodes: &[LossEpisode]) -> bool {
    let gaps_shown: u64 = [RetransmitKind::Fast, RetransmitKind::Rack]
        .into_iter()
        .map(|kind| of_kind(track, kind))
        .sum();
    // Without an acknowledgement, none shows a gap: where these are lost, timers send again.
    if gaps_shown as f64 >= NEARLY_ALL * segments as f64
        && spurious(track) as f64 >= MIN_OVERTAKEN_SHARE * segments as f64
    {
        return true;
    }
    if (spurious(track) as f64) < NEARLY_ALL * segments as f64 {
        return false;
    }
    // Where something gets lost, the answer to a probe does now and then, too, and so
    // does what comes beside it. Without either, a busy host took its time to answer.
    if only_probes(track) && out_of_order(track, episodes) == 0 {
        return true;
    }
    let begun_ns = track.series.iter().find(|step| loss_retransmits(step) > 0);
    let after = Span {
        from_ns: begun_ns.map_or(0, |step| step.at_ns),
        to_ns: u64::MAX,
    };
    let longer_ms = rtt::within_ms(track, after).zip(rtt::best_ms(track));
    segments <= MAX_EARLY_RETRANSMITS
        || longer_ms.is_some_and(|(now, best)| now >= best + MIN_RTT_GROWTH_MS)
}
