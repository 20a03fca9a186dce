//! What was typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Counts TCP retransmits per flow, in the kernel and to the segment: was it the
/// network that a slow commit waited for?
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 success, 1 failure, 2 wrong usage.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_CHECK_HELP: &str = "Exit codes: 0 if `tracer run` can work here, 1 if not or if that could not be found out, 2 wrong usage.

What it attaches to find out, it detaches before it ends; what it tries with interfaces, it tries in a network namespace that it makes for itself. Modules that the kernel loads for that stay loaded, unused.";

/// How many flows can be told apart unless something else is asked for.
pub(crate) const MAX_FLOWS: u32 = 8192;

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Count the retransmits of every flow to a peer, live, until Ctrl-C
    Run(Box<RunArguments>),

    /// Tell what this kernel and this user can do, and what to do about the rest
    #[command(after_help = AFTER_CHECK_HELP)]
    Check(CheckArguments),

    /// Undo a fault when the process that made it is gone
    #[command(hide = true)]
    Guard,
}

/// The arguments of `tracer check`.
#[derive(Debug, Args, Clone)]
pub struct CheckArguments {
    /// Look at the interface of the route to this peer, where a fault would be made
    #[arg(long, value_name = "ADDRESS|CIDR")]
    pub peer: Option<String>,

    /// Look at this interface
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,

    /// Network namespace of the interface: a name under /run/netns, or a path
    /// [default: the caller's]
    #[arg(long, value_name = "NAME|PATH")]
    pub netns: Option<String>,

    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `tracer run`.
#[derive(Debug, Args, Clone)]
pub struct RunArguments {
    /// Peer to watch: an address or a CIDR, IPv4 or IPv6; may be repeated
    #[arg(long, value_name = "ADDRESS|CIDR", required_unless_present = "all")]
    pub peer: Vec<String>,

    /// Keep only flows with this port at either end; may be repeated
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Vec<u16>,

    /// Watch every peer
    #[arg(long, conflicts_with = "peer")]
    pub all: bool,

    /// Network namespace: a name under /run/netns, a path, or `all` [default: the caller's]
    #[arg(long, value_name = "NAME|PATH|all")]
    pub netns: Option<String>,

    /// Stop after this long (`90s`, `5m`, plain seconds) [default: at Ctrl-C]
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,

    /// How often to look and to show
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub interval: String,

    /// Write the report to this file (`-` for standard output)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write every event to this file, one JSON line each
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,

    /// Break something on purpose: `corrupt=50%` damages the checksum of half of
    /// the TCP segments to the peers, as the receiver sees and counts
    #[arg(
        long,
        value_name = "FAULT",
        requires = "peer",
        help_heading = "Fault injection"
    )]
    pub inject: Option<String>,

    /// Begin the fault this long after counting began
    #[arg(
        long,
        value_name = "TIME",
        requires = "inject",
        help_heading = "Fault injection"
    )]
    pub after: Option<String>,

    /// How long the fault lasts [default: to the end of --duration]
    #[arg(
        long = "for",
        value_name = "TIME",
        requires = "inject",
        help_heading = "Fault injection"
    )]
    pub lasts: Option<String>,

    /// Where to make the fault [default: the interface of the route to the peer]
    #[arg(
        long,
        value_name = "NAME",
        requires = "inject",
        help_heading = "Fault injection"
    )]
    pub interface: Option<String>,

    /// Allow a fault toward the default gateway
    #[arg(long, requires = "inject", help_heading = "Fault injection")]
    pub allow_gateway: bool,

    /// Allow a fault toward the peer of this SSH session
    #[arg(long, requires = "inject", help_heading = "Fault injection")]
    pub allow_ssh_peer: bool,

    /// Create this file once everything is counted from here on
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,

    /// How many flows can be told apart; what is beyond is counted together
    #[arg(long, value_name = "N", default_value_t = MAX_FLOWS, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub max_flows: u32,

    /// Measure the time that the kernel programs take (costs some 50 ns an event)
    #[arg(long)]
    pub bpf_stats: bool,

    /// Show nothing but warnings and errors
    #[arg(long, short)]
    pub quiet: bool,

    /// Show every retransmit as the kernel programs log it; twice for every step of the tool, too
    #[arg(long, short, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
}
