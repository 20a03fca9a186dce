//! What was typed, validated: the meaning of a command line.

mod fault;
mod recording;

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use tracer_core::recording::probe::{Plan, RateError};
use tracer_ebpf::MAX_PORTS;

use crate::cli::RunArguments;
use crate::inject::{AssignmentError, Parameters, Peer, PeerError, ScheduledFault, SpecError};
use crate::postgres::{Target, TargetError};
use crate::time;
use tracer_core::address::canonical;
use tracer_core::compare::condition::ConditionError;
use tracer_core::recording::settings::Settings;
use tracer_core::report::Request;

/// The least that an interval may be: a sample of thousands of flows and a
/// redrawn screen must fit in.
const MIN_INTERVAL: Duration = Duration::from_millis(50);
/// Beyond what a clock can say, a timer has no next moment.
const MAX_INTERVAL: Duration = Duration::from_secs(86_400);

/// What `tracer run` is to do.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Which flows to keep.
    pub(crate) filter: Filter,
    /// Which network namespaces to trace.
    pub(crate) netns: Namespaces,
    /// When to stop by itself.
    pub(crate) duration: Option<Duration>,
    /// Time between two samples.
    pub(crate) interval: Duration,
    /// What to break on purpose.
    pub(crate) inject: Option<ScheduledFault>,
    /// The database to watch.
    pub(crate) postgres: Option<Target>,
    /// How long the run's first two phases last, where the user knows.
    pub(crate) phases: Option<(Duration, Duration)>,
    /// What to commit there.
    pub(crate) probe: Option<Plan>,
    /// Whether commits are to be split.
    pub(crate) commits: bool,
    /// From when on a commit is slow.
    pub(crate) slow_commit: Duration,
    /// The report that says what is usual.
    pub(crate) compare_to: Option<PathBuf>,
    /// Where the report goes.
    pub(crate) json: Option<PathBuf>,
    /// Where the events go.
    pub(crate) events: Option<PathBuf>,
    /// Where metrics are shown.
    pub(crate) listen: Option<SocketAddr>,
    /// Created when everything is counted.
    pub(crate) ready_file: Option<PathBuf>,
    /// Slots of the flow table.
    pub(crate) max_flows: u32,
    /// Whether the kernel measures the run time of the programs.
    pub(crate) bpf_stats: bool,
    /// How much to show.
    pub(crate) verbosity: Verbosity,
}

/// Which flows to keep; the totals always hold all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Peers, empty for all.
    pub(crate) peers: Vec<IpNet>,
    /// Ports of either end, empty for all.
    pub(crate) ports: Vec<u16>,
}

/// Which network namespaces to trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Namespaces {
    /// The one that the caller is in.
    Current,
    /// One by its name under `/run/netns` or its path.
    Named(String),
    /// Every one on this host.
    All,
}

/// How much to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// The live view and the summary.
    Normal,
    /// And what the kernel programs log; from two on, every step of the tool.
    Verbose(u8),
}

/// A command line that cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// A zone where there are no interfaces.
    #[error(
        "--peer `{0}` has a zone, and a recording knows flows by their addresses alone; leave out the % and what is behind it"
    )]
    Zone(String),
    #[error("--{option} `{given}` is not a length of time; try `90s`, `5m` or `1h30m`")]
    Time { option: &'static str, given: String },
    #[error("--{option} `{given}` has a decimal comma; write a decimal point: `{better}`")]
    DecimalComma {
        option: &'static str,
        given: String,
        better: String,
    },
    #[error("--interval `{0}` is too short: at least {MIN_INTERVAL:?}")]
    TooShort(String),
    #[error("--interval `{0}` is too long: at most a day")]
    TooLong(String),
    #[error(transparent)]
    Fault(#[from] SpecError),
    #[error(transparent)]
    Impossible(#[from] AssignmentError),
    #[error(
        "a fault needs to know whom to hit: name the peer with --peer (or allow everybody with --allow-whole-interface, and --interface)"
    )]
    NoPeer,
    #[error(
        "--inject needs an end: say how long the fault lasts with --for, or how long the run does with --duration"
    )]
    Endless,
    #[error("--after {after:?} leaves no time for a fault in a run of {duration:?}")]
    TooLate { after: Duration, duration: Duration },
    /// A fault is made in one namespace.
    #[error("--inject needs one network namespace: name the one of the fault with --netns")]
    Everywhere,
    #[error("{0}")]
    Postgres(#[from] TargetError),
    #[error("--commit-probe {0}")]
    Rate(#[from] RateError),
    #[error(
        "--commit-probe-cleanup is gone: the probe makes no table any more; one that an earlier version left goes with `drop table tracer_probe.commits; drop schema tracer_probe`"
    )]
    NoTable,
    #[error(
        "--phases `{0}` is not two lengths of time, of what comes before and of the fault; try `--phases 30s,60s`"
    )]
    Phases(String),
    #[error(
        "--output {0} does not say what to write: name it .html, .md or .txt, or give --format"
    )]
    Format(PathBuf),
    #[error(
        "--output {0} does not say what to write: name it .html, .md, .txt or .json, or give --format"
    )]
    ComparisonFormat(PathBuf),
    #[error("standard input can be read once: name a file for BEFORE or for AFTER")]
    OneInput,
    #[error("--fail-if {0}")]
    Condition(#[from] ConditionError),
    #[error("--port was given {0} times; at most {MAX_PORTS} ports can be filtered")]
    Ports(usize),
}

