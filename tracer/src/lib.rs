//! `tracer` shows what a slow PostgreSQL commit waited for. This crate is its
//! userspace: it loads the kernel programs of `tracer-ebpf`, follows their
//! counters, and writes the report.
//!
//! Data flows one way: `probe` → `decode` → `flow` → `correlate` → `report` → `sink`
//! and `live`.

pub mod app;
pub mod boundary;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod correlate;
pub mod damage;
pub mod decode;
pub mod events;
pub mod fault;
pub mod flow;
pub mod holes;
pub mod inject;
pub mod kernel;
pub mod kinds;
pub mod listen;
pub mod live;
pub mod loader;
pub mod merge;
pub mod metrics;
pub mod output;
pub mod path;
pub mod postgres;
pub mod preflight;
pub mod present;
pub mod probe;
pub mod process;
pub mod replay;
pub mod report;
pub mod session;
pub mod signals;
pub mod sink;
pub mod time;

use std::process::ExitCode;

use crate::cli::{
    CheckArguments, InjectArguments, MergeArguments, ReplayArguments, ReportArguments, RunArguments,
};
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
        Err(error) => return usage(&error),
    };
    exit(check::run(&question))
}

/// Runs `tracer report`; errors end up as one line on standard error.
#[must_use]
pub fn report(arguments: &ReportArguments) -> ExitCode {
    let request = match present::Request::from_arguments(arguments) {
        Ok(request) => request,
        Err(error) => return usage(&error),
    };
    exit(present::run(&request).map(|()| true))
}

/// Runs `tracer merge`; errors end up as one line on standard error.
#[must_use]
pub fn merge(arguments: &MergeArguments) -> ExitCode {
    exit(merge::run(arguments).map(|()| true))
}

/// Runs `tracer replay`; errors end up as one line on standard error.
#[must_use]
pub fn replay(arguments: &ReplayArguments) -> ExitCode {
    let request = match replay::Request::from_arguments(arguments) {
        Ok(request) => request,
        Err(error) => return usage(&error),
    };
    exit(replay::run(&request).map(|()| true))
}

/// Runs `tracer inject`; errors end up as one line on standard error.
#[must_use]
pub fn inject(arguments: &InjectArguments) -> ExitCode {
    let command = match fault::Command::from_arguments(arguments) {
        Ok(command) => command,
        Err(error) => return usage(&error),
    };
    exit(fault::run(&command))
}

/// Runs `tracer clean`.
#[must_use]
pub fn clean() -> ExitCode {
    exit(fault::clean())
}

/// A command line that does not make sense, told in a line.
fn usage(error: &impl std::fmt::Display) -> ExitCode {
    eprintln!("tracer: {error}");
    ExitCode::from(EXIT_USAGE)
}

/// Success only if everything is as it should be.
fn exit(outcome: anyhow::Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILURE),
        Err(error) => {
            eprintln!("tracer: {error:#}");
            ExitCode::from(if is_usage(&error) {
                EXIT_USAGE
            } else {
                EXIT_FAILURE
            })
        }
    }
}

/// What the command line asks for is found impossible only when the interface is
/// looked at.
fn is_usage(error: &anyhow::Error) -> bool {
    use inject::InjectError::{
        Impossible, Interface, NoInterface, NoPeer, OtherZone, TooMany, Zone,
    };
    matches!(
        error.downcast_ref(),
        Some(
            Impossible(_)
                | Interface { .. }
                | NoInterface { .. }
                | NoPeer
                | OtherZone { .. }
                | TooMany { .. }
                | Zone { .. }
        )
    )
}

/// Runs `tracer run`; errors end up as one line on standard error.
pub fn run(arguments: &RunArguments) -> ExitCode {
    let config = match Config::from_arguments(arguments) {
        Ok(config) => config,
        Err(error) => return usage(&error),
    };
    exit(app::run(&config).map(|()| true))
}
