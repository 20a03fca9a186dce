//! `--events`: every event as one JSON line.

mod line;
mod reader;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::decode::Decoded;

pub use self::line::jiffies_to_ms;
use self::line::line;
pub use self::reader::{EventReader, ReadEventsError, Recorded};

/// Enough for some hundred lines between two writes.
const BUFFER: usize = 64 * 1024;

/// Writes events as they come.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
    clock: Clock,
    jiffy_ns: u64,
}

/// The events cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write --events {path}: {cause}")]
pub struct EventsError {
    path: PathBuf,
    cause: io::Error,
}

impl EventWriter {
    /// Opens the file, emptying it.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn create(path: &Path, clock: Clock, jiffy_ns: u64) -> Result<Self, EventsError> {
        let file = File::create(path).map_err(|cause| EventsError {
            path: path.to_owned(),
            cause,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::with_capacity(BUFFER, file),
            clock,
            jiffy_ns,
        })
    }

    /// Writes one event.
    ///
    /// # Errors
    /// If the file takes no more.
    pub fn write(&mut self, decoded: &Decoded) -> Result<(), EventsError> {
        let line = line(decoded, &self.clock, self.jiffy_ns);
        let written = serde_json::to_writer(&mut self.file, &line).map_err(io::Error::from);
        written
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(|cause| EventsError {
                path: self.path.clone(),
                cause,
            })
    }

    /// Hands over what is buffered.
    ///
    /// # Errors
    /// If the file takes no more.
    pub fn flush(&mut self) -> Result<(), EventsError> {
        self.file.flush().map_err(|cause| EventsError {
            path: self.path.clone(),
            cause,
        })
    }
}
