//! One round, from the making of its network to what is left of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use tracer_core::report::Report;

use super::blow::{Family, Output, What};
use super::course::Course;
use super::expected::{self, Count, Ended, Facts, ReportFile};
use super::files::{self, WrittenReport};
use super::plan::RoundPlan;
use super::process::Program;
use super::programs::Loaded;
use super::stage::{RECORDS, Stage};
use super::state::{Excused, HostState};
use super::storm::Storm;
use crate::testbed::scratch_dir::ScratchDir;
use crate::testbed::{command, file, interrupt, wait};

/// How long a guard may take to undo and end, and the kernel to free what was used.
const SETTLING: Duration = Duration::from_secs(15);

/// The same, where nobody may be left who undoes anything.
const LEFT: Duration = Duration::from_secs(1);

/// What all rounds have in common.
pub(super) struct Workshop<'a> {
    pub(super) tracer: &'a Path,
    pub(super) program: Program,
    pub(super) scratch: &'a ScratchDir,
    /// Names of the programs that it loads.
    pub(super) names: &'a BTreeSet<String>,
    /// Where what a broken round leaves is kept.
    pub(super) kept: PathBuf,
}

#[derive(Debug, Clone)]
pub(super) struct RoundOutcome {
    pub(super) ended: Ended,
    pub(super) report: ReportFile,
    /// `tracer clean` had to undo something.
    pub(super) cleaned: bool,
    /// Retransmitted segments, where they were compared.
    pub(super) compared: Option<u64>,
    /// What is not as promised, a line each.
    pub(super) broken: Vec<String>,
}

pub(super) fn play(plan: &RoundPlan, shop: &Workshop) -> Result<RoundOutcome> {
    let stage = Stage::set(plan, shop.scratch).context("cannot set the stage")?;
    let storm = Storm::connect(&stage.net)?;
    let before = HostState::read(&stage.namespaces())?;
    let loaded = Loaded::read();
    let begun = Timestamp::now();
    let mut course = Course::begin(plan, &stage, shop.tracer, shop.program, storm)?;
    let base = course.counter();
    let run = course.run();
    // Whatever was stopped has to go on, or nothing ends.
    for process in shop.program.processes() {
        let _ = kill(process.pid, Signal::SIGCONT);
    }
    run?;
    let mut broken = Vec::new();
    if course.seen.endless {
        broken.push("it does not end".to_owned());
        course.tool.signal(Signal::SIGKILL);
    }
    let ended = course.tool.ended()?;
    let grown = base
        .zip(course.counter())
        .map(|(base, now)| now.saturating_sub(base));
    broken.extend(course.others_ended()?);

    let comparison = Comparison {
        plan,
        shop,
        stage: &stage,
        before: &before,
        loaded: &loaded,
    };
    let may_leave = expected::may_leave_fault(plan, course.seen.guard_killed, ended);
    // What nobody is left to undo stays, however long it is waited for.
    let mut left = comparison.wait(if may_leave { LEFT } else { SETTLING })?;
    let mut cleaned = false;
    if may_leave && !left.is_empty() {
        cleaned = true;
        match command::output(&mut stage.clean(shop.tracer)) {
            Ok(_) => left = comparison.wait(SETTLING)?,
            Err(error) => left.push(format!("{error:#}")),
        }
    }
    broken.append(&mut left);

    let (report, written) = files::report(&stage);
    let run = written.as_ref().and_then(WrittenReport::run);
    let count = run.and_then(|run| {
        let most = grown.unwrap_or(u64::MAX);
        count(run, course.seen.least, most)
    });
    let faults = written.as_ref().map_or(&[][..], WrittenReport::faults);
    let (stdout, stderr) = course.tool.said();
    let torn = matches!(ended, Ended::Killed(_));
    broken.extend(files::faults(plan, &stage, shop.tracer, torn));
    broken.extend(files::misdated(&stage, faults, begun));
    let surely = !plan.calm && !plan.has(|what| what.family() == Family::Interface);
    broken.extend(files::misses(faults, surely));
    let facts = Facts {
        ended,
        seen: course.seen.clone(),
        is_ready: stage.outside(&stage.path(Output::Ready)).exists(),
        report: report.clone(),
        count,
        // On a terminal, both are one.
        stderr: format!("{stdout}{stderr}"),
    };
    broken.extend(expected::broken(plan, &facts));
    if !broken.is_empty() {
        let after = HostState::read(&stage.namespaces());
        let texts = [
            ("broken", broken.join("\n")),
            ("plan", plan.to_string()),
            ("command", course.tool.line.clone()),
            ("log", course.seen.log.join("\n")),
            ("stdout", stdout),
            ("stderr", stderr),
            ("facts", format!("{facts:#?}")),
            ("before", format!("{before:#?}")),
            ("after", format!("{after:#?}")),
        ];
        keep(&shop.kept, &stage, &texts)?;
        // Nothing of it is to disturb what comes next.
        for process in shop.program.processes() {
            let _ = kill(process.pid, Signal::SIGKILL);
        }
    }
    Ok(RoundOutcome {
        ended,
        report,
        cleaned,
        compared: count.map(|count| count.kernel),
        broken,
    })
}