impl Config {
    /// What the report says of it, and depends on.
    pub(crate) fn settings(&self) -> Settings {
        let peers = &self.filter.peers;
        Settings {
            request: Request {
                peers: peers.iter().map(ToString::to_string).collect(),
                ports: self.filter.ports.clone(),
                netns: match &self.netns {
                    Namespaces::Current => "current".to_owned(),
                    Namespaces::All => "all".to_owned(),
                    Namespaces::Named(name) => name.clone(),
                },
                pg: self.postgres.as_ref().map(ToString::to_string),
                commit_probe: self.probe.map(|plan| plan.rate.get()),
                commits: self.commits,
                interval_s: self.interval.as_secs_f64(),
                duration_s: self.duration.map(|duration| duration.as_secs_f64()),
            },
            peers: peers.clone(),
            interval: self.interval,
            slow_commit: self.slow_commit,
            phases: self.phases,
            events: self.wants_events(),
            bpf_stats: self.bpf_stats,
        }
    }

    /// Whether single events are of use: to be written, or to find which waits of
    /// commits fell into the recovery from a loss.
    pub(crate) fn wants_events(&self) -> bool {
        self.events.is_some() || self.commits
    }

    /// Validates a command line.
    pub(crate) fn from_arguments(arguments: &RunArguments) -> Result<Self, ConfigError> {
        let peers = parse_peers(&arguments.peer)?;
        let filter = Filter {
            peers: nets(&peers),
            ports: parse_ports(&arguments.port)?,
        };
        let interval = parse_interval(&arguments.interval)?;
        let duration = arguments.duration.as_deref();
        let duration = duration
            .map(|text| parse_time("duration", text))
            .transpose()?;
        let inject = plan(arguments, peers, &filter.ports, duration)?;
        if arguments.postgres.commit_probe_cleanup {
            return Err(ConfigError::NoTable);
        }
        let dsn = arguments.postgres.pg.as_ref();
        Ok(Self {
            filter,
            inject,
            postgres: dsn.map(|dsn| Target::from_dsn(dsn.reveal())).transpose()?,
            phases: arguments.phases.as_deref().map(parse_phases).transpose()?,
            probe: match &arguments.postgres.commit_probe {
                Some(rate) => Some(Plan {
                    rate: rate.parse()?,
                }),
                None => None,
            },
            commits: arguments.postgres.commits,
            slow_commit: parse_time("slow-commit", &arguments.postgres.slow_commit)?,
            compare_to: arguments.postgres.compare_to.clone(),
            netns: match arguments.netns.as_deref() {
                None => Namespaces::Current,
                Some("all") => Namespaces::All,
                Some(name) => Namespaces::Named(name.to_owned()),
            },
            duration,
            interval,
            json: arguments.json.clone(),
            events: arguments.events.clone(),
            listen: arguments.listen,
            ready_file: arguments.ready_file.clone(),
            max_flows: arguments.max_flows,
            bpf_stats: arguments.bpf_stats,
            verbosity: match (arguments.quiet, arguments.verbose) {
                (true, _) => Verbosity::Quiet,
                (false, 0) => Verbosity::Normal,
                (false, level) => Verbosity::Verbose(level),
            },
        })
    }
}

/// The fault that was asked for, if any.
fn plan(
    arguments: &RunArguments,
    peers: Vec<Peer>,
    ports: &[u16],
    duration: Option<Duration>,
) -> Result<Option<ScheduledFault>, ConfigError> {
    if arguments.scheduled.inject.is_empty() {
        return Ok(None);
    }
    let faults = fault::faults(&arguments.scheduled.inject, &Parameters::default())?;
    // `--peer` is required with `--inject`, but not where `--all` excludes it.
    if arguments.peer.is_empty() {
        return Err(ConfigError::NoPeer);
    }
    if arguments.netns.as_deref() == Some("all") {
        return Err(ConfigError::Everywhere);
    }
    let after = match arguments.scheduled.after.as_deref() {
        // A plain 0 is not a length of time, but a meaningful start.
        None | Some("0" | "0s") => Duration::ZERO,
        Some(text) => parse_time("after", text)?,
    };
    let left = match duration {
        Some(duration) if duration <= after => {
            return Err(ConfigError::TooLate { after, duration });
        }
        Some(duration) => Some(duration - after),
        None => None,
    };
    let lasts = match (arguments.scheduled.lasts.as_deref(), left) {
        (Some(text), _) => parse_time("for", text)?,
        (None, Some(left)) => left,
        (None, None) => return Err(ConfigError::Endless),
    };
    let request = fault::request(faults, &arguments.fault, peers, ports.to_vec(), lasts)?;
    Ok(Some(ScheduledFault { request, after }))
}

