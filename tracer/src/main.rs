//! `tracer`: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use tracer::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are not errors; both exit 0.
            let code = if error.use_stderr() {
                tracer::EXIT_USAGE
            } else {
                0
            };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match cli.command {
        Command::Run(arguments) => tracer::run(&arguments),
        Command::Check(arguments) => tracer::check(&arguments),
        Command::Guard => tracer::inject::guard_main(),
    }
}
