//! Nothing at all comes through between primary and standby.

use crate::diagnosis::rank::{Rank, Ranked};
use crate::evidence::loss::{FarEnd, LossSignal};
use crate::evidence::thresholds::SURELY_UNANSWERED;
use crate::evidence::{DuringLoss, Evidence};
use crate::report::finding::{Cause, Confidence, Finding, Size};
use crate::text;

pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Ranked> {
    evidence
        .significant_losses()
        .filter_map(|(loss, during)| of_loss(evidence, loss, during))
        .collect()
}

fn of_loss(evidence: &Evidence<'_>, loss: &LossSignal, during: &DuringLoss<'_>) -> Option<Ranked> {
    let (waiting, cut) = (&during.waiting, during.partition?);
    let track = evidence.recorded.flows.get(cut.flow)?;
    let peer = FarEnd::of(track);
    let unanswered = cut.longest.unanswered;
    let silent_s = cut.longest.span.seconds();
    let (long, what) = match cut.times {
        1 => (
            format!("{silent_s:.1} s"),
            "The path was cut, or the host at its other end was down.",
        ),
        times => (
            format!("up to {silent_s:.1} s, {times} times in all"),
            "Each time the path was cut or held everything up, or the host at its other end was down.",
        ),
    };
    let finding = Finding {
        text: format!(
            "Commits waited for {} because nothing came through from {} for {long}: {} retransmitted to it without an answer, {}. {what}",
            peer.standby(),
            peer.pronoun(),
            text::segments_were(unanswered),
            waiting.during()
        ),
        cause: Cause::Partition,
        confidence: match unanswered >= SURELY_UNANSWERED {
            true => waiting.confidence(),
            false => waiting.confidence().min(Confidence::Medium),
        },
        size: Size {
            silent_s: Some(silent_s),
            segments: Some(unanswered),
            rto_doublings: track.backoff_max,
            rto_max_ms: track.rto_max_ms,
            ..waiting.size()
        },
        evidence: waiting.evidence(
            ["path/series", "segments", "by_kind", "series"]
                .map(|field| format!("/flows/{}/{field}", cut.flow)),
        ),
    };
    let rank = Rank::WaitedForSegments(waiting.waited_s, loss.segments);
    Some(Ranked::new(rank, finding))
}
