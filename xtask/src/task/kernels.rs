//! `cargo xtask kernels`: the tests that depend on the kernel, under every
//! kernel of the matrix and under this machine's own.
//!
//! It runs the tests of `tracer` whose names begin with `run::kernels::` and knows
//! none of them: what they say of themselves becomes the table.

mod cell;
mod page;
mod suite;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;

use self::page::{KernelRow, Page};
use self::suite::{Machine, Suite, SuiteRun};
use crate::provision::repo;
use crate::task::vm::{self, Kernel};
use crate::testbed::{file, netns, parallel};

#[derive(Debug, Default, Args)]
pub(crate) struct KernelsArguments {
    /// Kernels, such as 5.10 [default: every one, and this machine's own]
    #[arg(value_name = "KERNEL")]
    kernels: Vec<Kernel>,

    /// Write the table to docs/kernels.md instead of comparing it with that
    #[arg(long, conflicts_with = "kernels")]
    write: bool,
}

struct Visit {
    row: KernelRow,
    seconds: f64,
    log: PathBuf,
    /// Why it is no success.
    failure: Option<String>,
}

/// Runs the tests everywhere, prints the table, and compares it with the one in
/// the documentation or writes it there.
pub(crate) fn run(arguments: &KernelsArguments) -> Result<()> {
    netns::require_root()?;
    vm::prepare()?;
    let suite = Suite::build()?;
    let folder = suite::folder();
    file::make_folder(&folder)?;

    // As many at a time as there are processors: a guest has one, and its tests run
    // several at a time, so that it uses it.
    let jobs = thread::available_parallelism()?.get();
    let visits = parallel::map(jobs, &machines(&arguments.kernels), |machine| {
        visit(&suite, *machine)
    })?;
    let failed = visits.iter().filter_map(|visit| {
        let (kernel, log) = (&visit.row.kernel, visit.log.display());
        let failure = visit.failure.as_ref()?;
        Some(format!("{kernel}: {failure}\n  all of it: {log}"))
    });
    let failed: Vec<String> = failed.collect();
    let page = Page::new(visits.into_iter().map(|visit| visit.row).collect());
    println!("\n{}", page.verdicts());
    let now = folder.join("kernels.md");
    file::write(&now, page.render())?;
    if !failed.is_empty() {
        bail!("the tests failed\n{}", failed.join("\n"));
    }
    let path = repo::root().join("docs/kernels.md");
    if arguments.write {
        return file::write(&path, page.render());
    }
    let written = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}: make it with --write", path.display()))?;
    let changes = page.changes(&written);
    if !changes.is_empty() {
        bail!(
            "docs/kernels.md says otherwise; if that is meant, run `cargo xtask kernels --write`:\n{}",
            changes.join("\n")
        );
    }
    Ok(())
}

fn machines(chosen: &[Kernel]) -> Vec<Machine> {
    if chosen.is_empty() {
        let guests = vm::MATRIX.into_iter().map(Machine::Guest);
        [Machine::Own].into_iter().chain(guests).collect()
    } else {
        chosen.iter().copied().map(Machine::Guest).collect()
    }
}

fn visit(suite: &Suite, machine: Machine) -> Result<Visit> {
    let begun = Instant::now();
    let log = suite::log(machine)?;
    // A guest that broke down is that kernel's failure: the others go on.
    let run = suite.run(machine, &log).unwrap_or_else(|error| SuiteRun {
        failure: Some(format!("{error:#}")),
        ..SuiteRun::default()
    });
    let visit = Visit {
        row: KernelRow {
            kernel: machine.name()?,
            release: run.release,
            compared: machine != Machine::Own,
            cells: run.cells,
        },
        seconds: begun.elapsed().as_secs_f64(),
        log,
        failure: run.failure,
    };
    let verdict = visit.failure.as_ref().map_or("ok", |_| "FAILED");
    println!(
        "{:<24} {verdict:<7} {:>6.1} s",
        visit.row.kernel, visit.seconds
    );
    Ok(visit)
}
