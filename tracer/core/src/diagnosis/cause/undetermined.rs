//! Commits waited for a standby, and the data do not show why.

use crate::diagnosis::rank::{Rank, Ranked};
use crate::evidence::Evidence;
use crate::evidence::commit_stages::StageSums;
use crate::evidence::thresholds::MIN_UNEXPLAINED_SHARE;
use crate::evidence::waiting::Waiting;
use crate::report::finding::{Cause, Confidence, Finding};

pub(super) fn finding(evidence: &Evidence<'_>, kept: &Waiting<'_>) -> Option<Ranked> {
    if kept.share < MIN_UNEXPLAINED_SHARE || !kept.is_worth_a_finding() {
        return None;
    }
    let flows = evidence.replication(&kept.intervals);
    let spans = kept.intervals.iter().map(|one| one.span);
    let stages = StageSums::during_all(evidence.recorded, spans);
    let why = if let Some(words) = stages.words() {
        words
    } else if flows.is_empty() {
        "it replied, but its connection was not among those that were traced".to_owned()
    } else {
        "it replied, nothing was retransmitted meanwhile, round trips were short, and no sample shows it behind with what it had received".to_owned()
    };
    let finding = Finding {
        text: format!("Commits waited for the standby, and the data do not show why: {why}."),
        cause: Cause::NotDetermined,
        confidence: Confidence::Low,
        size: kept.size(),
        evidence: [kept.evidence([]), flows].concat(),
    };
    Some(Ranked::new(Rank::Unexplained(kept.waited_s), finding))
}
