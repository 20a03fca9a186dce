//! Losses in number, and the calm after them.

use std::{collections::HashMap, time::Duration};

use anyhow::Result;
use xtask::testbed::{
    netns::{Host, Queue},
    wait,
};

use crate::{
    kernel::{self, Connection, Ends},
    traffic::Load,
};

/// For a guest on a machine that is busy with other things; elsewhere, anything
/// that comes at all comes within seconds.
pub(crate) const LIMIT: Duration = Duration::from_secs(150);

/// Overflows at once.
pub(crate) const NARROW: Queue = Queue {
    rate_bps: 200_000_000,
    burst_bytes: 20_000,
    limit_bytes: 30_000,
};
/// Never overflows.
pub(crate) const WIDE: Queue = Queue {
    rate_bps: 10_000_000_000,
    burst_bytes: 10_000_000,
    limit_bytes: 1_000_000_000,
};

/// Pushes until so many segments more than `base` were retransmitted.
pub(crate) fn push_until(host: &Host, load: &mut Load, segments: u64) -> Result<()> {
    wait::until(LIMIT, "retransmits", || {
        // A slow machine would else wait more than it sends.
        for _ in 0..4 {
            load.push()?;
        }
        Ok((kernel::segments(&host.netns)? >= segments).then_some(()))
    })
}

/// Waits until everything that was sent has arrived.
pub(crate) fn drain(host: &Host) -> Result<HashMap<Ends, Connection>> {
    wait::until(LIMIT, "everything to arrive", || {
        let connections = kernel::connections(&host.netns)?;
        let idle = connections.values().all(|one| one.queued == 0);
        Ok(idle.then_some(connections))
    })
}
