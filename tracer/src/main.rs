//! `tracer`: parse, run, exit code.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser;
use tracer::cli::{Cli, Command};

fn main() -> ExitCode {
    tracer::descriptors::raise();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are not errors; both exit 0.
            let code = if error.use_stderr() {
                tracer::EXIT_USAGE
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
    match cli.command {
        Command::Run(arguments) => tracer::run(&arguments),
        Command::Report(arguments) => tracer::report(&arguments),
        Command::Merge(arguments) => tracer::merge(&arguments),
        Command::Replay(arguments) => tracer::replay(&arguments),
        Command::Check(arguments) => tracer::check(&arguments),
        Command::Inject(arguments) => tracer::inject(&arguments),
        Command::Clean => tracer::clean(),
        Command::Guard => tracer::inject::guard_main(),
    }
}
