//! A queue in front of a link, small enough to overflow.

use std::time::Duration;

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

impl Queue {
    /// How long the last byte of a full queue waits.
    #[must_use]
    pub fn delay(&self) -> Duration {
        let bits = u64::from(self.limit_bytes) * 8;
        Duration::from_micros(bits.saturating_mul(1_000_000) / self.rate_bps.max(1))
    }
}

/// Puts the queue on an interface (token bucket), in the place of an earlier
/// one of ours.
///
/// # Errors
/// When the kernel refuses.
pub fn shape(netns: &Netns, interface: &str, queue: &Queue) -> Result<()> {
    let rate = format!("{}bit", queue.rate_bps);
    let burst = queue.burst_bytes.to_string();
    let limit = queue.limit_bytes.to_string();
    let tbf = ["tbf", "rate", &rate, "burst", &burst, "limit", &limit];
    let place = ["qdisc", "replace", "dev", interface, "root"];
    netns
        .run("tc", &[&place[..], &tbf[..]].concat())
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_delays_by_its_size() {
        let queue = Queue {
            rate_bps: 8_000_000,
            burst_bytes: 3000,
            limit_bytes: 10_000,
        };
        assert_eq!(queue.delay(), Duration::from_millis(10));
    }
}
