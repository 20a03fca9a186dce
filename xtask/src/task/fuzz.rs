//! `cargo xtask fuzz`: input that makes one of tracer's parsers panic, searched for by
//! libFuzzer, which is led by what code an input reaches.
//!
//! The compiler is the one that builds everything else: what `cargo fuzz` needs a nightly
//! one for are sanitizers, and there is little here that they could find.

mod build;
mod round;

use std::path::PathBuf;
use std::thread;

use anyhow::{Result, bail};
use clap::Args;

use self::build::{FuzzPrograms, Speed};
use self::round::{Round, Span};
use crate::provision::repo;
use crate::testbed::{file, parallel};

/// How long `cargo xtask test` looks, in all, s of processor time.
const BRIEF_S: u64 = 60;
/// How long one target is fuzzed unless something else is asked, minutes.
const MINUTES: u64 = 1;

#[derive(Debug, Args)]
pub(crate) struct FuzzArguments {
    /// Targets, such as dsn [default: every one]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,

    /// How often each target is run, whatever time that takes
    #[arg(long, value_name = "N")]
    runs: Option<u64>,

    /// For how long each target is fuzzed [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "runs",
        value_parser = clap::value_parser!(u64).range(1..))]
    minutes: Option<u64>,

    /// Targets at a time
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,

    /// Take over into tracer/fuzz/corpus what reaches more than the inputs there, and drop those
    /// that reach nothing of their own
    #[arg(long)]
    keep: bool,
}

/// Fuzzes the targets, one line each, and says what was found.
pub(crate) fn run(arguments: &FuzzArguments) -> Result<()> {
    let span = match (arguments.runs, arguments.minutes) {
        (Some(runs), _) => Span::runs(runs),
        (None, minutes) => Span::seconds(minutes.unwrap_or(MINUTES).saturating_mul(60)),
    };
    let targets = chosen(&arguments.targets)?;
    let programs = FuzzPrograms::build(&targets, Speed::Fast)?;
    let failures = fuzz(&programs, &targets, &span, arguments.jobs)?;
    if arguments.keep {
        for target in &targets {
            let (before, after) = Round::new(&programs, target)?.keep()?;
            println!("{target:<12} {before} inputs, {after} kept");
        }
    }
    verdict(&failures)
}

/// Fuzzes every target for a moment.
pub(crate) fn brief() -> Result<()> {
    let targets = all()?;
    let programs = FuzzPrograms::build(&targets, Speed::Soon)?;
    let each = (BRIEF_S / targets.len().max(1) as u64).max(1);
    let jobs = thread::available_parallelism()?.get();
    verdict(&fuzz(&programs, &targets, &Span::seconds(each), jobs)?)
}

fn verdict(failures: &[String]) -> Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    bail!("{}", failures.join("\n"))
}

/// Every target: each has a program of its own.
fn all() -> Result<Vec<String>> {
    let sources = file::entries(&repo::root().join("tracer/fuzz/targets"))?;
    let names = sources.iter().filter_map(|path| path.file_stem()?.to_str());
    let mut targets: Vec<String> = names.map(str::to_owned).collect();
    targets.sort_unstable();
    Ok(targets)
}

fn chosen(names: &[String]) -> Result<Vec<String>> {
    let all = all()?;
    if names.is_empty() {
        return Ok(all);
    }
    match names.iter().find(|name| !all.contains(name)) {
        Some(unknown) => bail!("there is no target {unknown}; there are {}", all.join(", ")),
        None => Ok(names.to_vec()),
    }
}

/// So many at a time; returns what was found.
fn fuzz(
    programs: &FuzzPrograms,
    targets: &[String],
    span: &Span,
    jobs: usize,
) -> Result<Vec<String>> {
    let found = parallel::map(jobs, targets, |target| {
        Round::new(programs, target)?.fuzz(span)
    })?;
    Ok(found.into_iter().flatten().collect())
}

/// Where inputs are kept that were found on this machine, and what they reached.
fn folder() -> PathBuf {
    repo::target_dir().join("fuzzing")
}
