//! `tracer`: parse, run, exit code.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser;
use tracer::cli::Cli;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => tracer::command::execute(&cli.command),
        Err(error) if error.use_stderr() => {
            let _ = writeln!(io::stderr(), "{}", tracer::cli::one_line(&error));
            ExitCode::from(tracer::command::EXIT_USAGE)
        }
        // Help and version are not errors.
        Err(error) => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
    }
}
