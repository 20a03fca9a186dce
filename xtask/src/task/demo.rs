//! `cargo xtask demo`: the tool's main job on one machine, start to end.
//!
//! A primary and its synchronous standby in two namespaces, a client in a
//! third; the standby's replies have a bad checksum for a while, and tracer shows
//! whose segments were retransmitted and what that did to commits.

mod how;
mod summary;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use clap::Args;
use tracer_core::report::Report;

use crate::lab::provenance;
use crate::lab::staging::{self, Staging};
use crate::provision::repo;
use crate::task::setup;
use crate::testbed::command::{self, Running};
use crate::testbed::load::clients::{Clients, Profile};
use crate::testbed::load::phase::Phases;
use crate::testbed::load::record;
use crate::testbed::netns::{Host, Net};
use crate::testbed::postgres::Pair;
use crate::testbed::{file, interrupt, netns};

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Folder for run.json, load.json and how.md [default: results/demo of this repository]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// How many of the standby's packets get a bad checksum
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=100))]
    percent: u8,

    /// Seconds of normal operation before the fault
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    before: u64,

    /// Seconds that the fault lasts
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    fault: u64,

    /// Seconds to watch after the fault: flows may still wait out a timeout that
    /// doubled in it
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    recovery: u64,
}

/// Runs the demo and prints what a person wants to know.
pub(crate) fn run(arguments: &DemoArguments) -> Result<()> {
    netns::require_root()?;
    setup::run()?;
    let tracer = repo::build_release()?;
    let output = arguments.output.clone();
    let output = output.unwrap_or_else(|| repo::root().join("results/demo"));
    // A bad path fails at once.
    file::make_folder(&output)?;
    // Before the run: what is changed meanwhile did not run.
    let commit = provenance::commit();
    // What is not as it had to be is no result.
    let staging = Staging::make("demo")?;
    let files = staging.path();

    let begun = Instant::now();
    let net = Net::pair_and_client("demo")?;
    let (primary, standby) = (net.host("primary")?, net.host("standby")?);
    let pair = Pair::start(primary, standby).context("cannot start PostgreSQL")?;
    println!(
        "lab        primary {} and synchronous standby {} are up after {:.1} s;\n           \
         without the standby's reply, a commit was seen to wait",
        primary.v4,
        standby.v4,
        begun.elapsed().as_secs_f64()
    );

    let since = SystemTime::now();
    let clients = Clients::start(
        &net.host("client")?.netns,
        pair.primary().address(),
        pair.primary().connect()?,
        Profile::steady(),
    )?;

    let checksum_errors = primary.netns.counter("Tcp", "InCsumErrors")?;
    let report = trace(&tracer, arguments, files, primary, standby)?;
    let checksum_errors = primary.netns.counter("Tcp", "InCsumErrors")? - checksum_errors;
    let until = SystemTime::now();
    println!("\nwaiting for the last answers to the clients …");
    let records = clients.stop();
    pair.prove_commits_wait()
        .context("after the fault, commits no longer wait for the standby")?;

    let phases = Phases::from_report(&report, since, until)?;
    let load = serde_json::to_string(&record::json(&records, &phases, None))?;
    file::write(&files.join("load.json"), load + "\n")?;
    let how = how::render(arguments, &report, &commit);
    file::write(&files.join("how.md"), how)?;

    print!(
        "{}",
        summary::render(&report, &records, &phases, checksum_errors)
    );
    summary::verify(&report, checksum_errors)
        .with_context(|| format!("see {}", files.display()))?;
    staging::publish(files, &output)?;
    println!(
        "\nwritten    run.json (all that tracer saw), load.json (every request) and how.md in {}",
        repo::shorten(&output.display().to_string())
    );
    Ok(())
}

/// Runs tracer on the standby's side with its view on this terminal, and returns its report.
fn trace(
    tracer: &Path,
    arguments: &DemoArguments,
    output: &Path,
    primary: &Host,
    standby: &Host,
) -> Result<Report> {
    let path = output.join("run.json");
    let mut run = Command::new(tracer);
    run.args(["run", "--peer", &primary.v4.to_string()])
        .args(["--netns", standby.netns.name()])
        .args(["--interface", &standby.interface])
        .args(["--inject", &format!("corrupt={}%", arguments.percent)])
        .args(["--after", &format!("{}s", arguments.before)])
        .args(["--for", &format!("{}s", arguments.fault)])
        .args(["--duration", &format!("{}s", arguments.seconds())])
        .arg("--json")
        .arg(&path);
    let line = repo::shorten(&command::line(&run));
    println!("\n$ {line}");
    let limit = Duration::from_secs(arguments.seconds() + 30);
    let status = Running::start(&mut run, "tracer")?.wait(Some(limit))?;
    // On Ctrl-C tracer, too, ends well: but not with the run that was meant.
    interrupt::check()?;
    ensure!(status.success(), "`{line}` failed ({status})");
    let bytes = file::read(&path).context("tracer left no report")?;
    Report::read(&bytes).with_context(|| format!("{} is no report", path.display()))
}

impl DemoArguments {
    fn seconds(&self) -> u64 {
        self.before + self.fault + self.recovery
    }
}
