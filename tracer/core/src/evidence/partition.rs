//! Where nothing came through at all: what loses lets some through.

use tracer_ebpf::RetransmitKind;

use crate::evidence::blocked::SampleInterval;
use crate::evidence::loss::LossSignal;
use crate::evidence::loss_episode::loss_retransmits;
use crate::evidence::silence::Silence;
use crate::evidence::thresholds::{
    MIN_OUT_OF_ORDER_READINGS, MIN_PARTITION_SHARE, MIN_POSSIBLE_PARTITION_SHARE, MIN_UNANSWERED,
};
use crate::interval::Span;
use crate::recording::Recording;
use crate::recording::flow_history::FlowHistory;
use crate::recording::flow_interval::FlowInterval;

/// The connection on which nothing arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SilentPath {
    pub(crate) flow: usize,
    pub(crate) longest: Silence,
    /// How many silences there were.
    pub(crate) times: usize,
    /// How much of the time in which commits waited was silent, 0 to 1.
    share: f64,
    /// Whether all that its connection retransmitted belongs to such silences, and nothing else
    /// was missing: what is lost in one is retransmitted after it, too.
    is_all: bool,
}

/// Every silence has few segments without an answer at least.
const ANY: u64 = 0;

/// Whether nothing came through for nearly all of these times; or, where too little was
/// retransmitted meanwhile, for most of them, and nothing was retransmitted otherwise: what
/// loses some of all does so before and afterwards, too.
pub(crate) fn partition(
    recorded: &Recording,
    loss: &LossSignal,
    intervals: &[SampleInterval<'_>],
) -> Option<SilentPath> {
    let surely = silent(recorded, loss, intervals, MIN_UNANSWERED);
    let surely = surely.filter(|found| found.share >= MIN_PARTITION_SHARE);
    surely.or_else(|| {
        let found = silent(recorded, loss, intervals, ANY)?;
        (found.share >= MIN_POSSIBLE_PARTITION_SHARE && found.is_all).then_some(found)
    })
}

/// For how long nothing arrived, s, where that was for most of these times, and too little
/// was retransmitted to tell a path that is cut from one that loses.
pub(crate) fn possible_partition_s(
    recorded: &Recording,
    loss: &LossSignal,
    intervals: &[SampleInterval<'_>],
) -> Option<f64> {
    let found = silent(recorded, loss, intervals, ANY)?;
    let silent_s = found.longest.span.seconds();
    (found.share >= MIN_POSSIBLE_PARTITION_SHARE).then_some(silent_s)
}

/// The flow on which most was retransmitted without an answer.
fn silent(
    recorded: &Recording,
    loss: &LossSignal,
    intervals: &[SampleInterval<'_>],
    min_unanswered: u64,
) -> Option<SilentPath> {
    let (flow, silences) = loss
        .silences()
        .map(|(flow, all)| {
            let long = all.iter().filter(|one| one.unanswered >= min_unanswered);
            (flow, long.collect::<Vec<_>>())
        })
        .max_by_key(|(_, silences)| silences.iter().map(|one| one.unanswered).sum::<u64>())?;
    let longest = **silences.iter().max_by_key(|one| one.span.length_ns())?;
    // What arrives with a bad checksum arrives.
    let track = recorded.flows.get(flow)?;
    let peer = track.remote.ip();
    let mut corrupted = recorded.bad_checksums.iter().flatten();
    if corrupted.any(|step| longest.span.has(step.at_ns) && step.is_from(peer)) {
        return None;
    }
    // Between two readings something may have come through.
    let is_one_trouble = silences.len() == 1 || silences.iter().all(|one| one.is_exact);
    let silent = silences.iter().map(|one| match one.is_exact {
        true => until_tried_again(track, one),
        false => one.span,
    });
    let silent = Span::apart(silent.collect());
    let all_ns: u64 = intervals.iter().map(|one| one.span.length_ns()).sum();
    let silent_ns: u64 = intervals
        .iter()
        .map(|one| one.span.covered_ns(&silent))
        .sum();
    Some(SilentPath {
        flow,
        longest,
        times: silences.len(),
        share: silent_ns as f64 / all_ns as f64,
        is_all: is_one_trouble && are_all_near(track, &silences) && !has_gaps(track),
    })
}

/// Whether nothing was retransmitted but in these silences, and until the kernel had recovered
/// from each.
fn are_all_near(track: &FlowHistory, silences: &[&Silence]) -> bool {
    let near: Vec<Span> = silences
        .iter()
        .map(|silence| until_recovered(track, silence))
        .collect();
    let mut steps = track.series.iter();
    steps.all(|step| {
        // What was retransmitted up to the reading after which nothing arrived may be its
        // beginning.
        let is_near = |span: &Span| (span.from_ns..=span.to_ns).contains(&step.at_ns);
        loss_retransmits(step) == 0 || near.iter().any(is_near) || was_spurious(track, step)
    })
}

/// Whether something arrived again and again while what was sent before it was missing: that a
/// path loses which lets the rest through.
fn has_gaps(track: &FlowHistory) -> bool {
    let pairs = track.path.windows(2);
    let grown = pairs.filter(|two| two[1].rcv_ooopack > two[0].rcv_ooopack);
    grown.count() >= MIN_OUT_OF_ORDER_READINGS
}

/// A silence, and what follows it until the sender has tried again: the path may be back for as
/// long as it was away before the doubled timeout is over.
fn until_tried_again(track: &FlowHistory, silence: &Silence) -> Span {
    let Span { from_ns, to_ns } = silence.span;
    Span {
        from_ns,
        to_ns: until_recovered(track, silence)
            .to_ns
            .min(to_ns.saturating_add(to_ns - from_ns)),
    }
}

/// Whether an interval has nothing but probes, and the peer said within the next that it had what
/// they brought: a busy host took its time to answer.
fn was_spurious(track: &FlowHistory, step: FlowInterval) -> bool {
    let readings = &track.path;
    let at = readings.partition_point(|one| one.at_ns < step.at_ns);
    let after = readings.partition_point(|one| one.at_ns <= step.at_ns);
    let dsack_dups = |index: usize| readings.get(index)?.dsack_dups;
    let before = at.checked_sub(1).and_then(dsack_dups);
    let known = before.zip(dsack_dups(after));
    let told = known.map_or(0, |(before, after)| after.saturating_sub(before));
    step.of_kinds(&[RetransmitKind::Tlp]) == loss_retransmits(step)
        && u64::from(told) >= loss_retransmits(step)
}

/// A silence, and what follows it until the first reading that shows no recovery; where a timer
/// retransmits twice until then, only until something had arrived: once a path is back, the first
/// retransmit gets through.
fn until_recovered(track: &FlowHistory, silence: &Silence) -> Span {
    let readings = track.path.iter();
    let mut after = readings.filter(|one| one.at_ns > silence.span.to_ns);
    let ended_ns = after.clone().next().map_or(u64::MAX, |one| one.at_ns);
    let recovered = after.find(|one| one.recovering != Some(true));
    let recovered_ns = recovered.map_or(u64::MAX, |one| one.at_ns);
    let later = Span {
        from_ns: ended_ns,
        to_ns: recovered_ns,
    };
    let steps = track.series.iter().filter(|step| later.has(step.at_ns));
    let timeouts: u64 = steps
        .map(|step| step.of_kinds(&[RetransmitKind::Rto]))
        .sum();
    Span {
        to_ns: if timeouts > 1 { ended_ns } else { recovered_ns },
        ..silence.span
    }
}
