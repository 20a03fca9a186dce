//! Segments between primary and standby arrive with a bad checksum, and are discarded.

use crate::diagnosis::network::during_loss;
use crate::diagnosis::rank::Ranked;
use crate::evidence::Evidence;

pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Ranked> {
    let corrupted = evidence
        .significant_losses()
        .filter(|(loss, _)| loss.is_bad_checksums());
    corrupted
        .map(|(loss, during)| during_loss(evidence, loss, &during.waiting, None))
        .collect()
}
