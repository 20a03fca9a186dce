//! What was typed.

mod check;
mod compare;
mod files;

use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand};

use crate::cli::compare::AFTER_COMPARE_HELP;
use crate::cli::files::{AFTER_MERGE_HELP, AFTER_REPLAY_HELP};
use crate::inject::{Directions, EngineChoice};
use crate::postgres::connection::dsn::Typed;

pub use crate::cli::check::CheckArguments;
pub use crate::cli::compare::{CompareArguments, ComparisonFormat};
pub use crate::cli::files::{
    DocumentArguments, ExplainArguments, Format, MergeArguments, ReplayArguments, ReportArguments,
};

/// Counts TCP retransmits per flow, in the kernel and to the segment: was it the
/// network that a slow commit waited for?
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 success, 1 failure, 2 wrong usage, 3 `tracer compare --fail-if` is met."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// From when on a commit is slow, by default.
pub(crate) const SLOW_COMMIT: &str = "100ms";

const AFTER_CHECK_HELP: &str = "Exit codes: 0 if `tracer run` can work here, 1 if not or if that could not be found out, 2 wrong usage.

What it attaches to find out, it detaches before it ends; what it tries with interfaces, it tries in a network namespace that it makes for itself. Modules that the kernel loads for that stay loaded, unused.";

const AFTER_INJECT_HELP: &str = "Faults:
  corrupt=50%    corrupt the checksum of half of the TCP segments, as the receiver sees and counts
  loss=10%       lose packets, as a network does: the sender learns nothing of it
  partition      lose every packet, both ways
  delay=100ms    hold packets back; delay=100ms,jitter=20ms,distribution=normal
  duplicate=1%   send packets twice
  reorder=25%    let packets overtake those that are delayed
  rate=10mbit    let no more than so many bits a second pass

Several make one fault: `tracer inject delay=20ms loss=1% …`. Each can be followed by ,correlation=25%: hits then come in bursts. A delay and a jitter are given with their unit, and fractions with a point (0.5s). corrupt, loss and partition are made by a program that counts them, the others by the kernel's netem.

The fault ends after --duration, at Ctrl-C, and when tracer is killed. ARP and neighbour discovery are never hit.

Exit codes: 0 the fault was made and all of it undone, 1 failure, 2 wrong usage.";

/// How many flows are distinguished by default.
pub(crate) const MAX_FLOWS: u32 = 8192;

/// A mistake on the command line as one line, like every other error: what is
/// wrong, without the usage that follows it.
#[must_use]
pub fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let wrong = text.split("\n\nUsage:").next().unwrap_or_default();
    let wrong = wrong.split("\n\nFor more information").next();
    let wrong = wrong.unwrap_or_default();
    let words: Vec<&str> = wrong.split_whitespace().collect();
    let wrong = if words.iter().any(|word| may_hold_a_secret(word)) {
        "a connection string is one argument: put it in quotes, behind --pg".to_owned()
    } else if listens_to_url(error) {
        "--listen takes an address and a port, such as 127.0.0.1:9187, and no URL".to_owned()
    } else {
        words.join(" ")
    };
    let wrong = wrong.strip_prefix("error: ").unwrap_or(&wrong);
    format!(
        "tracer: {}; see `tracer --help`",
        tracer_core::harmless::line(wrong)
    )
}

/// Whether a word may be part of a connection string, which without quotes falls apart: the
/// error then does not repeat it.
fn may_hold_a_secret(word: &str) -> bool {
    let word = word.to_lowercase();
    ["password=", "postgres://", "postgresql://"]
        .iter()
        .any(|sign| word.contains(sign))
}

