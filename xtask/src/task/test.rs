//! `cargo xtask test`: format, lints, dependencies, and every test.
//!
//! Clippy does not see the kernel programs: it has no `core` for their target.

use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;

use crate::provision::{nextest, packages, repo};
use crate::task::{deny, fuzz, kernels, setup};
use crate::testbed::{command, postgres};

/// What can be chosen about the test run.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Run only tests whose names contain one of these (after `--`)
    #[arg(last = true, value_name = "FILTER")]
    filters: Vec<String>,
}

/// Runs every step, also after one has failed, and prints the time of each.
///
/// # Errors
/// When any step failed.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut failed = Vec::new();
    let mut times = Vec::new();
    let mut step = |name: &'static str, work: &dyn Fn() -> Result<()>| -> Result<()> {
        println!("\n== {name}");
        let begun = Instant::now();
        let outcome = work();
        let seconds = begun.elapsed().as_secs_f64();
        let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
        times.push(format!("{name:<8} {verdict:<6} {seconds:>6.1} s"));
        if let Err(error) = outcome {
            // After Ctrl-C there is nothing to go on with.
            crate::testbed::interrupt::check()?;
            eprintln!("error: {error:#}");
            failed.push(name);
        }
        Ok(())
    };
    step("setup", &|| {
        setup::run()?;
        packages::ensure_for_cluster()?;
        packages::ensure_for_alerts()?;
        packages::ensure_for_tests()?;
        packages::ensure_for_fuzzing()?;
        nextest::ensure()?;
        deny::ensure().map(drop)
    })?;
    step("format", &|| cargo(&["fmt", "--all", "--check"]))?;
    step("lints", &|| {
        cargo(&[
            "clippy",
            "--workspace",
            "--exclude",
            "tracer-ebpf",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ])
    })?;
    step("deny", &deny::check)?;
    if arguments.filters.is_empty() {
        step("servers", &|| {
            postgres::fetch();
            Ok(())
        })?;
    }
    step("tests", &|| tests(&arguments.filters))?;
    if arguments.filters.is_empty() {
        step("fuzzing", &fuzz::brief)?;
        step("kernels", &|| kernels::run(&kernels::Arguments::default()))?;
    }

    println!("\n{}", times.join("\n"));
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed: {}", failed.join(", "))
}

/// Without filters, what depends on the kernel is left to the step that runs it
/// under all of them, this machine's own included.
fn tests(filters: &[String]) -> Result<()> {
    let run = [
        "nextest",
        "run",
        "--workspace",
        "--exclude",
        "tracer-ebpf",
        "--no-fail-fast",
        "--no-tests=pass",
    ];
    let rest = [
        "--filterset",
        "not (package(tracer) and test(/^kernels::/))",
    ];
    let rest = if filters.is_empty() { &rest[..] } else { &[] };
    // As cargo would call it, which does not look into `.toolchain`.
    let mut nextest = Command::new(nextest::ensure()?);
    nextest.args(run).args(rest).args(filters);
    command::show(nextest.current_dir(repo::root()))?;
    // nextest leaves these out.
    cargo(&["test", "--quiet", "--doc"])
}

fn cargo(arguments: &[&str]) -> Result<()> {
    let mut cargo = Command::new("cargo");
    command::show(cargo.current_dir(repo::root()).args(arguments))
}
