//! How a run was to measure.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::report::request::Request;

/// How a run was to measure, as far as its report depends on it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// As the report says it.
    pub request: Request,
    /// The peers that the filter keeps; empty for all.
    pub peers: Vec<IpNet>,
    /// Between two samples.
    pub interval: Duration,
    /// From when on a commit is slow.
    pub slow_commit: Duration,
    /// How long the first two phases last, where the user knows.
    pub phases: Option<(Duration, Duration)>,
    /// Whether single events were taken.
    pub events: bool,
    /// Whether the run time of the programs was measured.
    pub bpf_stats: bool,
}

impl Default for Settings {
    /// As without options.
    fn default() -> Self {
        Self {
            request: Request::default(),
            peers: Vec::new(),
            interval: Duration::from_secs(1),
            slow_commit: Duration::from_millis(100),
            phases: None,
            events: false,
            bpf_stats: false,
        }
    }
}

impl Settings {
    /// The peers, if each is a single host.
    pub(crate) fn hosts(&self) -> Vec<IpAddr> {
        let hosts = self.peers.iter();
        let hosts: Option<Vec<_>> = hosts
            .map(|net| (net.prefix_len() == net.max_prefix_len()).then(|| net.addr()))
            .collect();
        hosts.unwrap_or_default()
    }
}
