//! `cargo xtask`: what a developer or newcomer runs.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{interrupt, setup};

/// Everything around tracer: set-up, demo, tests, benchmark.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Find or install everything that building, testing and the lab need
    Setup,
}

fn main() -> ExitCode {
    let task = Cli::parse().task;
    let done = interrupt::install().and_then(|()| match task {
        Task::Setup => setup::run(),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
