//! Commits waited for a standby, and the data do not show why.

use crate::diagnosis::cause::CauseRule;
use crate::diagnosis::rank::{Rank, Ranked};
use crate::evidence::Evidence;
use crate::evidence::standby_wait::StandbyWait;
use crate::evidence::thresholds::MIN_UNEXPLAINED_SHARE;
use crate::evidence::waiting::Waiting;
use crate::report::finding::{Cause, Confidence, Finding};

/// See the file. It claims all that no other cause did.
#[derive(Debug)]
pub(super) struct Undetermined;

impl CauseRule for Undetermined {
    fn claims(&self, _: &StandbyWait<'_>) -> bool {
        true
    }

    fn findings(&self, evidence: &Evidence<'_>, kept: &Waiting<'_>) -> Vec<Ranked> {
        if kept.share < MIN_UNEXPLAINED_SHARE || !kept.is_worth_a_finding() {
            return Vec::new();
        }
        let why = if evidence.links.serving(&kept.intervals).next().is_some() {
            "it replied, nothing was retransmitted meanwhile, round trips were short, and no sample shows it behind with what it had received"
        } else {
            "it replied, but its connection was not among those that were traced"
        };
        let finding = Finding {
            text: format!("Commits waited for the standby, and the data do not show why: {why}."),
            cause: Cause::NotDetermined,
            confidence: Confidence::Low,
            size: kept.size(),
            evidence: kept
                .evidence()
                .into_iter()
                .chain(evidence.replication(&kept.intervals))
                .collect(),
        };
        vec![Ranked::new(Rank::Unexplained(kept.waited_s), finding)]
    }
}
