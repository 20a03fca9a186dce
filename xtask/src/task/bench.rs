//! `cargo xtask bench`: how soon tracer counts, how much memory it takes, what a
//! retransmit costs beside bpftrace, and what many flows come to; `cargo xtask bench
//! commits`: what watching commits costs.

mod commits;
mod contender;
mod hit;
mod machine;
mod page;
mod scale;
mod spread;
mod start;
mod storm;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use self::hit::Size;
use self::machine::TestMachine;
use self::page::Found;
use crate::provision::repo;
use crate::task::setup;
use crate::testbed::netns::Net;
use crate::testbed::{file, netns};

const STARTING: Duration = Duration::from_secs(30);
const ENDING: Duration = Duration::from_secs(10);

/// Between two polls for the ready file: a hundredth of what is measured.
const POLL: Duration = Duration::from_micros(200);

/// How many flows retransmit at once.
const SCALES: [usize; 3] = [1_000, 10_000, 100_000];

/// Some two seconds of the queue's rate in all, and some ten thousand hits.
const STORM: Size = Size {
    bytes: 750_000,
    connections: 2_000,
};

#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Measure this instead
    #[arg(value_enum)]
    what: Option<Subject>,

    /// Rounds of pgbench: without tracer, with empty programs, with tracer
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=300))]
    rounds: u32,

    /// How long each of the three is measured in a round
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3))]
    seconds: u32,

    /// pgbench's clients
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=50))]
    clients: u32,

    /// How often to run tracer (after one run that does not count)
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// How many storms of retransmits everybody counts
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    storms: u32,

    /// How many flows retransmit at once, one size after the other
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = SCALES, value_parser = flows)]
    scale: Vec<usize>,

    /// Write docs/performance.md
    #[arg(long, conflicts_with_all = ["scale", "what"])]
    write: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Subject {
    /// What watching commits costs pgbench
    Commits,
}

/// How much of it there is.
#[derive(Debug)]
struct Workload<'a> {
    runs: u32,
    storms: u32,
    storm: Size,
    scales: &'a [usize],
}

/// As many as `--max-flows` allows.
fn flows(text: &str) -> Result<usize, String> {
    let flows = text.parse().ok();
    let flows = flows.filter(|flows| (1..=1_048_576).contains(flows));
    flows.ok_or_else(|| format!("`{text}`: from 1 to 1048576"))
}

pub(crate) fn run(arguments: &BenchArguments) -> Result<()> {
    netns::require_root()?;
    if let Some(Subject::Commits) = arguments.what {
        return commits::run(arguments.rounds, arguments.seconds, arguments.clients);
    }
    setup::run()?;
    let workload = Workload {
        runs: arguments.runs,
        storms: arguments.storms,
        storm: STORM,
        scales: &arguments.scale,
    };
    // Before the build, which is work for all processors.
    let machine = TestMachine::read()?;
    let found = measure(&repo::build_release()?, machine, &workload)?;
    println!("\n{}", found.plain());
    if arguments.write {
        file::write(&repo::root().join("docs/performance.md"), found.page())?;
    }
    let missed = found.missed();
    ensure!(
        missed.is_empty(),
        "a median misses its bar\n{}",
        missed.join("\n")
    );
    Ok(())
}

/// Measures a little of everything, without asking how much it is: whoever counts is called,
/// and tracer's counts are the kernel's.
///
/// # Errors
/// When something could not be measured, or a count is wrong.
pub fn rehearse(program: &Path) -> Result<()> {
    let workload = Workload {
        runs: 1,
        storms: 1,
        storm: Size {
            bytes: 100_000,
            connections: 50,
        },
        scales: &[200],
    };
    let found = measure(program, TestMachine::read()?, &workload)?;
    println!("{}", found.page());
    Ok(())
}

fn measure(tracer: &Path, machine: TestMachine, workload: &Workload<'_>) -> Result<Found> {
    let folder = tempfile::tempdir().context("cannot make a folder for the runs")?;
    let net = Net::pair("bench", "ens160")?;
    let netns = net.host("primary")?.netns.name();
    Ok(Found {
        machine,
        quiet: start::run(tracer, netns, folder.path(), workload.runs)?,
        storms: hit::run(tracer, &net, folder.path(), workload.storms, workload.storm)?,
        scales: scale::run(tracer, folder.path(), workload.scales)?,
    })
}
