//! The commands: what was typed is validated, done, and ends in an exit code. Whatever goes
//! wrong is one line on standard error.

pub(crate) mod check;
pub(crate) mod clean;
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
/// Exit code for everything else that went wrong.
const EXIT_FAILURE: u8 = 1;

/// Does what was typed.
#[must_use]
pub fn execute(command: &Command) -> ExitCode {
    descriptors::raise();
    let outcome = match command {
        Command::Run(arguments) => run::run(arguments).map(|()| true),
        Command::Report(arguments) => report::run(arguments).map(|()| true),
        Command::Explain(arguments) => explain::run(arguments).map(|()| true),
        Command::Merge(arguments) => merge::run(arguments).map(|()| true),
        Command::Replay(arguments) => replay::run(arguments).map(|()| true),
        Command::Check(arguments) => check::run(arguments),
        Command::Inject(arguments) => inject::run(arguments),
        Command::Clean => clean::run(),
        Command::Guard => return guard_main(),
    };
    let code = match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILURE),
        // Its cause is in its own words.
        Err(error) if is_usage(&error) => {
            terminal::say(format_args!("tracer: {error}"));
            ExitCode::from(EXIT_USAGE)
        }
        Err(error) => {
            terminal::say_error(&error);
            ExitCode::from(EXIT_FAILURE)
        }
    };
    terminal::settle();
    code
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
