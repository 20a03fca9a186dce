//! `--events`: every event as one JSON line.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub(crate) mod line;
pub(crate) mod reader;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use caps::Capability;
use tracer_core::clock::Clock;
use tracer_core::event::Decoded;
use tracer_core::recording::programs::Unwritten;

use crate::files::{self, ByteSink, OutputError, Writer};

use crate::programs::event_file::line::line;

pub use crate::programs::event_file::reader::EventReader;
pub(crate) use crate::programs::event_file::reader::{Flaws, Recorded};

/// Enough for some hundred lines between two writes.
const BUFFER: usize = 64 * 1024;
/// To reopen a file of somebody else's.
const NEEDED: &[Capability] = &[Capability::CAP_DAC_OVERRIDE];
/// How long the end waits for a reader who takes nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// A file of events that is open, and that nothing is written to yet.
#[derive(Debug)]
pub(crate) struct EventFile {
    path: PathBuf,
    target: Box<dyn ByteSink>,
    stdout: bool,
}

/// Writes events as they come. What cannot be written is counted, and nothing else
/// suffers from it.
#[derive(Debug)]
pub(crate) struct EventWriter {
    path: PathBuf,
    writer: Writer,
    buffer: Vec<u8>,
    warned: bool,
    clock: Clock,
    jiffy_ns: u64,
}

/// Events that are not in their file.
#[derive(Debug, thiserror::Error)]
#[error("{count} events could not be written to --events {path}: {cause}; the report is complete")]
pub(crate) struct MissingEvents {
    path: PathBuf,
    count: u64,
    cause: String,
}

impl EventFile {
    /// Opens the file, emptying it; `-` is standard output.
    pub(crate) fn create(path: &Path) -> Result<Self, OutputError> {
        let failed = |cause| OutputError::new("--events", path.to_owned(), cause);
        let (target, stdout) = files::lines(path).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            target,
            stdout,
        })
    }

    /// Whether this is the caller's standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        self.stdout
    }

    /// Begins to write, with the privileges of the caller.
    pub(crate) fn start(self, clock: Clock, jiffy_ns: u64) -> io::Result<EventWriter> {
        Ok(EventWriter {
            path: self.path,
            writer: Writer::start(self.target, NEEDED)?,
            buffer: Vec::with_capacity(BUFFER),
            warned: false,
            clock,
            jiffy_ns,
        })
    }
}

/// One event as [`EventWriter`] writes it, without the line's end.
pub(crate) fn json(decoded: &Decoded, clock: &Clock, jiffy_ns: u64) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&line(decoded, clock, jiffy_ns))
}

impl EventWriter {
    /// Writes one event.
    pub(crate) fn write(&mut self, decoded: &Decoded) {
        let line = line(decoded, &self.clock, self.jiffy_ns);
        let before = self.buffer.len();
        match serde_json::to_writer(&mut self.buffer, &line) {
            Ok(()) => self.buffer.push(b'\n'),
            // Events have no value that has no form in JSON.
            Err(error) => {
                log::debug!("{error}");
                self.buffer.truncate(before);
            }
        }
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
    }

    /// Hands over what is buffered, and says once that something was lost.
    pub(crate) fn flush(&mut self) {
        if !self.buffer.is_empty() {
            let next = Vec::with_capacity(BUFFER);
            self.writer.write(std::mem::replace(&mut self.buffer, next));
        }
        let lost = self.writer.lost();
        if lost.lines > 0 && !self.warned {
            self.warned = true;
            log::warn!(
                "events cannot be written to --events {}: {}; the count goes on",
                self.path.display(),
                lost.cause.as_deref().unwrap_or("nobody takes them")
            );
        }
    }

    /// How many events are lost by now.
    #[must_use]
    pub(crate) fn unwritten(&self) -> u64 {
        self.writer.lost().lines
    }

    /// Reopens the file for what comes from now on: what was there before was renamed.
    pub(crate) fn reopen(&mut self) {
        self.flush();
        self.writer.reopen();
    }

    /// What was not written by the end, which does not wait for a reader who stands still.
    #[must_use]
    pub(crate) fn finish(mut self) -> (Unwritten, Option<MissingEvents>) {
        self.flush();
        let unwritten = self.writer.finish(Some(PATIENCE));
        let missing = (unwritten.lines > 0).then(|| MissingEvents {
            path: self.path,
            count: unwritten.lines,
            cause: unwritten.cause.clone().unwrap_or_default(),
        });
        (unwritten, missing)
    }
}
