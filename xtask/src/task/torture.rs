//! `cargo xtask torture`: runs the tool, lets happen to it what a machine and its people
//! can do, drawn at random, and checks each time whether it kept what it promises: the
//! network as it was, nothing left behind, reports whole or absent, counts as the kernel's.
//!
//! All of it happens in network namespaces of its own, with a `/run/tracer` that nobody
//! else sees. A round is known by the seed and its number, and can be played again.

mod abilities;
mod blow;
mod course;
mod expected;
mod files;
mod memory;
mod outlet;
mod plan;
mod process;
mod programs;
mod round;
mod stage;
mod state;
mod storm;
mod tally;
mod tool;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use self::plan::{Abilities, RoundPlan, Scene};
use self::process::Program;
use self::programs::Loaded;
use self::round::{RoundOutcome, Workshop};
use self::stage::Stage;
use self::tally::Tally;
use self::tool::ToolRun;
use crate::provision::repo;
use crate::task::setup;
use crate::testbed::random::seed_of_clock;
use crate::testbed::scratch_dir::ScratchDir;
use crate::testbed::{interrupt, netns, wait};

/// Lines come no faster than this.
const PRINT: Duration = Duration::from_secs(1);
/// How long the tool may take until it counts, when nothing happens to it.
const STARTING: Duration = Duration::from_secs(30);

#[derive(Debug, Args, Clone)]
pub(crate) struct TortureArguments {
    /// How long to go on
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1440))]
    pub(crate) minutes: u64,

    /// Draw what happens from this number [default: one of the clock's]
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,

    /// Play this round of the seed only
    #[arg(long, value_name = "N", requires = "seed")]
    pub(crate) round: Option<u32>,
}

/// For how long, or which rounds.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// No round begins after this.
    pub time: Duration,
    /// The first round's number.
    pub first: u32,
    /// So many rounds at most.
    pub rounds: u32,
}

pub(crate) fn run(arguments: &TortureArguments) -> Result<()> {
    netns::require_root()?;
    setup::run()?;
    let tracer = repo::build_release()?;
    let seed = arguments.seed.unwrap_or_else(seed_of_clock);
    let extent = match arguments.round {
        Some(round) => Extent {
            time: Duration::MAX,
            first: round,
            rounds: 1,
        },
        None => Extent {
            time: Duration::from_secs(arguments.minutes * 60),
            first: 0,
            rounds: u32::MAX,
        },
    };
    torture(&tracer, seed, extent)
}

/// Plays rounds of this seed with this program.
///
/// # Errors
/// As [`run`].
pub fn torture(tracer: &Path, seed: u64, extent: Extent) -> Result<()> {
    netns::require_root()?;
    println!("seed {seed}");
    let abilities = Abilities::find()?;
    let scratch = ScratchDir::new("torture")?;
    // Another one may be built meanwhile.
    let copy = scratch.path().join("tracer");
    fs::copy(tracer, &copy).with_context(|| format!("cannot copy {}", tracer.display()))?;
    let program = Program::of(&copy)?;
    let names = unharmed(&copy, program, &scratch)?;
    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut printed: Option<Instant> = None;
    let mut played = Ok(());
    for round in (extent.first..).take(usize::try_from(extent.rounds)?) {
        if begun.elapsed() >= extent.time {
            break;
        }
        let plan = RoundPlan::draw(seed, round, abilities);
        let shop = Workshop {
            tracer: &copy,
            program,
            scratch: &scratch,
            names: &names,
            kept: repo::target_dir().join(format!("torture/seed-{seed}-round-{round}")),
        };
        let outcome = match round::play(&plan, &shop) {
            Ok(outcome) => outcome,
            Err(error) => {
                played = Err(error.context(format!("round {round}: {plan}")));
                break;
            }
        };
        tally.add(&plan, &outcome);
        if printed.is_none_or(|printed| printed.elapsed() >= PRINT) || !outcome.broken.is_empty() {
            printed = Some(Instant::now());
            println!("round {round}: {plan} -> {}", word(&outcome));
        }
        if !outcome.broken.is_empty() {
            played = Err(refusal(seed, round, &outcome, &shop.kept));
            break;
        }
    }
    println!(
        "\n{tally}\n{} rounds in {:.1} min, seed {seed}",
        tally.rounds(),
        begun.elapsed().as_secs_f64() / 60.0
    );
    played
}

fn word(outcome: &RoundOutcome) -> String {
    let cleaned = if outcome.cleaned { ", cleaned" } else { "" };
    format!("{}, report {:?}{cleaned}", outcome.ended, outcome.report)
}

/// A broken promise, and how to see it again.
fn refusal(seed: u64, round: u32, outcome: &RoundOutcome, kept: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "round {round} broke what was promised:\n  {}\nagain: cargo xtask torture --seed {seed} --round {round}\nkept: {}",
        outcome.broken.join("\n  "),
        kept.display()
    )
}

/// A run to which nothing happens: the tool works here, and these are the names of the
/// programs that it loads.
fn unharmed(tracer: &Path, program: Program, scratch: &ScratchDir) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for scene in [Scene::Count, Scene::Inject(plan::Fault::Loss)] {
        let plan = RoundPlan {
            round: 0,
            scene,
            lasts_ms: 60_000,
            by_name: false,
            terminal: false,
            calm: true,
            old: false,
            blows: Vec::new(),
        };
        let stage = Stage::set(&plan, scratch)?;
        let mut tool = ToolRun::start(&plan, &stage, tracer)?;
        let ready = stage.outside(&stage.path(blow::Output::Ready));
        wait::until(STARTING, "tracer to be ready", || {
            tool.listen();
            if tool.is_over() {
                let (_, said) = tool.said();
                bail!("tracer ends at once: {said}");
            }
            Ok(ready.exists().then_some(()))
        })?;
        let loaded = Loaded::read();
        let held = loaded.names_of(tool.pid());
        ensure!(!held.is_empty(), "tracer holds no programs");
        names.extend(held);
        tool.signal(nix::sys::signal::Signal::SIGINT);
        wait::until(STARTING, "tracer to end", || {
            tool.listen();
            let over = tool.is_over() && program.processes().is_empty();
            Ok(over.then_some(()))
        })?;
    }
    interrupt::check()?;
    Ok(names)
}
