//! `cargo xtask lab`: a real cluster on one machine, and the experiments with it.
//!
//! Patroni, etcd, HAProxy and PostgreSQL as Debian packages them, each host in a
//! namespace of its own.

mod check;
mod clients;
pub mod cluster;
mod daemon;
pub mod etcd;
pub mod experiment;
pub mod haproxy;
mod keeper;
mod leftover;
mod outcome;
mod overlap;
pub mod patroni;
mod perform;
mod result;
mod stage;
pub mod timing;
mod tracer;
mod watch;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use self::timing::Timing;
use crate::{netns, packages, repo};

/// What can be chosen about the lab.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Start the cluster and leave it running
    Up(Timing),
    /// Take the cluster down, and whatever crashed runs have left
    Down,
    /// Tell who is what in the cluster that runs
    Status,
    /// Damage half of the standby's segments to the primary
    PartialLoss(experiment::Arguments),
    /// Own the cluster until told to end
    #[command(hide = true, name = keeper::COMMAND)]
    Keep(Timing),
}

/// Does it.
///
/// # Errors
/// When a step fails; what was built for an experiment is taken down first.
pub fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.task {
        Task::Up(timing) => {
            prepare()?;
            keeper::up(timing)
        }
        Task::Down => keeper::down(),
        Task::Status => keeper::status(),
        Task::Keep(timing) => keeper::keep(timing),
        Task::PartialLoss(arguments) => experiment("partial-loss", arguments),
    }
}

fn experiment(name: &str, arguments: &experiment::Arguments) -> Result<()> {
    prepare()?;
    leftover::remove()?;
    experiment::run(name, arguments)
}

fn prepare() -> Result<()> {
    netns::require_root()?;
    packages::ensure()?;
    packages::ensure_for_cluster()
}

/// Where the logs of clusters are kept, also after them.
fn logs() -> PathBuf {
    repo::target_dir().join("lab")
}

/// An empty folder for the logs of one.
fn log_folder(name: &str) -> Result<PathBuf> {
    let folder = logs().join(name);
    // Not there: nothing to remove.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}