/// Whether `--listen` was given the URL at which the numbers will be.
fn listens_to_url(error: &clap::Error) -> bool {
    let has = |kind, words| match error.get(kind) {
        Some(ContextValue::String(text)) => text.contains(words),
        _ => false,
    };
    has(ContextKind::InvalidArg, "--listen") && has(ContextKind::InvalidValue, "://")
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Count the retransmits of every flow to a peer, live, until Ctrl-C
    Run(Box<RunArguments>),

    /// Show a report to people: the verdict, what it rests on, and charts
    Report(ReportArguments),

    /// Show slow commits part by part: where the time went, and what happened on the wire
    Explain(ExplainArguments),

    /// Compare two runs: what changed by more than the uncertainty, and fail if asked to
    #[command(after_help = AFTER_COMPARE_HELP)]
    Compare(CompareArguments),

    /// Make one file of what both hosts saw of one run, flows joined end to end
    #[command(after_help = AFTER_MERGE_HELP)]
    Merge(MergeArguments),

    /// Make the report of a run again from the events that it recorded
    #[command(after_help = AFTER_REPLAY_HELP)]
    Replay(ReplayArguments),

    /// Say what this kernel and this user can do, and what to do about the rest
    #[command(after_help = AFTER_CHECK_HELP)]
    Check(CheckArguments),

    /// Break the network to a peer on purpose, for a while
    #[command(after_help = AFTER_INJECT_HELP)]
    Inject(Box<InjectArguments>),

    /// Undo what is left of faults whose tracer and guard are both gone; active faults are not touched
    Clean,

    /// Undo a fault when the process that made it is gone
    #[command(hide = true)]
    Guard,
}

/// The arguments of `tracer run`.
#[derive(Debug, Args, Clone)]
pub struct RunArguments {
    /// Peer to watch: an address or a CIDR, IPv4 or IPv6; may be repeated. Where a fault
    /// is to be, a link-local one has a zone (`fe80::1%eth0`)
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

    /// How often to sample and to show
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub interval: String,

    /// Compare before, during and after a fault that somebody else makes: how long
    /// the run goes on before it, and how long it lasts, such as `30s,60s`
    /// [default: by what --inject does, or else where a series changes]
    #[arg(long, value_name = "TIME,TIME", conflicts_with = "inject")]
    pub phases: Option<String>,

    /// Write the report to this file (`-` for standard output)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write every event to this file, one JSON line each (`-` for standard output).
    /// SIGHUP reopens it. What a full disk or a slow reader does not take is counted
    /// as missing, and holds nothing up
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,

    /// Show counters, latencies and lags to Prometheus at http://ADDRESS:PORT/metrics,
    /// such as `127.0.0.1:9187`, from the network namespace of the caller. Whoever can
    /// reach it can read it
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<std::net::SocketAddr>,

    /// Create this file once everything is counted from here on, and remove it at the end
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,

    /// How many flows are distinguished at a time; those that close leave their place to others,
    /// and more than these are counted together
    #[arg(long, value_name = "N", default_value_t = MAX_FLOWS, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub max_flows: u32,

    /// Measure the time that the kernel programs take (costs some 50 ns an event)
    #[arg(long)]
    pub bpf_stats: bool,

    /// Show nothing but warnings and errors
    #[arg(long, short)]
    pub quiet: bool,

    /// Show every retransmit as the kernel programs log it; -vv shows each step of tracer as well
    #[arg(long, short, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    // What is behind these would stand under their headings.
    /// The server to watch.
    #[command(flatten)]
    pub postgres: PostgresArguments,

    /// The fault to make.
    #[command(flatten)]
    pub scheduled: ScheduledArguments,

    /// How the fault is made.
    #[command(flatten)]
    pub fault: FaultArguments,
}

/// What `tracer run` is to ask PostgreSQL.
#[derive(Debug, Args, Clone)]
#[command(next_help_heading = "PostgreSQL")]
pub struct PostgresArguments {
    /// Watch this PostgreSQL server, too: replication, lags and who waits, on the
    /// same clock. `host=db1 user=me` or a URI; what is left out (`--pg ""` is
    /// enough) comes from PGHOST, PGUSER, PGPASSWORD, ~/.pgpass and so on. A role
    /// with pg_monitor sees all of it. Connects from the network namespace that
    /// --netns names, or else from the caller's
    #[arg(long, value_name = "DSN")]
    pub pg: Option<Typed>,

    /// Commit so many times a second, and read one row as often, and measure how
    /// long each takes from when it was due. What is committed is an empty message
    /// in the WAL (pg_logical_emit_message, prefix tracer_probe): no table is made
    /// or written, no right needed. Takes at most an eighth of the connections that
    /// the server has free
    #[arg(long, value_name = "RATE", requires = "pg")]
    pub commit_probe: Option<String>,

