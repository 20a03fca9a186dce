//! A queue in front of a link, small enough to overflow.

use anyhow::Result;

use super::Netns;

/// How fast a link is, and how much it lets wait before it drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Bits a second.
    pub rate_bps: u64,
    /// Bytes that may pass at once; at least one packet, or nothing passes.
    pub burst_bytes: u32,
    /// Bytes that may wait.
    pub limit_bytes: u32,
}

/// Puts the queue on an interface (token bucket), in the place of an earlier
/// one of ours.
pub(crate) fn shape(netns: &Netns, interface: &str, queue: &Queue) -> Result<()> {
    let rate = format!("{}bit", queue.rate_bps);
    let burst = queue.burst_bytes.to_string();
    let limit = queue.limit_bytes.to_string();
    let tbf = ["tbf", "rate", &rate, "burst", &burst, "limit", &limit];
    let place = ["qdisc", "replace", "dev", interface, "root"];
    netns
        .run("tc", &[&place[..], &tbf[..]].concat())
        .map(|_| ())
}
