//! What hangs on an interface.

use anyhow::Result;
use aya::programs::{SchedClassifier, TcAttachType};
use xtask::netns::Host;

/// Ids of the TCX programs on the host's egress.
pub(crate) fn programs(host: &Host) -> Result<Vec<u32>> {
    host.netns.enter(|| {
        let (_, programs) = SchedClassifier::query_tcx(&host.interface, TcAttachType::Egress)?;
        Ok(programs.iter().map(|program| program.id()).collect())
    })
}
