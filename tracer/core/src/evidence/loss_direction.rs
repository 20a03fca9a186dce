//! Whether what was retransmitted was lost at all: or what came from the other side was,
//! or nothing.

use tracer_ebpf::RetransmitKind;

use crate::evidence::loss_episode::{LossEpisode, loss_retransmits, of_kinds};
use crate::evidence::rtt;
use crate::evidence::silence::silences;
use crate::evidence::thresholds::{
    MAX_EARLY_RETRANSMITS, MIN_DSACK_SHARE, MIN_OUT_OF_ORDER_READINGS, MIN_OVERTAKEN_SHARE,
    MIN_RTT_GROWTH_MS, MOST_PROBES, NEARLY_ALL,
};
use crate::interval::Span;
use crate::recording::flow_history::FlowHistory;

/// What was lost of what a flow retransmitted, and of the answers to it.
pub(crate) enum LossDirection {
    /// It was itself lost.
    Sent,
    /// What came from the other side was lost, though the other side had so many of the
    /// retransmitted segments already.
    Dsack(u64),
    /// What came from the other side was lost: in so many samples it had gaps.
    OutOfOrder(usize),
    /// Nothing was: it was late.
    Nothing,
}

impl LossDirection {
    /// Of a flow that has retransmitted so many segments because of losses, at these times;
    /// `acknowledged_late` if slow commits waited nearly all of their time for acknowledgements.
    pub(crate) fn of(
        track: &FlowHistory,
        segments: u64,
        episodes: &[LossEpisode],
        acknowledged_late: bool,
    ) -> Self {
        let (spurious, out_of_order) = (spurious(track), out_of_order(track, episodes));
        // What says that it was spurious comes the way that replies come: where these are lost,
        // so is that, or something arrives out of order.
        let is_nearly_all = spurious as f64 >= NEARLY_ALL * segments as f64;
        let was_held = acknowledged_late && out_of_order == 0 && is_nearly_all;
        if was_held || were_early(track, segments, spurious, out_of_order) {
            return Self::Nothing;
        }
        let series = track.series.iter();
        let readings = series.filter(|step| loss_retransmits(*step) > 0).count();
        if spurious as f64 >= MIN_DSACK_SHARE * segments as f64 {
            Self::Dsack(spurious)
        } else if out_of_order >= readings.max(MIN_OUT_OF_ORDER_READINGS) {
            Self::OutOfOrder(out_of_order)
        } else {
            Self::Sent
        }
    }

    /// What shows that it is the other one, as a clause on the peer.
    pub(crate) fn reversed_words(&self) -> Option<String> {
        match self {
            Self::Dsack(spurious) => Some(format!(
                "while that host reported {spurious} segments received twice (D-SACK)"
            )),
            Self::OutOfOrder(readings) => Some(format!(
                "while segments from there arrived out of order in {readings} samples"
            )),
            Self::Sent | Self::Nothing => None,
        }
    }
}

/// How many of what was retransmitted the peer had already, by its own report.
fn spurious(track: &FlowHistory) -> u64 {
    let mut reported = track.path.iter().filter_map(|one| one.dsack_dups);
    let first = reported.next().unwrap_or(0);
    u64::from(reported.next_back().unwrap_or(first).saturating_sub(first))
}

/// In how many samples of these times something had arrived while what was sent before it
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

/// Whether all of it was retransmitted too early: what acknowledges it took longer than
/// ever before, and came; or what was sent later had overtaken it, so that acknowledgements
/// showed a gap
/// ([RFC 8985, section 6.2](https://www.rfc-editor.org/rfc/rfc8985#section-6.2)).
fn were_early(track: &FlowHistory, segments: u64, spurious: u64, out_of_order: usize) -> bool {
    let is_most = |part: u64, share: f64| part as f64 >= share * segments as f64;
    // Where nothing came through for so long that much was retransmitted, only that shows it:
    // the first acknowledgement afterwards was of what had been sent before.
    if !silences(track).is_empty() {
        return is_most(spurious, NEARLY_ALL) && has_taken_longer(track);
    }
    // Without an acknowledgement, none shows a gap: where these are lost, timers retransmit.
    let gaps_shown = of_kinds(track, &[RetransmitKind::Fast, RetransmitKind::Rack]);
    if is_most(gaps_shown, NEARLY_ALL) && is_most(spurious, MIN_OVERTAKEN_SHARE) {
        return true;
    }
    // Where something gets lost, the answer to a probe does now and then, too, and so does
    // what is sent along with it. Without either, a busy host took its time to answer.
    let only_probes = of_kinds(track, &[RetransmitKind::Tlp]) == segments;
    if only_probes && out_of_order == 0 && is_most(spurious, MOST_PROBES) {
        return true;
    }
    if !is_most(spurious, NEARLY_ALL) {
        return false;
    }
    segments <= MAX_EARLY_RETRANSMITS || has_taken_longer(track)
}

/// Whether acknowledgements took much longer since something was retransmitted than the best
/// one.
fn has_taken_longer(track: &FlowHistory) -> bool {
    let first = track.series.iter().find(|step| loss_retransmits(*step) > 0);
    let after = Span {
        from_ns: first.map_or(0, |step| step.at_ns),
        to_ns: u64::MAX,
    };
    let longer_ms = rtt::within_ms(track, after).zip(rtt::best_ms(track));
    longer_ms.is_some_and(|(now, best)| now >= best + MIN_RTT_GROWTH_MS)
}
