//! The live view: redrawn on a terminal, one line an interval elsewhere.

use std::io::{self, IsTerminal};
use std::time::Duration;

use tracer_core::harmless;
use tracer_core::recording::programs::Unwritten;
use tracer_core::render::live::{self, LiveView};

use crate::config::Verbosity;
use crate::files::{Descriptor, Writer};
use crate::terminal;

/// How long the report waits for lines that are on their way.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where the live view goes. What nobody takes is dropped, and nobody waits for it.
#[derive(Debug)]
pub(crate) struct Live {
    output: Option<(Stream, Writer)>,
    terminal: bool,
    drawn: usize,
}

/// A standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Output,
    Error,
}

impl Live {
    /// A view on standard output, or on standard error if that is taken.
    pub(crate) fn new(verbosity: Verbosity, stdout_is_taken: bool) -> io::Result<Self> {
        let stream = match (verbosity, stdout_is_taken) {
            (Verbosity::Quiet, _) => None,
            (_, false) => Some(Stream::Output),
            (_, true) => Some(Stream::Error),
        };
        let terminal = stream.is_some_and(Stream::is_terminal);
        // What the programs log goes through the same terminal, line by line.
        let terminal = terminal && !matches!(verbosity, Verbosity::Verbose(_));
        Ok(Self {
            output: match stream {
                Some(stream) => Some((stream, stream.writer()?)),
                None => None,
            },
            terminal,
            drawn: 0,
        })
    }

    /// Whether it is redrawn in place.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether whoever looked at it has left: a pipe was closed, or a terminal is gone.
    pub(crate) fn is_left(&self) -> bool {
        self.output.as_ref().is_some_and(|(_, to)| to.is_left())
    }

    /// Shows a moment.
    pub(crate) fn show(&mut self, view: &LiveView<'_>) {
        let Some((stream, output)) = &self.output else {
            return;
        };
        if !self.terminal {
            let line = live::line(view);
            output.write(format!("{}\n", harmless::line(&line)).into_bytes());
            return;
        }
        // A terminal that was stopped has the last picture still to come.
        if !output.is_idle() {
            return;
        }
        let (width, height) = stream.size();
        let lines = live::screen(view, width, height);
        let mut text = erase(self.drawn);
        for line in &lines {
            text.push_str(&harmless::line(line));
            text.push('\n');
        }
        self.drawn = lines.len();
        output.write(text.into_bytes());
    }

    /// Lines that were to be read along and are not written by now. A terminal's pictures
    /// replace each other, and none is missing; a reader who left misses nothing.
    #[must_use]
    pub(crate) fn unwritten(&self) -> Unwritten {
        match &self.output {
            Some((_, output)) if !self.terminal => {
                let unwritten = output.settle(Some(PATIENCE));
                match output.is_left() {
                    true => Unwritten::default(),
                    false => unwritten,
                }
            }
            _ => Unwritten::default(),
        }
    }

    /// Shows the summary in place of the last moment, as [`Writer::settle`] waits.
    /// A reader who has left is no error.
    pub(crate) fn conclude(
        self,
        summary: impl FnOnce(usize) -> String,
        patience: Option<Duration>,
    ) -> io::Result<()> {
        let Some((stream, output)) = self.output else {
            return Ok(());
        };
        let width = if self.terminal {
            stream.size().0
        } else {
            usize::MAX
        };
        let before = output.lost().lines;
        let summary = summary(width);
        output.write((erase(self.drawn) + &harmless::lines(&summary)).into_bytes());
        let unwritten = output.settle(patience);
        if unwritten.lines == before || output.is_left() {
            return Ok(());
        }
        Err(io::Error::other(unwritten.cause.unwrap_or_default()))
    }
}

impl Stream {
    fn writer(self) -> io::Result<Writer> {
        match self {
            Self::Output => Writer::start(Box::new(Descriptor::new(io::stdout())), &[]),
            Self::Error => Writer::start(Box::new(Descriptor::new(io::stderr())), &[]),
        }
    }

    fn is_terminal(self) -> bool {
        match self {
            Self::Output => io::stdout().is_terminal(),
            Self::Error => io::stderr().is_terminal(),
        }
    }

    /// Width and height in characters.
    fn size(self) -> (usize, usize) {
        match self {
            Self::Output => terminal::size(io::stdout()),
            Self::Error => terminal::size(io::stderr()),
        }
    }
}

/// Moves to where the last drawing began and clears what follows.
fn erase(lines: usize) -> String {
    match lines {
        0 => String::new(),
        lines => format!("\x1b[{lines}A\r\x1b[J"),
    }
}