/// What the report says of what was retransmitted.
fn count(run: &Report, least: u64, most: u64) -> Option<Count> {
    Some(Count {
        segments: run.totals.segments,
        kernel: run.totals.kernel_retrans_segs?,
        least,
        most,
    })
}

struct Comparison<'a> {
    plan: &'a RoundPlan,
    shop: &'a Workshop<'a>,
    stage: &'a Stage,
    before: &'a HostState,
    loaded: &'a Loaded,
}

impl Comparison<'_> {
    /// What is left when it had so much time to go since the last process has, a line each.
    fn wait(&self, limit: Duration) -> Result<Vec<String>> {
        let mut left = Vec::new();
        let ended = wait::until(SETTLING, "every process to end", || {
            Ok(self.shop.program.processes().is_empty().then_some(()))
        });
        if ended.is_err() {
            interrupt::check()?;
        }
        let gone = wait::until(limit, "everything to be as before", || {
            left = self.left()?;
            Ok(left.is_empty().then_some(()))
        });
        if gone.is_err() {
            interrupt::check()?;
            // Or it could not be read.
            if left.is_empty() {
                gone?;
            }
        }
        Ok(left)
    }

    fn left(&self) -> Result<Vec<String>> {
        let processes = self.shop.program.processes();
        let mut left: Vec<String> = processes
            .iter()
            .map(|process| format!("process {} ({}) is there", process.pid, process.name))
            .collect();
        let folder = self.stage.outside(Path::new(RECORDS));
        let entries = fs::read_dir(&folder).context("no folder of records")?;
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            left.push(format!("{RECORDS}/{} is there", name.to_string_lossy()));
        }
        // It costs most, and what has not ended may have everything left to undo.
        if left.is_empty() {
            let excused = Excused {
                missing: self
                    .plan
                    .has(|what| matches!(what, What::Deleted | What::NetnsDeleted)),
                addresses: self.plan.has(|what| what.family() == Family::Interface),
            };
            match HostState::read(&self.stage.namespaces()) {
                Ok(now) => left.extend(self.before.differences(&now, excused)),
                // An interface that goes just now cannot be read.
                Err(error) => left.push(format!("{error:#}")),
            }
            left.extend(self.loaded.left_since(self.shop.names));
        }
        Ok(left)
    }
}

/// Keeps everything by which it can be understood.
fn keep(to: &Path, stage: &Stage, texts: &[(&str, String)]) -> Result<()> {
    file::make_folder(to)?;
    for (name, text) in texts {
        fs::write(to.join(name).with_extension("txt"), text)?;
    }
    for (name, from) in [
        ("outputs", stage.folder()),
        ("records", stage.outside(Path::new(RECORDS))),
    ] {
        let mut cp = command::named("cp");
        cp.arg("-r").arg(&from).arg(to.join(name));
        if let Err(error) = command::output(&mut cp) {
            eprintln!("warning: {error:#}");
        }
    }
    Ok(())
}
