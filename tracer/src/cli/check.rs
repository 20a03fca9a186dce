//! What was typed of `tracer check`.

use clap::Args;

/// The arguments of `tracer check`.
#[derive(Debug, Args, Clone)]
pub struct CheckArguments {
    /// Check the interface of the route to this peer, where a fault would be made; a
    /// link-local one with its zone (`fe80::1%eth0`)
    #[arg(long, value_name = "ADDRESS|CIDR")]
    pub peer: Option<String>,

    /// Check this interface
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,

    /// Network namespace of the interface: a name under /run/netns, or a path
    /// [default: the caller's]
    #[arg(long, value_name = "NAME|PATH")]
    pub netns: Option<String>,

    /// Watch the servers on this host for a time (3s if none is given, `--commits=10s`; a
    /// minute at most), and say which of the functions that split commits were called
    #[arg(
        long,
        value_name = "TIME",
        num_args = 0..=1,
        default_missing_value = "3s",
        require_equals = true
    )]
    pub commits: Option<String>,

    /// Print JSON instead of text
    #[arg(long)]
    pub json: bool,
}
