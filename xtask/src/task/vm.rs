//! `cargo xtask vm`: runs a command under other kernels.
//!
//! Debian's own kernels, booted in an emulated machine, which needs neither KVM
//! nor an image of a disk: the guest's root is the host's, with a layer in
//! memory over it, so that what was built here runs there and changes nothing.
//! Guests are some ten times slower than the host: no timing of theirs counts.

mod cpio;
mod guest;
mod image;
mod initrd;
mod job;
mod matrix;
mod outcome;
mod package;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;

pub(crate) use self::matrix::{Kernel, MATRIX};

use self::image::Image;
use self::job::Job;
use self::outcome::GuestOutcome;
use crate::provision::{cache, packages};
use crate::testbed::interrupt;

#[derive(Debug, Args)]
pub(crate) struct VmArguments {
    /// Kernels, such as 5.10 [default: all: 5.10, 6.1, 6.12, 6.18 and 7.3]
    #[arg(value_name = "KERNEL")]
    kernels: Vec<Kernel>,

    /// Seconds that a guest may take, its boot included
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,

    /// Look for newer kernels than the ones fetched before
    #[arg(long)]
    update: bool,

    /// Run as root in the guest, in this folder [default: uname -r]
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the command under each of the kernels, one after the other, also after
/// one has failed. Returns the first status that is not 0: the command's, 124
/// when time was up, or 125 when there was no run.
pub(crate) fn run(arguments: &VmArguments) -> Result<u8> {
    prepare()?;
    let command = if arguments.command.is_empty() {
        ["uname", "-r"].map(OsString::from).to_vec()
    } else {
        arguments.command.clone()
    };
    let job = job(command)?;
    let limit = Duration::from_secs(arguments.timeout);
    let kernels = match &arguments.kernels[..] {
        [] => &MATRIX[..],
        some => some,
    };
    if let [kernel] = kernels {
        let (outcome, line) = visit(*kernel, arguments.update, &job, limit)?;
        if outcome != GuestOutcome::Exit(0) {
            eprintln!("{line}");
        }
        return Ok(outcome.status());
    }
    let (mut worst, mut lines) = (0, Vec::new());
    for kernel in kernels {
        println!("== {}", kernel.name);
        let (outcome, line) = visit(*kernel, arguments.update, &job, limit)?;
        lines.push(line);
        if worst == 0 {
            worst = outcome.status();
        }
    }
    println!("\n{}", lines.join("\n"));
    Ok(worst)
}

/// Finds or installs what guests need, and clears away what killed runs left.
pub(crate) fn prepare() -> Result<()> {
    ensure!(
        cfg!(target_arch = "x86_64"),
        "the guests are x86-64 machines and run this machine's programs: it has to be one"
    );
    packages::ensure_also(&packages::GUESTS).context("cannot set up the guests' machine")?;
    cache::remove_orphans(&folder())
}

/// Runs one command under one kernel and writes what it prints to `output`.
/// Returns the kernel's release and the command's status, `None` if time was up.
/// Needs [`prepare`].
pub(crate) fn run_quietly(
    kernel: Kernel,
    command: Vec<OsString>,
    limit: Duration,
    output: &mut dyn Write,
) -> Result<(String, Option<u8>)> {
    let image = Image::get(kernel, false)?;
    let status = match guest::run(&image, &job(command)?, limit, output)? {
        GuestOutcome::Exit(status) => Some(status),
        GuestOutcome::TimedOut | GuestOutcome::Broken => None,
    };
    Ok((image.release, status))
}

/// One kernel's run, and the line that sums it up.
fn visit(
    kernel: Kernel,
    update: bool,
    job: &Job,
    limit: Duration,
) -> Result<(GuestOutcome, String)> {
    let mut name = kernel.name.to_owned();
    let mut begun = Instant::now();
    let outcome = Image::get(kernel, update).and_then(|image| {
        name.clone_from(&image.release);
        // What was fetched is no part of the guest's time.
        begun = Instant::now();
        guest::run(&image, job, limit, &mut io::stdout())
    });
    // After Ctrl-C there is nothing to go on with.
    interrupt::check()?;
    let outcome = outcome.unwrap_or_else(|error| {
        eprintln!("error: kernel {}: {error:#}", kernel.name);
        GuestOutcome::Broken
    });
    let seconds = begun.elapsed().as_secs_f64();
    Ok((outcome, format!("{name:<22} {outcome:<9} {seconds:>6.1} s")))
}

/// Git-ignored folder for the kernels of guests.
fn folder() -> PathBuf {
    cache::folder("kernels")
}

fn job(command: Vec<OsString>) -> Result<Job> {
    // The guest has the host's files: what is found here is found there.
    let environment = ["PATH", "HOME", "LANG"]
        .into_iter()
        .filter_map(|name| Some((name, env::var_os(name)?)))
        .collect();
    Ok(Job {
        command,
        folder: env::current_dir().context("cannot tell the current folder")?,
        environment,
    })
}
