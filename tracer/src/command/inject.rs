//! `tracer inject`, from top to bottom.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::time::MissedTickBehavior;
use tracer_core::clock::Clock;
use tracer_core::render;
use tracer_core::report::fault::FaultReport;
use tracer_core::report::{Fault, Tool};

use crate::cli::InjectArguments;
use crate::command::log::start_log;
use crate::command::signals::{self, Signals};
use crate::config::Verbosity;
use crate::files::{MAX_PATIENCE, Output, ReadyFile, distinct, print_lines};
use crate::inject::{self, FaultRequest, PreparedFault, Schedule, Status, Statuses, Unreadable};
use crate::kernel::descriptors;
use crate::kernel::netns::{self, Netns};
use crate::terminal;

/// How often the line on the terminal changes.
const INTERVAL: Duration = Duration::from_secs(1);

/// What `--json` writes.
#[derive(Serialize)]
struct FaultFile {
    /// `tracer.inject/1`
    schema: &'static str,
    tool: Tool,
    faults: Vec<Fault>,
}

/// What `--status --json` writes.
#[derive(Serialize)]
struct StatusFile {
    /// `tracer.status/1`
    schema: &'static str,
    #[serde(flatten)]
    found: Statuses,
}

/// Does what was asked. False if something is not as it should be.
pub(crate) fn run(arguments: &InjectArguments) -> anyhow::Result<bool> {
    if arguments.status {
        let found =
            inject::status().context("cannot read the records of faults, which needs root")?;
        return status(found, arguments.json.as_deref());
    }
    let request = FaultRequest::from_arguments(arguments)?;
    distinct(&[
        ("--json", arguments.json.as_deref()),
        ("--ready-file", arguments.ready_file.as_deref()),
    ])?;
    start_log(match arguments.quiet {
        true => Verbosity::Quiet,
        false => Verbosity::Normal,
    });
    let clock = crate::kernel::clock::read();
    let json = Output::asked("--json", arguments.json.as_deref())?;
    let mut ready = ReadyFile::asked(arguments.ready_file.as_deref())?;
    let entered = match &arguments.netns {
        Some(name) => Some(Netns::open(name)?.enter()?),
        None => None,
    };
    let prepared = request.prepare()?;
    if arguments.dry_run {
        print_lines(&prepared.describe()).context("cannot write to standard output")?;
        return Ok(true);
    }
    descriptors::ensure(descriptors::LOOP)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let reports = runtime.block_on(hold(prepared, ready.as_mut(), arguments.quiet))?;
    drop(entered);
    drop(ready);
    let as_asked = |report: &FaultReport| report.removed && !report.guard_gone;
    let undone = reports.iter().all(as_asked);
    let lines = match arguments.quiet || json.as_ref().is_some_and(Output::is_stdout) {
        true => Vec::new(),
        false => reports.iter().map(line).collect(),
    };
    let warnings = tracer_core::report::fault::sentences::warnings(&reports);
    // All is undone, and a reader who stands still must not keep it from ending.
    signals::surrender();
    let written = json.map(|json| write(json, reports, &clock)).transpose();
    for warning in warnings {
        terminal::say(format_args!("tracer: warning: {warning}"));
    }
    let said = print_lines(&lines).context("cannot write to standard output");
    written?;
    said?;
    Ok(undone)
}

fn line(report: &FaultReport) -> String {
    format!("{}: {}.", report.kind.name(), report.summary())
}

fn write(json: Output, reports: Vec<FaultReport>, clock: &Clock) -> anyhow::Result<()> {
    let faults = reports.into_iter();
    let file = FaultFile {
        schema: "tracer.inject/1",
        tool: Tool::this(),
        faults: faults.map(|report| Fault::new(report, clock)).collect(),
    };
    json.finish(&render::json::render(&file)?, Some(MAX_PATIENCE))?;
    Ok(())
}

/// Makes the fault, and waits for its end or for somebody to end it.
async fn hold(
    prepared: PreparedFault,
    ready: Option<&mut ReadyFile>,
    quiet: bool,
) -> anyhow::Result<Vec<FaultReport>> {
    let mut signals = Signals::install(false)?;
    let mut schedule = Schedule::new(prepared, Duration::ZERO);
    schedule.advance()?;
    if let Some(ready) = ready {
        ready.announce()?;
    }
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let shows = !quiet && io::stderr().is_terminal();
    while let Some(due) = schedule.next() {
        tokio::select! {
            biased;
            _ = signals.any() => break,
            () = tokio::time::sleep_until(due) => schedule.advance()?,
            _ = ticks.tick() => if shows {
                terminal::show(&schedule.describe());
            },
        }
    }
    let reports = schedule.finish();
    if shows {
        terminal::show("");
    }
    Ok(reports)
}

fn status(found: Statuses, json: Option<&std::path::Path>) -> anyhow::Result<bool> {
    if let Some(path) = json {
        let file = StatusFile {
            schema: "tracer.status/1",
            found,
        };
        Output::create("--json", path)?.finish(&render::json::render(&file)?, None)?;
        return Ok(true);
    }
    let mut lines: Vec<String> = found.faults.iter().map(status_line).collect();
    lines.extend(found.unreadable.iter().map(unreadable_line));
    if lines.is_empty() {
        lines.push("no fault of tracer on this host".to_owned());
    }
    print_lines(&lines).context("cannot write to standard output")?;
    Ok(true)
}

fn unreadable_line(unreadable: &Unreadable) -> String {
    let Unreadable {
        path,
        reason,
        active,
    } = unreadable;
    let guard = match active {
        true => "it is held, and undone at its end",
        false => "LEFT BEHIND, its guard is gone",
    };
    format!(
        "{}: a record that this version of tracer cannot read ({reason}); {guard}",
        path.display()
    )
}

fn status_line(status: &Status) -> String {
    let Status {
        record,
        active,
        interface_now,
    } = status;
    let note = &record.note;
    let ports: Vec<String> = note.ports.iter().map(ToString::to_string).collect();
    let ports = match &ports[..] {
        [] => String::new(),
        ports => format!(" port {}", ports.join(", ")),
    };
    let state = if *active {
        format!("process {}, until {:.0}", note.pid, record.until)
    } else {
        "LEFT BEHIND, its guard is gone: `tracer clean` undoes it".to_owned()
    };
    let interface = record.interface();
    let state = match interface_now.told_of(&interface.name) {
        Some(whereabouts) => format!("{state}; {whereabouts}"),
        None => state,
    };
    format!(
        "{} ({}): {} {} {}{ports}; {state}",
        interface.name,
        netns::shown(record.netns()),
        note.faults.join(" + "),
        note.direction,
        note.peers.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn a_record_that_holds_anything_is_told_in_a_line() {
        let unreadable = Unreadable {
            path: "/run/tracer/a\u{1b}[2J\nb".into(),
            reason: "unknown variant `\u{9b}1m\u{202e}`".to_owned(),
            active: false,
        };
        let said = files::text(&[unreadable_line(&unreadable)]);
        assert_eq!(
            said,
            "/run/tracer/a\\u{1b}[2J\\nb: a record that this version of tracer cannot read \
             (unknown variant `\\u{9b}1m\\u{202e}`); LEFT BEHIND, its guard is gone\n"
        );
    }
}
