//! `tracer replay`: the same pipeline on events that were recorded. Needs neither root
//! nor the kernel that they are from.

mod tape;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cli::ReplayArguments;
use crate::config::{Config, ConfigError};
use crate::events::EventReader;
use crate::output::{self, Output};
use crate::present::name;
use crate::report::Report;
use crate::sink;

use tape::Tape;

/// Lines of the summary are no longer than this.
const WIDTH: usize = 200;

/// What `tracer replay` is to do.
#[derive(Debug)]
pub struct Request {
    file: PathBuf,
    config: Config,
}

impl Request {
    /// Validates a command line.
    ///
    /// # Errors
    /// The first thing that makes no sense, in words for the user.
    pub fn from_arguments(arguments: &ReplayArguments) -> Result<Self, ConfigError> {
        Ok(Self {
            file: arguments.file.clone(),
            config: Config::of_recording(arguments)?,
        })
    }
}

/// Reads the events, and shows and writes what a run would have.
///
/// # Errors
/// If the file holds none, or the report cannot be written.
pub fn run(request: &Request) -> anyhow::Result<()> {
    let config = &request.config;
    let json = config.json.as_deref();
    let json = json
        .map(|path| Output::create("--json", path))
        .transpose()?;
    let source: Box<dyn BufRead> = if request.file == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = File::open(&request.file)
            .with_context(|| format!("cannot read {}", name(&request.file)))?;
        Box::new(BufReader::new(file))
    };
    let report = replayed(config, source).with_context(|| name(&request.file))?;
    let taken = json.as_ref().is_some_and(Output::is_stdout);
    if let Some(json) = json {
        json.finish(&sink::json::render(&report)?)?;
    }
    if !taken && config.verbosity != crate::config::Verbosity::Quiet {
        let text = sink::text::render(&report, WIDTH);
        output::print(&text).context("cannot write the summary to standard output")?;
    }
    Ok(())
}

/// The report of what was recorded.
fn replayed(config: &Config, source: impl BufRead) -> anyhow::Result<Report> {
    let mut reader = EventReader::new(source);
    let first = reader.read()?.context("it holds no event")?;
    let interval_ns = u64::try_from(config.interval.as_nanos()).unwrap_or(u64::MAX);
    let mut tape = Tape::new(config, first.clock, interval_ns);
    tape.take(&first.decoded);
    while let Some(recorded) = reader.read()? {
        tape.take(&recorded.decoded);
    }
    let mut report = tape.finish();
    // What no file of events holds.
    report.totals.lost_events = None;
    report.overhead.attached_ms = None;
    report.overhead.ready_ms = None;
    report.host.tick_hz = None;
    report.warnings.insert(
        0,
        "replayed from recorded events: they do not hold how many were lost, what the kernel itself counted, segments that no event showed, peers that the recorded run did not ask for, whose sockets they were, the database and faults; the window is from the first event to the last".to_owned(),
    );
    if reader.was_cut() {
        report
            .warnings
            .push("the last line was cut, and is not in the report".to_owned());
    }
    Ok(report)
}
