//! The terminal, or what stands in for it: standard error, and how large it is.
//! What is said on standard error never ends the program, and never holds it up.
//! `eprintln!` panics when the terminal is gone, and waits when it was stopped.

use std::fmt::Display;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::Duration;

use terminal_size::{Height, Width, terminal_size_of};
use tracer_core::harmless;

use crate::files::{ByteSink as _, Descriptor, Writer};
use crate::kernel::descriptors;

/// What a terminal is taken for that does not say how large it is.
const DEFAULT_SIZE: (usize, usize) = (100, 24);
/// How long the end waits for somebody to take what was said.
const PATIENCE: Duration = Duration::from_secs(2);

/// `None` if there could be no thread for it.
static WRITER: OnceLock<Option<Writer>> = OnceLock::new();

fn writer() -> Option<&'static Writer> {
    let start = || Writer::start(Box::new(Descriptor::new(io::stderr())), &[]).ok();
    WRITER.get_or_init(start).as_ref()
}

/// Says a line. Whatever stands in it does nothing to a terminal.
pub(crate) fn say(line: impl Display) {
    write(format!("{}\n", harmless::line(&line.to_string())).into_bytes());
}

/// Says what went wrong, in a line.
pub(crate) fn say_error(error: &anyhow::Error) {
    let text = descriptors::explained(format!("{error:#}"));
    say(format_args!("tracer: {text}"));
}

/// Shows a line on a terminal that the next one replaces; nothing while the last one is on
/// its way.
pub(crate) fn show(line: &str) {
    if writer().is_some_and(Writer::is_idle) {
        write(format!("\r\x1b[K{}", harmless::line(line)).into_bytes());
    }
}

fn write(bytes: Vec<u8>) {
    match writer() {
        Some(writer) => writer.write(bytes),
        // Rather a wait than silence; there is nobody to report a failure to.
        None => drop(Descriptor::new(io::stderr()).write(&bytes)),
    }
}

/// Waits until what was said is out, for a while. To be called at the very end.
pub(crate) fn settle() {
    if let Some(Some(writer)) = WRITER.get() {
        // What nobody takes cannot be reported.
        let _ = writer.settle(Some(PATIENCE));
    }
}

/// Width and height of a terminal in characters.
pub(crate) fn size(terminal: impl AsFd) -> (usize, usize) {
    terminal_size_of(terminal).map_or(DEFAULT_SIZE, |(Width(columns), Height(rows))| {
        (columns.into(), rows.into())
    })
}

/// A log line, which comes whole and with its end, as [`say`] says it.
fn record(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let (line, end) = match text.strip_suffix('\n') {
        Some(line) => (line, "\n"),
        None => (&*text, ""),
    };
    format!("{}{end}", harmless::line(line)).into_bytes()
}

/// Where log lines go.
#[derive(Debug)]
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write(record(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_is_one_line_whatever_it_quotes() {
        let said = record(b"[WARN] /tmp/\x1b[2J\nx\xff: \xc2\x9b1m\n");
        let said = String::from_utf8(said).unwrap();
        assert_eq!(said, "[WARN] /tmp/\\u{1b}[2J\\nx\u{fffd}: \\u{9b}1m\n");
    }
}
