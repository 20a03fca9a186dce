//! `tracer` shows what a slow PostgreSQL commit waited for. This crate is its
//! userspace: it loads the kernel programs of `tracer-ebpf`, follows their
//! counters, and writes the report.
//!
//! Data flows one way: `probe` → `decode` → `flow` → `report` → `sink` and `live`.

pub mod app;
pub mod boundary;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod decode;
pub mod events;
pub mod flow;
pub mod inject;
pub mod kernel;
pub mod live;
pub mod loader;
pub mod output;
pub mod preflight;
pub mod probe;
pub mod process;
pub mod report;
pub mod session;
pub mod sink;

use std::process::ExitCode;

use crate::cli::{CheckArguments, RunArguments};
use crate::config::Config;

/// Exit code for a command line that does not make sense.
pub const EXIT_USAGE: u8 = 2;
/// Exit code for everything else that went wrong.
pub const EXIT_FAILURE: u8 = 1;

/// Runs `tracer check`.
#[must_use]
pub fn check(arguments: &CheckArguments) -> ExitCode {
    let question = match check::Question::from_arguments(arguments) {
        Ok(question) => question,
        Err(error) => {
            eprintln!("tracer: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match check::run(&question) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILURE),
        Err(error) => {
            eprintln!("tracer: {error:#}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}

/// Runs `tracer run`; errors end up as one line on standard error.
pub fn run(arguments: &RunArguments) -> ExitCode {
    let config = match Config::from_arguments(arguments) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("tracer: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match app::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tracer: {error:#}");
            ExitCode::from(EXIT_FAILURE)
        }
    }
}
