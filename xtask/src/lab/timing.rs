//! The clocks of the cluster: what bounds how fast it notices and recovers.

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use crate::testbed::netns::Host;

/// Patroni's own lower limits.
const LEAST_TTL: u32 = 20;

/// What can be chosen about the cluster's clocks. What is not chosen is the default
/// of the software in question.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Clocks of the cluster")]
pub struct Timing {
    /// Patroni: seconds that a leader keeps its lock without renewing it
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub ttl: u32,

    /// Patroni: seconds between two polls at the cluster
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub loop_wait: u32,

    /// Patroni: seconds that etcd or PostgreSQL may take to answer
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(3..))]
    pub retry_timeout: u32,

    /// PostgreSQL: seconds without a reply after which a primary gives a standby up
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub wal_sender_timeout: u32,

    /// Kernel, on every host: the shortest retransmission timeout
    #[arg(long, value_name = "MILLISECONDS")]
    pub rto_min: Option<u32>,

    /// Kernel, on every host: the longest retransmission timeout
    #[arg(long, value_name = "MILLISECONDS")]
    pub rto_max: Option<u32>,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ttl: 30,
            loop_wait: 10,
            retry_timeout: 10,
            wal_sender_timeout: 60,
            rto_min: None,
            rto_max: None,
        }
    }
}

impl Timing {
    /// Fails on what Patroni would silently correct.
    pub(super) fn check(&self) -> Result<()> {
        ensure!(
            self.ttl >= LEAST_TTL && self.loop_wait + 2 * self.retry_timeout <= self.ttl,
            "Patroni takes a --ttl of at least {LEAST_TTL}, and of at least --loop-wait and twice \
             --retry-timeout: {} is less than {}",
            self.ttl,
            LEAST_TTL.max(self.loop_wait + 2 * self.retry_timeout)
        );
        Ok(())
    }

    /// Sets what is the kernel's, in the namespace of a host.
    pub(super) fn apply(&self, host: &Host) -> Result<()> {
        if let Some(shortest) = self.rto_min {
            let us = (u64::from(shortest) * 1000).to_string();
            host.netns.sysctl("net.ipv4.tcp_rto_min_us", &us)?;
        }
        if let Some(longest) = self.rto_max {
            let ms = longest.to_string();
            host.netns.sysctl("net.ipv4.tcp_rto_max_ms", &ms)?;
        }
        Ok(())
    }

    /// The options that make the same clocks; empty for those that are the default.
    pub(crate) fn options(&self) -> String {
        let default = Self::default();
        let chosen = |value: u32, default: u32| (value != default).then_some(value);
        let options = [
            ("--ttl", chosen(self.ttl, default.ttl)),
            ("--loop-wait", chosen(self.loop_wait, default.loop_wait)),
            (
                "--retry-timeout",
                chosen(self.retry_timeout, default.retry_timeout),
            ),
            (
                "--wal-sender-timeout",
                chosen(self.wal_sender_timeout, default.wal_sender_timeout),
            ),
            ("--rto-min", self.rto_min),
            ("--rto-max", self.rto_max),
        ];
        let options = options.into_iter();
        options
            .filter_map(|(name, value)| Some(format!(" {name} {}", value?)))
            .collect()
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "ttl_s": self.ttl,
            "loop_wait_s": self.loop_wait,
            "retry_timeout_s": self.retry_timeout,
            "wal_sender_timeout_s": self.wal_sender_timeout,
            "tcp_rto_min_ms": self.rto_min,
            "tcp_rto_max_ms": self.rto_max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_chosen_is_an_option() {
        assert_eq!(Timing::default().options(), "");
        let timing = Timing {
            ttl: 20,
            rto_max: Some(5000),
            ..Timing::default()
        };
        assert_eq!(timing.options(), " --ttl 20 --rto-max 5000");
    }

    #[test]
    fn what_patroni_would_correct_is_refused() {
        assert!(Timing::default().check().is_ok());
        let short = Timing {
            ttl: 20,
            ..Timing::default()
        };
        assert!(short.check().is_err());
        let quick = Timing {
            ttl: 20,
            loop_wait: 2,
            retry_timeout: 3,
            ..Timing::default()
        };
        assert!(quick.check().is_ok());
    }
}