    /// Gone, and says so
    #[arg(long, hide = true)]
    pub commit_probe_cleanup: bool,

    /// Split every commit that writes into the flush of its WAL, the wait for the
    /// standby and the rest, of every PostgreSQL server on this host, or of those in
    /// the network namespace that --netns names. Asks no server: the kernel watches
    /// six functions of the program that they run
    #[arg(long)]
    pub commits: bool,

    /// A commit that takes this long is slow, and is listed and explained. So is one that
    /// takes eight times as long as is usual for its server, from 10 ms on
    #[arg(
        long,
        value_name = "TIME",
        requires = "commits",
        default_value = SLOW_COMMIT
    )]
    pub slow_commit: String,

    /// Take from this report of an earlier run how long commits usually take, for the server
    /// with the same port and data [default: learnt from the times of this run in which they
    /// are quick]
    #[arg(long, value_name = "REPORT", requires = "commits")]
    pub compare_to: Option<PathBuf>,
}

/// Which fault `tracer run` makes, and when.
#[derive(Debug, Args, Clone)]
#[command(next_help_heading = "Fault injection")]
pub struct ScheduledArguments {
    /// Break something on purpose, such as `corrupt=50%` or `delay=100ms`; may be
    /// repeated. `tracer inject --help` has them all
    #[arg(long, value_name = "FAULT", requires = "peer")]
    pub inject: Vec<String>,

    /// Begin the fault this long after counting began
    #[arg(long, value_name = "TIME", requires = "inject")]
    pub after: Option<String>,

    /// How long the fault lasts [default: to the end of --duration]
    #[arg(long = "for", value_name = "TIME", requires = "inject")]
    pub lasts: Option<String>,
}

/// The options of a fault, of `tracer run` and `tracer inject`.
#[derive(Debug, Args, Clone, Default)]
#[command(next_help_heading = "Fault injection")]
pub struct FaultArguments {
    /// Which packets: those to the peers (`out`), from them (`in`), or `both`
    /// [default: out; both for a partition]
    #[arg(
        long,
        value_enum,
        value_name = "WAY",
        requires = "inject",
        hide_possible_values = true
    )]
    pub direction: Option<Directions>,

    /// What makes the fault: `bpf` (tracer's own program), `netem`, or `auto`: for each fault
    /// the one that counts its hits
    #[arg(
        long,
        value_enum,
        value_name = "ENGINE",
        requires = "inject",
        default_value = "auto",
        hide_possible_values = true
    )]
    pub engine: EngineChoice,

    /// Begin the random numbers here: the same packets are hit each time, as long as
    /// the traffic and its processors are the same
    #[arg(long, value_name = "N", requires = "inject", value_parser = clap::value_parser!(u64).range(1..))]
    pub seed: Option<u64>,

    /// Where to make the fault [default: the interface by which the peer is reached, if
    /// there is only one]
    #[arg(long, value_name = "NAME", requires = "inject")]
    pub interface: Option<String>,

    /// Allow a fault toward the default gateway
    #[arg(long, requires = "inject")]
    pub allow_gateway: bool,

    /// Allow a fault toward the peer of this SSH session
    #[arg(long, requires = "inject")]
    pub allow_ssh_peer: bool,

    /// Allow a fault on loopback
    #[arg(long, requires = "inject")]
    pub allow_loopback: bool,

    /// Allow a fault toward everybody
    #[arg(long, requires = "inject")]
    pub allow_whole_interface: bool,
}

