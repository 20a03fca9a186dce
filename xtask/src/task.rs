//! What a developer runs: one file, or folder, for each `cargo xtask …`.

pub mod bench;
mod blind;
mod btf;
mod check;
mod demo;
mod deny;
mod fuzz;
mod kernels;
mod lab;
mod lint;
mod picture;
mod setup;
pub mod soak;
mod steps;
mod test;
pub mod torture;
mod vm;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::testbed::interrupt;

/// Everything around tracer: set-up, demo, tests, benchmark.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Find or install everything that building, testing and the lab need
    Setup,
    /// Give a standby's replies a bad checksum in a lab of namespaces, and show what tracer sees
    Demo(demo::DemoArguments),
    /// Check format and lints, and run the tests that need neither root nor a package
    Check,
    /// Check format, lints and dependencies, and run every test
    Test(test::TestArguments),
    /// A cluster with Patroni on this machine, and the experiments with it
    Lab(lab::LabArguments),
    /// Look for input that makes one of tracer's parsers panic
    Fuzz(fuzz::FuzzArguments),
    /// Run the tests that depend on the kernel under every kernel of the matrix
    Kernels(kernels::KernelsArguments),
    /// Measure how soon tracer counts, its memory, and what a retransmit or a commit costs
    Bench(bench::BenchArguments),
    /// Run tracer for hours beside servers that restart, and see that nothing of it grows
    Soak(soak::SoakArguments),
    /// Break a wire, disks and processes at random, and hold what tracer finds against it
    Blind(blind::BlindArguments),
    /// Run the tool while signals, limits, disks and networks do their worst to it
    Torture(torture::TortureArguments),
    /// Make the README's pictures, of a real report and of a real run
    Picture(picture::PictureArguments),
    /// Cut a kernel's BTF down to what the tests of the offsets need
    Btf {
        /// A kernel image, an ELF file or raw BTF
        input: PathBuf,
        /// Where the small file goes
        output: PathBuf,
    },
    /// Run a command under Debian's kernels, in guests that see this machine's files
    Vm(vm::VmArguments),
}

/// Runs what was typed, and takes down what was set up, also after Ctrl-C.
pub fn main() -> ExitCode {
    let task = Cli::parse().task;
    let done = interrupt::install().and_then(|()| run(task));
    match (done, interrupt::caught()) {
        (Ok(status), _) => status,
        // Whatever failed then, failed for that reason.
        (Err(_), Some(signal)) => {
            eprintln!("stopped by {signal}; what was set up is taken down");
            // As shells report an end by signal; all of these are below 16.
            ExitCode::from(128 + u8::try_from(signal as i32).unwrap_or_default())
        }
        (Err(error), None) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    let done = match task {
        Task::Setup => setup::run(),
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Check => check::run(),
        Task::Test(arguments) => test::run(&arguments),
        Task::Lab(arguments) => lab::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Kernels(arguments) => kernels::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Soak(arguments) => soak::run(&arguments),
        Task::Blind(arguments) => blind::run(&arguments),
        Task::Torture(arguments) => torture::run(&arguments),
        Task::Picture(arguments) => picture::run(&arguments),
        Task::Btf { input, output } => btf::run(&input, &output),
        Task::Vm(arguments) => return vm::run(&arguments).map(ExitCode::from),
    };
    done.map(|()| ExitCode::SUCCESS)
}
