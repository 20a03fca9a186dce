//! `tracer` shows what a slow PostgreSQL commit waited for. This crate is its
//! userspace: it loads the kernel programs of `tracer-ebpf`, follows their
//! counters, and writes the report.
//!
//! Data flows one way: `probe` → `decode` → `flow` → `correlate` → `report` → `sink`
//! and `live`.

#![warn(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "they panic when the reader is gone; see `output`"
)]

pub mod app;
pub mod boundary;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod descriptors;
pub mod events;
pub mod fault;
#[doc(hidden)]
pub mod foreign;
pub mod inject;
pub mod kernel;
pub mod listen;
pub mod live;
pub mod loader;
pub mod merge;
pub mod output;
pub mod postgres;
pub mod preflight;
pub mod present;
pub mod probe;
pub mod process;
pub mod program;
pub mod replay;
pub mod session;
pub mod signals;
pub mod time;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::{
    CheckArguments, InjectArguments, MergeArguments, ReplayArguments, ReportArguments, RunArguments,
};
use crate::config::Config;
use crate::output::{SameFile, distinct, stderr};

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
    let output = ("--output", arguments.output.as_deref());
    if let Err(error) = unread(std::slice::from_ref(&arguments.file), output) {
        return usage(&error);
    }
    exit(present::run(&request).map(|()| true))
}

/// Runs `tracer merge`; errors end up as one line on standard error.
#[must_use]
pub fn merge(arguments: &MergeArguments) -> ExitCode {
    let output = ("--output", arguments.output.as_deref());
    if let Err(error) = unread(&arguments.files, output) {
        return usage(&error);
    }
    exit(merge::run(arguments).map(|()| true))
}

/// Runs `tracer replay`; errors end up as one line on standard error.
#[must_use]
pub fn replay(arguments: &ReplayArguments) -> ExitCode {
    let request = match replay::Request::from_arguments(arguments) {
        Ok(request) => request,
        Err(error) => return usage(&error),
    };
    let output = ("--json", arguments.json.as_deref());
    if let Err(error) = unread(&arguments.files, output) {
        return usage(&error);
    }
    exit(replay::run(&request).map(|()| true))
}

/// Runs `tracer inject`; errors end up as one line on standard error.
#[must_use]
pub fn inject(arguments: &InjectArguments) -> ExitCode {
    let command = match fault::Command::from_arguments(arguments) {
        Ok(command) => command,
        Err(error) => return usage(&error),
    };
    let files = [
        ("--json", arguments.json.as_deref()),
        ("--ready-file", arguments.ready_file.as_deref()),
    ];
    if let Err(error) = distinct(&files) {
        return usage(&error);
    }
    exit(fault::run(&command))
}

/// Runs `tracer clean`.
#[must_use]
pub fn clean() -> ExitCode {
    exit(fault::clean())
}

/// What is read must not be overwritten. Of standard input and output, both called `-`,
/// nobody can tell.
fn unread(read: &[PathBuf], written: (&'static str, Option<&Path>)) -> Result<(), SameFile> {
    if written.1 == Some(Path::new("-")) {
        return Ok(());
    }
    let mut named = read.iter().filter(|path| *path != Path::new("-"));
    named.try_for_each(|path| distinct(&[("FILE", Some(path)), written]))
}

/// A command line that does not make sense, told in a line.
fn usage(error: &impl std::fmt::Display) -> ExitCode {
    stderr::say(format_args!("tracer: {error}"));
    stderr::settle();
    ExitCode::from(EXIT_USAGE)
}

/// Success only if everything is as it should be.
fn exit(outcome: anyhow::Result<bool>) -> ExitCode {
    let code = match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILURE),
        Err(error) => {
            tell(&error);
            ExitCode::from(if is_usage(&error) {
                EXIT_USAGE
            } else {
                EXIT_FAILURE
            })
        }
    };
    stderr::settle();
    code
}

/// Says what went wrong, in a line.
fn tell(error: &anyhow::Error) {
    let text = descriptors::explained(format!("{error:#}"));
    stderr::say(format_args!("tracer: {text}"));
}

/// What the command line asks for is found impossible only when the interface is
/// looked at.
fn is_usage(error: &anyhow::Error) -> bool {
    use crate::inject::InjectError::{
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
    let files = [
        ("--json", config.json.as_deref()),
        ("--events", config.events.as_deref()),
        ("--ready-file", config.ready_file.as_deref()),
    ];
    if let Err(error) = distinct(&files) {
        return usage(&error);
    }
    exit(app::run(&config).map(|()| true))
}
