//! The commands: what was typed is validated, done, and ends in an exit code. Whatever goes
//! wrong is one line on standard error.

pub(crate) mod check;
pub(crate) mod clean;
pub(crate) mod compare;
mod document;
pub(crate) mod explain;
pub(crate) mod inject;
pub(crate) mod log;
pub(crate) mod merge;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod signals;

use std::process::ExitCode;

use crate::cli::Command;
use crate::config::ConfigError;
use crate::files::SameFile;
use crate::inject::{InjectError, guard_main};
use crate::kernel::descriptors;
use crate::terminal;

/// Exit code for a command line that does not make sense.
pub const EXIT_USAGE: u8 = 2;
const EXIT_SUCCESS: u8 = 0;
/// Exit code for everything else that went wrong.
const EXIT_FAILURE: u8 = 1;
/// Exit code for a comparison in which something is so that was to fail.
const EXIT_CONDITION: u8 = 3;

/// Does what was typed.
#[must_use]
pub fn execute(command: &Command) -> ExitCode {
    descriptors::raise();
    let outcome = match command {
        Command::Run(arguments) => run::run(arguments).map(|()| EXIT_SUCCESS),
        Command::Report(arguments) => report::run(arguments).map(|()| EXIT_SUCCESS),
        Command::Explain(arguments) => explain::run(arguments).map(|()| EXIT_SUCCESS),
        Command::Compare(arguments) => compare::run(arguments).map(|is_met| match is_met {
            true => EXIT_CONDITION,
            false => EXIT_SUCCESS,
        }),
        Command::Merge(arguments) => merge::run(arguments).map(|()| EXIT_SUCCESS),
        Command::Replay(arguments) => replay::run(arguments).map(|()| EXIT_SUCCESS),
        Command::Check(arguments) => check::run(arguments).map(code),
        Command::Inject(arguments) => inject::run(arguments).map(code),
        Command::Clean => clean::run().map(code),
        Command::Guard => return guard_main(),
    };
    let code = match outcome {
        Ok(code) => code,
        // Its cause is in its own words.
        Err(error) if is_usage(&error) => {
            terminal::say(format_args!("tracer: {error}"));
            EXIT_USAGE
        }
        Err(error) => {
            terminal::say_error(&error);
            EXIT_FAILURE
        }
    };
    terminal::settle();
    ExitCode::from(code)
}

const fn code(is_success: bool) -> u8 {
    match is_success {
        true => EXIT_SUCCESS,
        false => EXIT_FAILURE,
    }
}

/// Whether the command line is at fault; of some faults that shows only at the interface.
fn is_usage(error: &anyhow::Error) -> bool {
    use InjectError::{Impossible, Interface, NoInterface, NoPeer, OtherZone, TooMany, Zone};
    error.is::<ConfigError>()
        || error.is::<SameFile>()
        || matches!(
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
