//! Whether what was retransmitted was lost at all: or what came from the other side was,
//! or nothing.

use tracer_ebpf::RetransmitKind;

use crate::evidence::loss_episode::{LOSSES, LossEpisode, loss_retransmits};
use crate::evidence::loss_times::LossTimes;
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
    /// Of a flow that has retransmitted something in these times because of losses, which were
    /// then; `acknowledged_late` if slow commits waited nearly all of their time for
    /// acknowledgements.
    pub(crate) fn of(
        track: &FlowHistory,
        times: &LossTimes,
        episodes: &[LossEpisode],
        acknowledged_late: bool,
    ) -> Self {
        let segments = times.segments(track, &LOSSES);
        let spurious = spurious(track, times);
        let out_of_order = out_of_order(track, times, episodes);
        // What says that it was spurious comes the way that replies come: where these are lost,
        // so is that, or something arrives out of order.
        let is_nearly_all = spurious as f64 >= NEARLY_ALL * segments as f64;
        let was_held = acknowledged_late && out_of_order == 0 && is_nearly_all;
        if was_held || were_early(track, times, spurious, out_of_order) {
            return Self::Nothing;
        }
        let steps = times.steps(track);
        let readings = steps.filter(|step| loss_retransmits(*step) > 0).count();
        if spurious as f64 >= MIN_DSACK_SHARE * segments as f64 {
            Self::Dsack(spurious)
        } else if out_of_order >= readings.max(MIN_OUT_OF_ORDER_READINGS)
            && !were_missing(track, times, spurious)
        {
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

/// What is retransmitted because acknowledgements showed a gap. Without an acknowledgement, none
/// shows one: where these are lost, timers retransmit.
const SHOWN_MISSING: [RetransmitKind; 2] = [RetransmitKind::Fast, RetransmitKind::Rack];

/// Whether acknowledgements showed more than half of it to be missing, and the peer did not say
/// that it had it: that was lost on its way there, whatever was on the way back.
fn were_missing(track: &FlowHistory, times: &LossTimes, spurious: u64) -> bool {
    let missing = times.segments(track, &SHOWN_MISSING);
    2 * missing.saturating_sub(spurious) > times.segments(track, &LOSSES)
}

/// How many of what was retransmitted the peer had already, by its own report.
fn spurious(track: &FlowHistory, times: &LossTimes) -> u64 {
    let readings = track.path.iter();
    let reported: Vec<(u64, u32)> = readings
        .filter_map(|one| Some((one.at_ns, one.dsack_dups?)))
        .collect();
    let pairs = reported.windows(2);
    let within = pairs.filter(|two| times.overlap(between(two[0].0, two[1].0)));
    let grown = within.map(|two| two[1].1.saturating_sub(two[0].1));
    grown.map(u64::from).sum()
}

/// In how many samples of these times something had arrived while what was sent before it
/// was missing. One that is lost may be missed by many, so that these do not count.
fn out_of_order(track: &FlowHistory, times: &LossTimes, episodes: &[LossEpisode]) -> usize {
    let pairs = track.path.windows(2);
    let grown = pairs.filter(|two| two[1].rcv_ooopack > two[0].rcv_ooopack);
    let during_loss = |at_ns| {
        let mut episodes = episodes.iter();
        episodes.any(|one| one.observed.from_ns < at_ns && at_ns <= one.extends_to_ns)
    };
    let within = grown.filter(|two| {
        during_loss(two[1].at_ns) && times.overlap(between(two[0].at_ns, two[1].at_ns))
    });
    within.count()
}

/// From one reading to the next.
const fn between(from_ns: u64, to_ns: u64) -> Span {
    Span { from_ns, to_ns }
}

/// Whether all of it was retransmitted too early: what acknowledges it took longer than
/// ever before, and came; or what was sent later had overtaken it, so that acknowledgements
/// showed a gap
/// ([RFC 8985, section 6.2](https://www.rfc-editor.org/rfc/rfc8985#section-6.2)).
fn were_early(track: &FlowHistory, times: &LossTimes, spurious: u64, out_of_order: usize) -> bool {
    let segments = times.segments(track, &LOSSES);
    let is_most = |part: u64, share: f64| part as f64 >= share * segments as f64;
    // Where nothing came through for so long that much was retransmitted, only that shows it:
    // the first acknowledgement afterwards was of what had been sent before.
    if silences(track).iter().any(|one| times.overlap(one.span)) {
        return is_most(spurious, NEARLY_ALL) && has_taken_longer(track, times);
    }
    let gaps_shown = times.segments(track, &SHOWN_MISSING);
    if is_most(gaps_shown, NEARLY_ALL) && is_most(spurious, MIN_OVERTAKEN_SHARE) {
        return true;
    }
    // Where something gets lost, the answer to a probe does now and then, too, and so does
    // what is sent along with it. Without either, a busy host took its time to answer.
    let only_probes = times.segments(track, &[RetransmitKind::Tlp]) == segments;
    if only_probes && out_of_order == 0 && is_most(spurious, MOST_PROBES) {
        return true;
    }
    if !is_most(spurious, NEARLY_ALL) {
        return false;
    }
    segments <= MAX_EARLY_RETRANSMITS || has_taken_longer(track, times)
}

/// Whether acknowledgements took much longer since something was retransmitted than the best
/// one.
fn has_taken_longer(track: &FlowHistory, times: &LossTimes) -> bool {
    let first = times.steps(track).find(|step| loss_retransmits(*step) > 0);
    let after = Span {
        from_ns: first.map_or(0, |step| step.at_ns),
        to_ns: u64::MAX,
    };
    let longer_ms = rtt::within_ms(track, after).zip(rtt::best_ms(track));
    longer_ms.is_some_and(|(now, best)| now >= best + MIN_RTT_GROWTH_MS)
}
