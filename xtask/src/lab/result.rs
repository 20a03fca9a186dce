//! The files of a result.

mod how;
mod summary;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};
use tracer_core::merge::model::Merged;
use tracer_core::report::Report;

use super::cluster::DATABASES;
use super::outcome::{FlowKind, Outcome};
use super::runner::Script;
use super::verify::Checks;
use super::watch;
use crate::testbed::load::phase::rfc3339;
use crate::testbed::load::record;
use crate::testbed::{command, file};

/// Requests that are written one by one.
const SLOW: Duration = Duration::from_millis(100);

/// Writes all of it into the folder.
pub(super) fn write(
    folder: &Path,
    script: &Script,
    outcome: &Outcome,
    checks: &Checks,
) -> Result<()> {
    let load = record::json(&outcome.records, &outcome.phases, Some(SLOW));
    let roles = json!({
        "changes": watch::json(&outcome.roles),
        "done": notes(outcome),
    });
    let beside = json!({
        "timing": script.timing.json(),
        "in_csum_errors": {"db1": outcome.checksum_errors[0], "db2": outcome.checksum_errors[1]},
        "up_after_s": outcome.up.as_secs_f64(),
        "experiment": outcome.extra,
    });
    for (name, value) in DATABASES.iter().zip(&outcome.reports) {
        save_json(folder, &format!("{name}.json"), &reduced(value))?;
    }
    save_json(folder, "load.json", &load)?;
    save_json(folder, "roles.json", &roles)?;
    save_json(folder, "measured.json", &beside)?;
    let summary = summary::render(script.variant, outcome, checks);
    file::write(&folder.join("result.md"), summary)?;
    file::write(&folder.join("how.md"), how::render(script, outcome))
}

/// Has tracer make one of its two reports, and show that to people: as a page with
/// charts, and as text, with its slowest commit part by part.
pub(super) fn present(folder: &Path, program: &Path) -> Result<()> {
    let run = folder.join("run.json");
    let mut merge = Command::new(program);
    merge.arg("merge");
    merge.args(DATABASES.map(|name| folder.join(format!("{name}.json"))));
    command::output(merge.arg("--output").arg(&run))?;
    for name in ["report.html", "report.md"] {
        let mut report = Command::new(program);
        report.arg("report").arg(&run);
        command::output(report.arg("--output").arg(folder.join(name)))?;
    }
    let bytes = file::read(&run).context("tracer has merged nothing")?;
    let merged = Merged::read(&bytes).context("what it merged cannot be read")?;
    if merged.reports.iter().any(has_slow_commits) {
        let mut explain = Command::new(program);
        explain.arg("explain").arg(&run);
        command::output(explain.arg("--output").arg(folder.join("explain.md")))?;
    }
    // Half the size without its indentation.
    save_json(folder, "run.json", &merged)
}

fn has_slow_commits(report: &Report) -> bool {
    let commits = report.commits.as_ref();
    commits.is_some_and(|commits| !commits.slow.is_empty())
}

/// The report without flows that retransmitted nothing, of the replication and of clients
/// apart: checks of health and questions to etcd make hundreds of them.
fn reduced(report: &Report) -> Report {
    let mut report = report.clone();
    report.flows.retain(|flow| {
        let kind = flow.role.kind;
        let retransmitted = flow.segments + flow.events + flow.failed_segments;
        kind.is_replication()
            || kind == FlowKind::Client
            || retransmitted + flow.failed_events.unwrap_or_default() > 0
    });
    report
}

fn save_json(folder: &Path, name: &str, value: &impl Serialize) -> Result<()> {
    file::write(&folder.join(name), serde_json::to_string(value)? + "\n")
}

fn notes(outcome: &Outcome) -> Value {
    let note = |note: &super::context::Note| json!({"time": rfc3339(note.at), "what": note.text});
    outcome.notes.iter().map(note).collect()
}
