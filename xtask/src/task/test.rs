//! `cargo xtask test`: format, lints, dependencies, and every test.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::provision::packages::{self, ALERTS, CLUSTER, FUZZING, TESTS};
use crate::provision::{repo, tool};
use crate::task::steps::Steps;
use crate::task::{deny, fuzz, kernels, lint, setup};
use crate::testbed::{command, postgres};

#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Run only tests whose names contain one of these (after `--`)
    #[arg(last = true, value_name = "FILTER")]
    filters: Vec<String>,
}

/// Runs every step, also after one has failed, and prints the time of each.
pub(crate) fn run(arguments: &TestArguments) -> Result<()> {
    let mut steps = Steps::default();
    steps.make("setup", || {
        setup::run()?;
        for needs in [CLUSTER, ALERTS, TESTS, FUZZING] {
            packages::ensure_also(&needs)?;
        }
        tool::NEXTEST.ensure()?;
        deny::DENY.ensure().map(drop)
    })?;
    steps.make("format", lint::format)?;
    steps.make("lints", lint::check)?;
    steps.make("deny", deny::check)?;
    let whole = arguments.filters.is_empty();
    if whole {
        steps.make("servers", || {
            postgres::fetch();
            Ok(())
        })?;
    }
    steps.make("tests", || tests(&arguments.filters))?;
    if whole {
        steps.make("fuzzing", fuzz::brief)?;
        steps.make("kernels", || {
            kernels::run(&kernels::KernelsArguments::default())
        })?;
    }
    steps.finish()
}

/// Without filters, what depends on the kernel is left to the step that runs it
/// under all of them, this machine's own included.
fn tests(filters: &[String]) -> Result<()> {
    // As cargo would call it, which does not search `.toolchain`.
    let mut nextest = Command::new(tool::NEXTEST.ensure()?);
    nextest
        .args(["nextest", "run", "--workspace"])
        .args(["--no-fail-fast", "--no-tests=pass"]);
    if filters.is_empty() {
        let rest = "not (package(tracer) and test(/^run::kernels::/))";
        nextest.args(["--filterset", rest]);
    }
    nextest.args(filters);
    command::show(nextest.current_dir(repo::root()))?;
    // nextest leaves these out.
    command::show(repo::cargo().args(["test", "--quiet", "--doc"]))
}
