//! `cargo xtask blind`: what tracer finds, held against faults that it neither made nor knows
//! of. They are drawn at random: on the wire between two servers, on their disks, in their
//! processes, with harmless trouble of others beside them.

mod bystander;
mod fault;
mod trial_lab;
mod truth;
mod verdict;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;

use self::fault::Trial;
use self::trial_lab::TrialLab;
use self::verdict::{Judged, TrialOutcome, Verdict};
use crate::provision::repo;
use crate::task::setup;
use crate::testbed::random::seed_of_clock;
use crate::testbed::stage_figures::{add_stages, stage_table};
use crate::testbed::{file, interrupt, netns};

/// How many of twenty have to be named rightly: by both hosts' report, by the primary's.
const MIN_MERGED: usize = 19;
const MIN_PRIMARY: usize = 18;

#[derive(Debug, Args)]
pub(crate) struct BlindArguments {
    /// How many faults
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    trials: u32,

    /// Draw them from this number [default: one of the clock's]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,

    /// Try only this one of the seed
    #[arg(long, value_name = "N", requires = "seed")]
    trial: Option<u32>,
}

/// Tries them, a line each, and says how many were named rightly, and how long each stage of
/// their commits took.
pub(crate) fn run(arguments: &BlindArguments) -> Result<()> {
    netns::require_root()?;
    setup::run()?;
    let tracer = repo::build_release()?;
    let seed = arguments.seed.unwrap_or_else(seed_of_clock);
    println!("seed {seed}");
    let numbers = match arguments.trial {
        Some(only) => only..only + 1,
        None => 0..arguments.trials,
    };
    let (mut all, mut stages) = (Vec::new(), stage_table("fault"));
    for number in numbers {
        interrupt::check()?;
        let trial = Trial::draw(seed, number);
        let kept = repo::target_dir().join(format!("blind/seed-{seed}-{number}"));
        let seen = seen(&tracer, &trial, &kept).with_context(|| format!("{number}: {trial}"))?;
        let judged = Judged::of(&trial, &seen);
        add_stages(&mut stages, &format!("{:?}", trial.broken), &seen.merged);
        println!("{number:>3} {trial}\n{judged}");
        all.push(judged);
    }
    println!("stages, ms\n{}", stages.plain());
    conclude(&all)
}

/// One trial, of which the reports stay in the folder.
fn seen(tracer: &Path, trial: &Trial, kept: &Path) -> Result<TrialOutcome> {
    file::make_folder(kept)?;
    TrialLab::set(tracer, trial, kept)?.play(trial)
}

fn conclude(all: &[Judged]) -> Result<()> {
    let mut failed = Vec::new();
    for (who, needed, of) in [
        (
            "primary",
            MIN_PRIMARY,
            Judged::primary as fn(&Judged) -> Verdict,
        ),
        ("merged", MIN_MERGED, Judged::merged),
    ] {
        let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
        for one in all {
            *counts.entry(of(one)).or_default() += 1;
        }
        let count = |verdict| counts.get(&verdict).copied().unwrap_or(0);
        let right = count(Verdict::Right);
        println!(
            "{who:<8} right {right} of {}; another cause {}, not determined {}, nothing {}; the network blamed wrongly {}",
            all.len(),
            count(Verdict::OtherCause),
            count(Verdict::NotDetermined),
            count(Verdict::Nothing),
            count(Verdict::NetworkBlamed),
        );
        if right * 20 < needed * all.len() || count(Verdict::NetworkBlamed) > 0 {
            failed.push(who);
        }
    }
    match failed[..] {
        [] => Ok(()),
        _ => bail!("too many were not named rightly: {}", failed.join(", ")),
    }
}
