//! What was typed of a fault, validated.

use std::time::Duration;

use crate::cli::{FaultArguments, InjectArguments};
use crate::config::{ConfigError, parse_peers, parse_ports, parse_time};
use crate::inject::{
    Allow, Assignment, Draft, FaultRequest, Faults, GuardCommand, Parameters, Peer, SpecError,
};

impl FaultRequest {
    /// Validates a command line of `tracer inject`.
    pub(crate) fn from_arguments(arguments: &InjectArguments) -> Result<Self, ConfigError> {
        let options = Parameters::new([
            ("percent", arguments.percent.as_deref()),
            ("correlation", arguments.correlation.as_deref()),
            ("jitter", arguments.jitter.as_deref()),
            ("distribution", arguments.distribution.as_deref()),
        ]);
        let faults = faults(&arguments.faults, &options)?;
        let peers = parse_peers(&arguments.peer)?;
        let ports = parse_ports(&arguments.port)?;
        let duration = arguments.duration.as_deref().ok_or(ConfigError::Endless)?;
        let duration = parse_time("duration", duration)?;
        request(faults, &arguments.fault, peers, ports, duration)
    }
}

/// Faults as they are typed, with options for what they leave open.
pub(super) fn faults(texts: &[String], options: &Parameters) -> Result<Faults, SpecError> {
    let drafts = texts
        .iter()
        .map(|text| text.parse::<Draft>())
        .collect::<Result<_, _>>()?;
    Faults::from_drafts(drafts, options)
}

/// The fault, whole.
pub(super) fn request(
    faults: Faults,
    arguments: &FaultArguments,
    peers: Vec<Peer>,
    ports: Vec<u16>,
    duration: Duration,
) -> Result<FaultRequest, ConfigError> {
    // Asked for once more when it is prepared; here it is a mistake of usage.
    Assignment::new(&faults, arguments.engine, arguments.direction)?;
    let everybody = arguments.allow_whole_interface && arguments.interface.is_some();
    if peers.is_empty() && !everybody {
        return Err(ConfigError::NoPeer);
    }
    Ok(FaultRequest {
        faults,
        engine: arguments.engine,
        direction: arguments.direction,
        seed: arguments.seed,
        peers,
        ports,
        interface: arguments.interface.clone(),
        duration,
        allow: Allow {
            gateway: arguments.allow_gateway,
            ssh_peer: arguments.allow_ssh_peer,
            loopback: arguments.allow_loopback,
            whole_interface: arguments.allow_whole_interface,
        },
        hook: None,
        guard: GuardCommand::default(),
    })
}
