//! All that is written: files that are opened before tracing begins, so that a bad path
//! fails at once and not after an hour, and streams whose readers may come, go and stand
//! still. None of it holds up the count, the end, or the undoing of a fault.

mod destination;
mod draft;
mod file;
pub(crate) mod input;
mod links;
mod ready;
mod target;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracer_core::harmless;

use crate::files::destination::Destination;

pub(crate) use crate::files::destination::{SameFile, distinct, unread};
pub(crate) use crate::files::file::Output;
pub(crate) use crate::files::ready::ReadyFile;
pub(crate) use crate::files::target::{Appended, ByteSink, Descriptor};
pub(crate) use crate::files::writer::Writer;

/// How long the end waits for a reader who takes nothing, of what is nowhere else.
pub(crate) const MAX_PATIENCE: Duration = Duration::from_secs(60);

/// Where lines are written one after the other, and whether that is standard output.
pub(crate) fn lines(path: &Path) -> io::Result<(Box<dyn ByteSink>, bool)> {
    match destination::find(path)? {
        Destination::Own(1) => Ok((Box::new(Descriptor::new(io::stdout())), true)),
        Destination::Own(number) => Ok((Box::new(Descriptor::new(target::own(number)?)), false)),
        // By the name that was given: links may lead elsewhere when it is reopened.
        _ => Ok((Box::new(Appended::create(path.to_owned())?), false)),
    }
}

/// Prints lines to standard output; what others wrote in them does nothing there. A reader who
/// takes nothing for as long as `patience` gets no more; that nobody reads any more is no error.
pub(crate) fn print(text: &str, patience: Option<Duration>) -> io::Result<()> {
    let stdout = Writer::start(Box::new(Descriptor::new(io::stdout())), &[])?;
    file::hand_over(&stdout, harmless::lines(text).as_bytes(), patience)
}

/// Prints lines, if there are any.
pub(crate) fn print_lines(lines: &[String]) -> io::Result<()> {
    print(&text(lines), Some(MAX_PATIENCE))
}

/// A line each, whatever they hold that others have written.
pub(crate) fn text(lines: &[String]) -> String {
    let lines = lines.iter().map(|line| harmless::line(line));
    lines.map(|line| format!("{line}\n")).collect()
}

/// A path that cannot be written to.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {option} {path}: {cause}")]
pub(crate) struct OutputError {
    option: &'static str,
    path: PathBuf,
    cause: io::Error,
}

impl OutputError {
    /// That what an option names cannot be written.
    pub(crate) fn new(option: &'static str, path: PathBuf, cause: io::Error) -> Self {
        Self {
            option,
            path,
            cause,
        }
    }
}
