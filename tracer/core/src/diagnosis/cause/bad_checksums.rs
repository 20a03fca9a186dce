//! Segments between primary and standby arrive with a bad checksum, and are discarded.

use crate::diagnosis::cause::CauseRule;
use crate::diagnosis::network::during_loss;
use crate::diagnosis::rank::Ranked;
use crate::evidence::Evidence;
use crate::evidence::standby_wait::StandbyWait;
use crate::evidence::waiting::Waiting;

/// See the file.
#[derive(Debug)]
pub(super) struct BadChecksums;

impl CauseRule for BadChecksums {
    fn claims(&self, wait: &StandbyWait<'_>) -> bool {
        wait.has_bad_checksums
    }

    fn findings(&self, evidence: &Evidence<'_>, _: &Waiting<'_>) -> Vec<Ranked> {
        let losses = evidence.significant_losses().into_iter();
        let corrupted = losses.filter(|(loss, _)| loss.is_bad_checksums());
        corrupted
            .map(|(loss, waiting)| during_loss(evidence, loss, &waiting, None))
            .collect()
    }
}
