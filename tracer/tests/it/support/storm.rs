//! Losses in number, and the calm after them.

use std::{collections::HashMap, time::Duration};

use anyhow::Result;
use xtask::testbed::{
    netns::{Host, Queue},
    wait,
};

use crate::support::{
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

/// Pushes until the host has retransmitted so many segments since it came up.
pub(crate) fn push_until(host: &Host, load: &mut Load, segments: u64) -> Result<()> {
    push(load, "retransmits", || {
        Ok(kernel::segments(&host.netns)? >= segments)
    })
}

/// Pushes until the host itself refused to send more retransmitted segments than `before`.
pub(crate) fn push_until_one_is_refused(host: &Host, load: &mut Load, before: u64) -> Result<()> {
    push(load, "a retransmit that is refused", || {
        Ok(kernel::refused(&host.netns)? > before)
    })
}

fn push(load: &mut Load, what: &str, mut enough: impl FnMut() -> Result<bool>) -> Result<()> {
    wait::until(LIMIT, what, || {
        // A slow machine would else wait more than it sends.
        for _ in 0..4 {
            load.push()?;
        }
        Ok(enough()?.then_some(()))
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