/// The arguments of `tracer inject`.
#[derive(Debug, Args, Clone)]
pub struct InjectArguments {
    /// What to do to packets
    #[arg(
        id = "inject",
        value_name = "FAULT",
        required_unless_present = "status"
    )]
    pub faults: Vec<String>,

    /// Whose packets: an address or a CIDR, IPv4 or IPv6, a link-local one with its
    /// zone (`fe80::1%eth0`); may be repeated
    #[arg(long, value_name = "ADDRESS|CIDR", requires = "inject")]
    pub peer: Vec<String>,

    /// Only packets with this TCP or UDP port at either end; may be repeated
    #[arg(long, value_name = "PORT", requires = "inject", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Vec<u16>,

    /// How long the fault lasts (`90s`, `5m`, plain seconds)
    #[arg(long, value_name = "TIME", required_unless_present = "status")]
    pub duration: Option<String>,

    /// Network namespace: a name under /run/netns, or a path [default: the caller's]
    #[arg(long, value_name = "NAME|PATH", requires = "inject")]
    pub netns: Option<String>,

    /// How many packets, for a fault that does not say
    #[arg(long, value_name = "PERCENT", requires = "inject")]
    pub percent: Option<String>,

    /// How much a hit depends on whether the packet before was hit, for faults that do not
    /// say
    #[arg(long, value_name = "PERCENT", requires = "inject")]
    pub correlation: Option<String>,

    /// By how much a delay varies, with its unit (`20ms`)
    #[arg(long, value_name = "TIME", requires = "inject")]
    pub jitter: Option<String>,

    /// How it varies: `normal` or `pareto` [default: evenly]
    #[arg(long, value_name = "SHAPE", requires = "inject")]
    pub distribution: Option<String>,

    /// Change nothing, and print what would be done
    #[arg(long, requires = "inject", conflicts_with_all = ["json", "ready_file"])]
    pub dry_run: bool,

    /// Show the faults that are active, or left behind, on this host
    #[arg(long, conflicts_with_all = ["inject", "ready_file"])]
    pub status: bool,

    /// Write what was done, or with --status what there is, to this file (`-` for
    /// standard output)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Create this file once packets are hit, and remove it at the end
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,

    /// Show nothing but warnings and errors
    #[arg(long, short)]
    pub quiet: bool,

    /// How the fault is made.
    #[command(flatten)]
    pub fault: FaultArguments,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_told_in_one_line() {
        for (arguments, words) in [
            (&["tracer", "inject"][..], "--duration <TIME>"),
            (&["tracer", "inject", "loss=1%"], "--duration <TIME>"),
            (&["tracer", "run", "--peer"], "--peer <ADDRESS|CIDR>"),
            (&["tracer", "run", "--frobnicate"], "'--frobnicate'"),
            (&["tracer", "inject", "loss=1%", "--status"], "--status"),
            (
                &["tracer", "run", "--peer", "::1", "--engine", "bpf"],
                "--inject",
            ),
            (
                &[
                    "tracer", "run", "--peer", "::1", "--inject", "loss=1%", "--phases", "1s,2s",
                ],
                "--phases",
            ),
        ] {
            let error = Cli::try_parse_from(arguments).unwrap_err();
            let line = one_line(&error);
            assert!(line.starts_with("tracer: "), "{line}");
            assert!(line.contains(words) && !line.contains('\n'), "{line}");
            assert!(!line.contains("Usage"), "{line}");
        }
    }

    #[test]
    fn a_password_that_fell_out_of_its_quotes_is_not_repeated() {
        for arguments in [
            &["tracer", "run", "--pg", "host=db1", "password=s3cr3t"][..],
            &[
                "tracer",
                "run",
                "--pg",
                "host=db1",
                "PASSWORD=s3cr3t",
                "a=b",
            ],
            &["tracer", "run", "postgres://me:s3cr3t@db1/app"],
            &["tracer", "postgres://me:s3cr3t@db1/app"],
        ] {
            let line = one_line(&Cli::try_parse_from(arguments).unwrap_err());
            assert!(line.contains("in quotes, behind --pg"), "{line}");
            assert!(!line.contains("s3cr3t"), "{line}");
        }
    }

    #[test]
    fn a_url_to_listen_at_is_no_connection_string() {
        let typed = |value| ["tracer", "run", "--all", "--listen", value];
        for (value, words) in [
            ("http://127.0.0.1:9187", "such as 127.0.0.1:9187"),
            ("localhost:9187", "invalid socket address"),
        ] {
            let line = one_line(&Cli::try_parse_from(typed(value)).unwrap_err());
            assert!(line.contains("--listen") && line.contains(words), "{line}");
            assert!(!line.contains("behind --pg"), "{line}");
        }
    }
}
