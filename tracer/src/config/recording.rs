//! What was typed of a recording, validated.

use crate::cli::{MAX_FLOWS, ReplayArguments, SLOW_COMMIT};
use crate::config::{
    Config, ConfigError, Filter, Namespaces, Verbosity, nets, parse_interval, parse_peers,
    parse_ports, parse_time,
};

impl Config {
    /// Validates a command line of `tracer replay`: a run of which nothing but events
    /// was asked.
    pub(crate) fn of_recording(arguments: &ReplayArguments) -> Result<Self, ConfigError> {
        let peers = parse_peers(&arguments.peer)?;
        if let Some(zoned) = peers.iter().find(|peer| peer.zone.is_some()) {
            return Err(ConfigError::Zone(zoned.to_string()));
        }
        Ok(Self {
            filter: Filter {
                peers: nets(&peers),
                ports: parse_ports(&arguments.port)?,
            },
            netns: Namespaces::Named("recorded".to_owned()),
            duration: None,
            interval: parse_interval(&arguments.interval)?,
            inject: None,
            postgres: None,
            phases: None,
            probe: None,
            commits: false,
            slow_commit: parse_time("slow-commit", SLOW_COMMIT)?,
            compare_to: None,
            json: arguments.json.clone(),
            events: arguments.files.first().cloned(),
            listen: None,
            ready_file: None,
            max_flows: MAX_FLOWS,
            bpf_stats: false,
            verbosity: match arguments.quiet {
                true => Verbosity::Quiet,
                false => Verbosity::Normal,
            },
        })
    }
}
