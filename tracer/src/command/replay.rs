//! `tracer replay`: the same pipeline on events that were recorded. Needs neither root
//! nor the kernel that they are from.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod order;
pub(crate) mod recount;
mod source;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, BufRead};

use anyhow::{Context as _, anyhow};
use tracer_core::render;
use tracer_core::report::Report;

use crate::cli::ReplayArguments;
use crate::command::replay::order::EventOrder;
use crate::command::replay::recount::Recount;
use crate::config::{Config, Verbosity};
use crate::files::input::name;
use crate::files::{self, Output, unread};
use crate::programs::event_file::{EventReader, Flaws, Recorded};

/// Lines of the summary are no longer than this.
const WIDTH: usize = 200;

/// Reads the events, and shows and writes what a run would have.
pub(crate) fn run(arguments: &ReplayArguments) -> anyhow::Result<()> {
    let config = Config::of_recording(arguments)?;
    unread(&arguments.files, "--json", config.json.as_deref())?;
    let json = Output::asked("--json", config.json.as_deref())?;
    let inputs = arguments.files.iter().map(|path| Input::open(path));
    let report = replayed(&config, inputs.collect::<Result<_, _>>()?)?;
    let taken = json.as_ref().is_some_and(Output::is_stdout);
    if let Some(json) = json {
        json.finish(&render::json::render(&report)?, None)?;
    }
    if !taken && config.verbosity != Verbosity::Quiet {
        let text = render::text::render(&report, WIDTH);
        files::print(&text, None).context("cannot write the summary to standard output")?;
    }
    Ok(())
}

/// The report of recordings that are in memory, as without options.
pub(crate) fn of_bytes(recordings: Vec<Vec<u8>>) -> anyhow::Result<Report> {
    let config = Config::of_recording(&ReplayArguments {
        files: Vec::new(),
        peer: Vec::new(),
        port: Vec::new(),
        interval: "1s".to_owned(),
        json: None,
        quiet: true,
    })?;
    let recordings = recordings.into_iter().enumerate();
    let inputs = recordings.map(|(number, bytes)| {
        let source = source::text(Box::new(io::Cursor::new(bytes)))?;
        Input::read(format!("recording {number}"), source)
    });
    replayed(&config, inputs.collect::<Result<_, _>>()?)
}

/// One of the files.
struct Input {
    name: String,
    reader: EventReader<Box<dyn BufRead>>,
    next: Option<Recorded>,
}

impl Input {
    fn open(path: &std::path::Path) -> anyhow::Result<Self> {
        Self::read(name(path), source::open(path)?)
    }

    fn read(name: String, source: Box<dyn BufRead>) -> anyhow::Result<Self> {
        let mut input = Self {
            name,
            reader: EventReader::new(source),
            next: None,
        };
        input.advance()?;
        Ok(input)
    }

    /// Reads on, and gives what was read before.
    fn advance(&mut self) -> anyhow::Result<Option<Recorded>> {
        let next = self.reader.read().with_context(|| self.name.clone())?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    fn at_ns(&self) -> Option<u64> {
        Some(self.next.as_ref()?.decoded.event.time_ns)
    }
}

/// The report of what was recorded. Files are read side by side, whichever is behind the
/// others first: their order does not matter.
fn replayed(config: &Config, mut inputs: Vec<Input>) -> anyhow::Result<Report> {
    let behind = |(number, input): (usize, &Input)| Some(Reverse((input.at_ns()?, number)));
    let mut heads: BinaryHeap<_> = inputs.iter().enumerate().filter_map(behind).collect();
    let nothing = |inputs: &[Input]| {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        anyhow!("{}: it holds no event", names.join(", "))
    };
    if heads.is_empty() {
        return Err(nothing(&inputs));
    }
    let mut order = EventOrder::default();
    let mut recount: Option<Recount<'_>> = None;
    let interval_ns = u64::try_from(config.interval.as_nanos()).unwrap_or(u64::MAX);
    while let Some(Reverse((_, number))) = heads.pop() {
        let Some(input) = inputs.get_mut(number) else {
            continue;
        };
        let line = input.reader.line();
        if let Some(recorded) = input.advance()? {
            let place = || format!("{}: line {line}", input.name);
            order.push(&recorded).with_context(place)?;
        }
        heads.extend(input.at_ns().map(|at_ns| Reverse((at_ns, number))));
        let next = std::iter::from_fn(|| match heads.is_empty() {
            true => order.take(),
            false => order.pop(),
        });
        for decoded in next.collect::<Vec<_>>() {
            if let Some(clock) = order.clock() {
                let begin = || Recount::new(config, clock, interval_ns, decoded.event.time_ns);
                recount.get_or_insert_with(begin).take(&decoded);
            }
        }
    }
    let mut report = recount.ok_or_else(|| nothing(&inputs))?.finish();
    // What no file of events holds.
    report.totals.lost_events = None;
    report.overhead.attached_ms = None;
    report.overhead.ready_ms = None;
    report.host.tick_hz = None;
    report.warnings.insert(
        0,
        "replayed from recorded events: they do not hold how many were lost, what the kernel itself counted, segments that no event showed, peers that the recorded run did not ask for, whose sockets they were, the database and faults; the window is from the first event to the last".to_owned(),
    );
    report.warnings.extend(flaws(&inputs, order.twice()));
    Ok(report)
}

/// What was not as it was written.
fn flaws(inputs: &[Input], twice: u64) -> Vec<String> {
    let mut said = Vec::new();
    for input in inputs {
        let Flaws { cut, nul_bytes } = input.reader.flaws();
        let of = match inputs {
            [_] => String::new(),
            _ => format!(" of {}", input.name),
        };
        match cut {
            0 => {}
            1 => said.push(format!("a line{of} was cut, and is not in the report")),
            cut => said.push(format!(
                "{cut} lines{of} were cut, and are not in the report"
            )),
        }
        if nul_bytes > 0 {
            said.push(format!(
                "{nul_bytes} NUL bytes{of} were passed over, as a file has where it was emptied or not written: events may be missing"
            ));
        }
    }
    if twice > 0 {
        said.push(format!(
            "{twice} events were there twice, and count once: a file was given twice, or with a copy of it"
        ));
    }
    said
}
