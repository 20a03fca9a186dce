//! The experiments: what each asks, does, and has to show.

mod alerts;
mod dependency;
mod failover;
mod load;
mod long_isolation;
mod partial_loss;
mod split_brain;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::context::{Lengths, RunContext};
use super::outcome::Outcome;
use super::result;
use super::runner::{self, Inject, Script};
use super::timing::Timing;
use super::verify::Checks;
use crate::lab::format::known;
use crate::lab::provenance;
use crate::lab::staging::{self, Staging};
use crate::provision::repo;
use crate::testbed::file;
use crate::testbed::load::clients::Profile;

/// One way of doing an experiment.
pub(super) struct Variant {
    pub(super) experiment: &'static str,
    pub(super) name: &'static str,
    /// What it is to answer.
    pub(super) question: &'static str,
    /// Seconds of baseline, fault and recovery.
    pub(super) seconds: (u64, u64, u64),
    pub(super) setup: Setup,
    /// What is done, from the baseline to the recovery.
    pub(super) act: fn(&mut RunContext) -> Result<()>,
    pub(super) verify: fn(&mut Outcome, &mut Checks) -> Result<()>,
}

/// What a variant runs on.
#[derive(Clone, Copy)]
pub(super) struct Setup {
    pub(super) profile: fn() -> Profile,
    pub(super) inject: Option<Inject>,
    /// Options of tracer on db1, beside the usual.
    pub(super) watch: &'static [&'static str],
    /// Whether db1 needs a disk that can be stalled.
    pub(super) own_disk: bool,
}

impl Setup {
    pub(super) const USUAL: Self = Self {
        profile: Profile::steady,
        inject: None,
        watch: &[],
        own_disk: false,
    };
}

impl Variant {
    pub(super) fn title(&self) -> String {
        format!("{}, {}", self.experiment, self.name)
    }
}

/// In the order in which all are run.
const VARIANTS: [&[Variant]; 7] = [
    &partial_loss::VARIANTS,
    &failover::VARIANTS,
    &load::VARIANTS,
    &split_brain::VARIANTS,
    &long_isolation::VARIANTS,
    &dependency::VARIANTS,
    &alerts::VARIANTS,
];

/// What can be chosen about an experiment.
#[derive(Debug, Clone, Default, Args)]
pub struct ExperimentArguments {
    /// Do only this variant of it [default: all, one after the other]
    #[arg(value_name = "VARIANT")]
    pub variant: Option<String>,

    /// Folder for the results, one in it for each variant [default: results/NAME of this
    /// repository]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// Seconds of normal operation before the fault [default: by variant]
    #[arg(long, value_name = "SECONDS")]
    pub baseline: Option<u64>,

    /// Seconds that the fault lasts [default: by variant]
    #[arg(long, value_name = "SECONDS")]
    pub fault: Option<u64>,

    /// Seconds to watch after the cluster is whole again [default: by variant]
    #[arg(long, value_name = "SECONDS")]
    pub recovery: Option<u64>,

    /// The cluster's clocks.
    #[command(flatten)]
    pub timing: Timing,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ForAll {
    /// Folder for the results [default: results of this repository]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) timing: Timing,
}

impl ForAll {
    pub(crate) fn of(&self, name: &str) -> ExperimentArguments {
        ExperimentArguments {
            output: self.output.as_ref().map(|folder| folder.join(name)),
            timing: self.timing.clone(),
            ..ExperimentArguments::default()
        }
    }
}

/// The names of all experiments, in the order in which all are run.
pub(crate) fn names() -> Vec<&'static str> {
    VARIANTS
        .iter()
        .filter_map(|variants| Some(variants.first()?.experiment))
        .collect()
}

/// Runs an experiment, and writes its results if they are what they had to be.
///
/// # Errors
/// When a step fails, or when something was not as it had to be: the results are then
/// left among the logs.
pub fn run(name: &str, arguments: &ExperimentArguments, program: &Path) -> Result<()> {
    let all = named(name);
    let mut variants: Vec<&Variant> = all.iter().collect();
    if let Some(wanted) = &arguments.variant {
        variants.retain(|variant| variant.name == wanted);
    }
    if variants.is_empty() {
        let names: Vec<&str> = all.iter().map(|variant| variant.name).collect();
        bail!("{name} has no such variant; it has {}", names.join(", "));
    }
    for variant in variants {
        run_one(variant, arguments, program)
            .with_context(|| format!("{} has failed", variant.title()))?;
    }
    Ok(())
}

/// The variants of an experiment; none of one that there is not.
pub(super) fn named(name: &str) -> &'static [Variant] {
    let of = |variants: &&&[Variant]| {
        let first = variants.first();
        first.is_some_and(|variant| variant.experiment == name)
    };
    VARIANTS.iter().find(of).copied().unwrap_or_default()
}

fn run_one(variant: &Variant, arguments: &ExperimentArguments, program: &Path) -> Result<()> {
    println!("\n== {}: {}", variant.title(), variant.question);
    let begun = Instant::now();
    // What is not finished, or not as it had to be, is no result.
    let staging = Staging::make(&format!("{}/{}", variant.experiment, variant.name))?;
    let script = Script {
        variant,
        lengths: lengths(variant, arguments),
        timing: &arguments.timing,
        folder: staging.path(),
        program,
        commit: provenance::commit(),
    };
    let mut outcome = runner::run(&script)?;
    let mut checks = Checks::default();
    in_any_case(&outcome, &mut checks);
    (variant.verify)(&mut outcome, &mut checks)?;

    let files = script.folder.join("result");
    file::make_folder(&files)?;
    result::write(&files, &script, &outcome, &checks)?;
    result::present(&files, program)?;
    let failures = checks.failures();
    if !failures.is_empty() {
        bail!("{}\nsee {}", failures.join("\n"), files.display());
    }
    let results = || repo::root().join("results").join(variant.experiment);
    let output = arguments.output.clone().unwrap_or_else(results);
    let output = output.join(variant.name);
    staging::publish(&files, &output)?;
    for check in &checks.0 {
        println!("yes        {}", check.words());
    }
    println!(
        "written    {} after {:.0} s",
        repo::shorten(&output.display().to_string()),
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

fn lengths(variant: &Variant, arguments: &ExperimentArguments) -> Lengths {
    let (baseline, fault, recovery) = variant.seconds;
    let seconds = |chosen: Option<u64>, usual| Duration::from_secs(chosen.unwrap_or(usual));
    Lengths {
        baseline: seconds(arguments.baseline, baseline),
        fault: seconds(arguments.fault, fault),
        recovery: seconds(arguments.recovery, recovery),
    }
}

/// What has to be so whatever is tried: tracer counts as the kernel does.
fn in_any_case(outcome: &Outcome, checks: &mut Checks) {
    for name in super::cluster::DATABASES {
        let report = outcome.report(name);
        let totals = &report.totals;
        checks.that(
            &format!("on {name}, tracer's count is the kernel's"),
            totals.difference == Some(0),
            format!(
                "{} segments, difference {}",
                totals.segments,
                known(totals.difference, |it| it.to_string())
            ),
        );
        let commits = report.commits.as_ref();
        checks.that(
            &format!("on {name}, commits were watched"),
            commits.is_some_and(|commits| commits.attached),
            commits
                .and_then(|commits| commits.reason.clone())
                .unwrap_or_default(),
        );
    }
}
