//! `cargo xtask lab`: starts, shows and ends the cluster, and runs the experiments.

use std::time::Instant;

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};

use crate::lab::timing::Timing;
use crate::lab::{experiment, leftover, supervisor};
use crate::provision::{packages, repo};
use crate::testbed::{interrupt, netns};

#[derive(Debug, Args)]
pub(crate) struct LabArguments {
    #[command(subcommand)]
    task: LabTask,
}

#[derive(Debug, Subcommand)]
enum LabTask {
    /// Start the cluster and leave it running
    Up(Timing),
    /// Take the cluster down, and whatever crashed runs have left
    Down,
    /// Tell who is what in the cluster that runs
    Status,
    /// Give half of the standby's segments to the primary a bad checksum
    PartialLoss(experiment::ExperimentArguments),
    /// Switch the primary off, in good order and like a power cut
    Failover(experiment::ExperimentArguments),
    /// Keep the primary's processor busy, and stall its disk
    Load(experiment::ExperimentArguments),
    /// Cut databases off: can two of them take writes?
    SplitBrain(experiment::ExperimentArguments),
    /// Cut the standby off for long, and watch it catch up
    LongIsolation(experiment::ExperimentArguments),
    /// Let etcd lose a member, and its quorum
    Dependency(experiment::ExperimentArguments),
    /// Cut the standby off while Prometheus scrapes tracer: do the alerts fire?
    Alerts(experiment::ExperimentArguments),
    /// Run all experiments, one after the other
    All(experiment::ForAll),
    /// Own the cluster until told to end
    #[command(hide = true, name = supervisor::COMMAND)]
    Supervise(Timing),
}

pub(crate) fn run(arguments: &LabArguments) -> Result<()> {
    match &arguments.task {
        LabTask::Up(timing) => {
            prepare()?;
            supervisor::up(timing)
        }
        LabTask::Down => supervisor::down(),
        LabTask::Status => supervisor::status(),
        LabTask::Supervise(timing) => supervisor::supervise(timing),
        LabTask::Failover(arguments) => experiment("failover", arguments),
        LabTask::Load(arguments) => experiment("load", arguments),
        LabTask::SplitBrain(arguments) => experiment("split-brain", arguments),
        LabTask::LongIsolation(arguments) => experiment("long-isolation", arguments),
        LabTask::Dependency(arguments) => experiment("dependency", arguments),
        LabTask::Alerts(arguments) => experiment("alerts", arguments),
        LabTask::All(arguments) => all(arguments),
        LabTask::PartialLoss(arguments) => experiment("partial-loss", arguments),
    }
}

fn experiment(name: &str, arguments: &experiment::ExperimentArguments) -> Result<()> {
    prepare()?;
    leftover::remove()?;
    experiment::run(name, arguments, &repo::build_release()?)
}

/// Goes on after an experiment that failed: its neighbours stand for themselves.
fn all(arguments: &experiment::ForAll) -> Result<()> {
    prepare()?;
    leftover::remove()?;
    let begun = Instant::now();
    let program = repo::build_release()?;
    let mut failed = Vec::new();
    for name in experiment::names() {
        if let Err(error) = experiment::run(name, &arguments.of(name), &program) {
            interrupt::check()?;
            eprintln!("error: {error:#}");
            failed.push(name);
        }
    }
    println!(
        "\nall        after {:.1} minutes",
        begun.elapsed().as_secs_f64() / 60.0
    );
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn prepare() -> Result<()> {
    netns::require_root()?;
    packages::ensure()?;
    packages::ensure_also(&packages::CLUSTER)?;
    packages::ensure_also(&packages::ALERTS)
}
