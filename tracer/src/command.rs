//! The commands: what was typed is validated, done, and ends in an exit code. Whatever goes
//! wrong is one line on standard error.

pub(crate) mod check;
pub(crate) mod clean;
pub(crate) mod inject;
pub(crate) mod log;
pub(crate) mod merge;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod signals;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::{
    CheckArguments, Command, InjectArguments, MergeArguments, ReplayArguments, ReportArguments,
    RunArguments,
};
use crate::config::Config;
use crate::files::{SameFile, distinct};
use crate::inject::guard_main;
use crate::kernel::descriptors;
use crate::terminal;

/// Exit code for a command line that does not make sense.
pub const EXIT_USAGE: u8 = 2;
/// Exit code for everything else that went wrong.
pub const EXIT_FAILURE: u8 = 1;

/// Does what was typed.
#[must_use]
pub fn execute(command: &Command) -> ExitCode {
    descriptors::raise();
    match command {
        Command::Run(arguments) => run(arguments),
        Command::Report(arguments) => report(arguments),
        Command::Merge(arguments) => merge(arguments),
        Command::Replay(arguments) => replay(arguments),
        Command::Check(arguments) => check(arguments),
        Command::Inject(arguments) => inject(arguments),
        Command::Clean => exit(clean::run()),
        Command::Guard => guard_main(),
    }
}

fn run(arguments: &RunArguments) -> ExitCode {
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
    exit(run::run(&config).map(|()| true))
}

fn check(arguments: &CheckArguments) -> ExitCode {
    let question = match check::Question::from_arguments(arguments) {
        Ok(question) => question,
        Err(error) => return usage(&error),
    };
    exit(check::run(&question))
}

fn report(arguments: &ReportArguments) -> ExitCode {
    let request = match report::ReportRequest::from_arguments(arguments) {
        Ok(request) => request,
        Err(error) => return usage(&error),
    };
    let output = ("--output", arguments.output.as_deref());
    if let Err(error) = unread(std::slice::from_ref(&arguments.file), output) {
        return usage(&error);
    }
    exit(report::run(&request).map(|()| true))
}

fn merge(arguments: &MergeArguments) -> ExitCode {
    let output = ("--output", arguments.output.as_deref());
    if let Err(error) = unread(&arguments.files, output) {
        return usage(&error);
    }
    exit(merge::run(arguments).map(|()| true))
}

fn replay(arguments: &ReplayArguments) -> ExitCode {
    let request = match replay::ReplayRequest::from_arguments(arguments) {
        Ok(request) => request,
        Err(error) => return usage(&error),
    };
    let output = ("--json", arguments.json.as_deref());
    if let Err(error) = unread(&arguments.files, output) {
        return usage(&error);
    }
    exit(replay::run(&request).map(|()| true))
}

fn inject(arguments: &InjectArguments) -> ExitCode {
    let command = match inject::InjectTask::from_arguments(arguments) {
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
    exit(inject::run(&command))
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
    terminal::say(format_args!("tracer: {error}"));
    terminal::settle();
    ExitCode::from(EXIT_USAGE)
}

/// Success only if everything is as it should be.
fn exit(outcome: anyhow::Result<bool>) -> ExitCode {
    let code = match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILURE),
        Err(error) => {
            terminal::say_error(&error);
            ExitCode::from(if is_usage(&error) {
                EXIT_USAGE
            } else {
                EXIT_FAILURE
            })
        }
    };
    terminal::settle();
    code
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
