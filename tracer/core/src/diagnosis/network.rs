//! What loss and bad checksums have in common: the finding of commits that waited
//! meanwhile.

use crate::diagnosis::rank::{Rank, Ranked};
use crate::evidence::Evidence;
use crate::evidence::links::Link;
use crate::evidence::loss::LossSignal;
use crate::evidence::waiting::Waiting;
use crate::report::finding::{Confidence, Finding, Size};

/// Commits waited while the network failed the standby. `silent_s`: for how long nothing at
/// all arrived, if the path may have been cut.
pub(super) fn during_loss(
    evidence: &Evidence<'_>,
    loss: &LossSignal,
    waiting: &Waiting<'_>,
    silent_s: Option<f64>,
) -> Ranked {
    let doubt = silent_s.map_or_else(String::new, |silent_s| {
        format!(
            ". Nothing at all arrived from there for {silent_s:.1} s: the path may have been cut"
        )
    });
    let mut intervals = waiting.intervals.iter();
    let is_theirs = intervals.any(|one| loss.link(&evidence.links, one) == Link::Theirs);
    let surely = loss.at_most(waiting.confidence());
    let of_loss = loss.size();
    let finding = Finding {
        text: format!(
            "Commits waited for {} because {}: {}, {}{doubt}.",
            loss.peer.standby(),
            loss.because(),
            loss.detail,
            waiting.during()
        ),
        cause: loss.cause,
        confidence: match (is_theirs, silent_s) {
            // Of several standbys, it may be another's.
            (false, _) => Confidence::Low,
            (true, Some(_)) => surely.min(Confidence::Medium),
            (true, None) => surely,
        },
        size: Size {
            segments: of_loss.segments,
            rto_doublings: of_loss.rto_doublings,
            rto_max_ms: of_loss.rto_max_ms,
            ..waiting.size()
        },
        evidence: waiting.evidence(loss.evidence()),
    };
    let rank = Rank::WaitedForSegments(waiting.waited_s, loss.segments);
    Ranked::new(rank, finding)
}
