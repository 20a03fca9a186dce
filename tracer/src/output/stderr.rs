//! Standard error: what is said there never ends the program, and never holds it up.
//! `eprintln!` panics when the terminal is gone, and waits when it was stopped.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::Duration;

use super::target::{Descriptor, Target as _};
use super::writer::Writer;

/// How long the end waits for somebody to take what was said.
const PATIENCE: Duration = Duration::from_secs(2);

/// `None` if there could be no thread for it.
static WRITER: OnceLock<Option<Writer>> = OnceLock::new();

fn writer() -> Option<&'static Writer> {
    let start = || Writer::start(Descriptor::new(io::stderr()), &[]).ok();
    WRITER.get_or_init(start).as_ref()
}

/// Says a line.
pub fn say(line: impl Display) {
    write(format!("{line}\n").into_bytes());
}

/// Shows something that the next thing replaces; nothing while the last one is on its way.
pub fn show(text: String) {
    if writer().is_some_and(Writer::is_idle) {
        write(text.into_bytes());
    }
}

fn write(bytes: Vec<u8>) {
    match writer() {
        Some(writer) => writer.write(bytes),
        // Rather a wait than silence; there is nobody to be told of a failure.
        None => drop(Descriptor::new(io::stderr()).write(&bytes)),
    }
}

/// Waits until what was said is out, for a while. To be called at the very end.
pub fn settle() {
    if let Some(Some(writer)) = WRITER.get() {
        // What nobody takes cannot be told to anybody.
        let _ = writer.settle(Some(PATIENCE));
    }
}

/// Where log lines go.
#[derive(Debug)]
pub struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
