//! `tracer`: parse, run, exit code.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser;
use tracer::cli::Cli;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are not errors; both exit 0.
            let code = if error.use_stderr() {
                tracer::command::EXIT_USAGE
            } else {
                0
            };
            let _ = if error.use_stderr() {
                writeln!(io::stderr(), "{}", tracer::cli::one_line(&error))
            } else {
                error.print()
            };
            return ExitCode::from(code);
        }
    };
    tracer::command::execute(&cli.command)
}