impl Filter {
    /// Whether a flow is kept: the same rule as in the kernel programs, for what
    /// userspace learns by itself.
    pub(crate) fn keeps(&self, tuple: &tracer_ebpf::Tuple) -> bool {
        let remote = canonical(Ipv6Addr::from(tuple.remote));
        let peer = self.peers.is_empty() || self.peers.iter().any(|net| net.contains(&remote));
        let mut ports = self.ports.iter();
        let port = ports.any(|port| [tuple.local_port, tuple.remote_port].contains(port));
        peer && (self.ports.is_empty() || port)
    }
}

/// Parses every `--peer`.
fn parse_peers(texts: &[String]) -> Result<Vec<Peer>, ConfigError> {
    let peers = texts.iter().map(|text| text.parse::<Peer>());
    Ok(peers.collect::<Result<_, _>>()?)
}

fn nets(peers: &[Peer]) -> Vec<IpNet> {
    peers.iter().map(|peer| peer.net).collect()
}

fn parse_ports(ports: &[u16]) -> Result<Vec<u16>, ConfigError> {
    let mut ports = ports.to_vec();
    ports.sort_unstable();
    ports.dedup();
    if ports.len() > MAX_PORTS {
        return Err(ConfigError::Ports(ports.len()));
    }
    Ok(ports)
}

/// Parses `30s,60s`.
pub(crate) fn parse_phases(text: &str) -> Result<(Duration, Duration), ConfigError> {
    let lengths = text.split_once(',');
    lengths
        .and_then(|(before, lasts)| Some((time::parse(before)?, time::parse(lasts)?)))
        .ok_or_else(|| ConfigError::Phases(text.to_owned()))
}

fn parse_interval(text: &str) -> Result<Duration, ConfigError> {
    let interval = parse_time("interval", text)?;
    match interval {
        short if short < MIN_INTERVAL => Err(ConfigError::TooShort(text.to_owned())),
        long if long > MAX_INTERVAL => Err(ConfigError::TooLong(text.to_owned())),
        interval => Ok(interval),
    }
}

/// Parses `90s`, `1h30m`, `250ms`, or plain seconds; more than nothing.
pub(crate) fn parse_time(option: &'static str, text: &str) -> Result<Duration, ConfigError> {
    let given = text.to_owned();
    // Before it is parsed: some with a comma would be taken, and others not.
    if let Some(better) = time::decimal_point(text) {
        return Err(ConfigError::DecimalComma {
            option,
            given,
            better,
        });
    }
    time::parse(text).ok_or(ConfigError::Time { option, given })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_two_lengths_of_time() {
        let both = (Duration::from_secs(30), Duration::from_secs(60));
        assert_eq!(parse_phases("30s,1m").unwrap(), both);
        for wrong in ["", "30s", "30s,", "30s,60s,90s", "now,later"] {
            let message = parse_phases(wrong).unwrap_err().to_string();
            assert!(message.contains(&format!("`{wrong}`")), "{message}");
        }
    }

    #[test]
    fn an_interval_is_none_that_a_timer_cannot_hold() {
        for right in ["50ms", "1s", "24h"] {
            assert!(parse_interval(right).is_ok(), "{right}");
        }
        for (wrong, words) in [("49ms", "short"), ("86401", "long"), ("1e19", "long")] {
            let message = parse_interval(wrong).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn the_filter_is_the_kernels() {
        let filter = Filter {
            peers: vec!["10.0.10.0/24".parse().unwrap()],
            ports: vec![5432],
        };
        let mut tuple = tracer_ebpf::Tuple {
            remote: "10.0.10.2"
                .parse::<std::net::Ipv4Addr>()
                .unwrap()
                .to_ipv6_mapped()
                .octets(),
            remote_port: 5432,
            ..Default::default()
        };
        assert!(filter.keeps(&tuple));
        tuple.remote_port = 22;
        assert!(!filter.keeps(&tuple));
        tuple.local_port = 5432;
        assert!(filter.keeps(&tuple));
        tuple.remote[14] = 11;
        assert!(!filter.keeps(&tuple));
    }
}
