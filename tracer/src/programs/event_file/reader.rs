//! A file of events, read again.

use std::io::{self, BufRead};

use tracer_core::clock::Clock;
use tracer_core::event::Decoded;

use crate::programs::event_file::line::{JIFFY_NS, Line};

/// No line of ours is longer.
const MAX_LINE_BYTES: u64 = 64 * 1024;
/// How every line of ours begins.
const BEGIN: &[u8] = b"{\"time\":\"";
/// What some editors and shells put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file that is none of events.
#[derive(Debug, thiserror::Error)]
pub enum ReadEventsError {
    #[error("line {line} is not an event: {reason}")]
    Line { line: u64, reason: String },
    #[error("cannot read on after line {line}: {cause}")]
    Read { line: u64, cause: io::Error },
}

/// One event, and when it was by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Recorded {
    /// The event. Timeouts are in units of [`EventReader::JIFFY_NS`].
    pub decoded: Decoded,
    /// Its moment.
    pub clock: Clock,
}

/// What stood between the events and was passed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flaws {
    /// Lines that are not whole: who wrote them had no time to, or no room.
    pub cut: u64,
    /// NUL bytes, as are left where a file is emptied under who does not append to it.
    pub nul_bytes: u64,
}

/// Reads events one by one.
#[derive(Debug)]
pub struct EventReader<R> {
    source: R,
    line: u64,
    flaws: Flaws,
    piece: Vec<u8>,
}

/// What a piece of the file ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PieceEnd {
    Line,
    Nul,
    File,
}

impl<R: BufRead> EventReader<R> {
    /// The unit of timeouts.
    pub const JIFFY_NS: u64 = JIFFY_NS;

    /// Reads from this.
    pub fn new(source: R) -> Self {
        Self {
            source,
            line: 0,
            flaws: Flaws::default(),
            piece: Vec::new(),
        }
    }

    /// What was passed over so far.
    #[must_use]
    pub fn flaws(&self) -> Flaws {
        self.flaws
    }

    /// The number of the last line that was read, counted from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// If what comes next is none.
    pub fn read(&mut self) -> Result<Option<Recorded>, ReadEventsError> {
        loop {
            let end = self.next_piece()?;
            let text = self
                .piece
                .strip_prefix(BYTE_ORDER_MARK)
                .unwrap_or(&self.piece);
            let text = text.trim_ascii();
            let first = self.line == 0;
            if end == PieceEnd::Line {
                self.line = self.line.saturating_add(1);
            }
            if text.is_empty() {
                match end {
                    PieceEnd::File => return Ok(None),
                    PieceEnd::Line | PieceEnd::Nul => continue,
                }
            }
            if end == PieceEnd::File {
                self.line = self.line.saturating_add(1);
            }
            let reason = match parse(text) {
                Ok(recorded) => return Ok(Some(recorded)),
                Err(reason) => reason,
            };
            // What was cut, and another line was appended to.
            let again = text.windows(BEGIN.len()).rposition(|bytes| bytes == BEGIN);
            let begins = text.starts_with(b"{");
            let again = again.filter(|at| *at > 0 && begins);
            let again = again.and_then(|at| parse(text.get(at..)?).ok());
            let cut = again.is_some()
                || end != PieceEnd::Line
                || (reason.cut && text.starts_with(BEGIN))
                // Only the end of a longer file was given.
                || (first && !begins && text.ends_with(b"}"));
            if !cut {
                return Err(ReadEventsError::Line {
                    line: self.line,
                    reason: reason.text,
                });
            }
            self.flaws.cut = self.flaws.cut.saturating_add(1);
            match (again, end) {
                (Some(recorded), _) => return Ok(Some(recorded)),
                (None, PieceEnd::File) => return Ok(None),
                (None, PieceEnd::Line | PieceEnd::Nul) => {}
            }
        }
    }

    /// Takes what comes up to the end of a line, a NUL, or the end.
    fn next_piece(&mut self) -> Result<PieceEnd, ReadEventsError> {
        self.piece.clear();
        loop {
            let there = match self.source.fill_buf() {
                Ok(there) => there,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // A compressed file that was cut: what came before is whole.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    let cut = u64::from(self.piece.is_empty());
                    self.flaws.cut = self.flaws.cut.saturating_add(cut);
                    return Ok(PieceEnd::File);
                }
                Err(cause) => {
                    let line = self.line;
                    return Err(ReadEventsError::Read { line, cause });
                }
            };
            if there.is_empty() {
                return Ok(PieceEnd::File);
            }
            let stop = there.iter().position(|byte| matches!(byte, b'\n' | 0));
            let (piece, behind) = there.split_at(stop.unwrap_or(there.len()));
            self.piece.extend_from_slice(piece);
            let (end, more) = match behind.first() {
                Some(0) => {
                    let nuls = behind.iter().take_while(|byte| **byte == 0).count();
                    self.flaws.nul_bytes = self.flaws.nul_bytes.saturating_add(nuls as u64);
                    (Some(PieceEnd::Nul), nuls)
                }
                Some(_) => (Some(PieceEnd::Line), 1),
                None => (None, 0),
            };
            let taken = piece.len().saturating_add(more);
            self.source.consume(taken);
            if self.piece.len() as u64 > MAX_LINE_BYTES {
                return Err(ReadEventsError::Line {
                    line: self.line.saturating_add(1),
                    reason: format!("it is longer than {MAX_LINE_BYTES} bytes"),
                });
            }
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }
}

/// Why a line is not an event.
struct Reason {
    text: String,
    /// Whether it is the beginning of JSON that does not end.
    cut: bool,
}

fn no(text: impl Into<String>) -> Reason {
    Reason {
        text: text.into(),
        cut: false,
    }
}

fn parse(bytes: &[u8]) -> Result<Recorded, Reason> {
    let line: Line = serde_json::from_slice(bytes).map_err(|error| Reason {
        text: error.to_string(),
        cut: error.is_eof(),
    })?;
    let decoded = line
        .decoded()
        .ok_or_else(|| no("it names something that there is not"))?;
    let realtime = line.time.parse();
    Ok(Recorded {
        decoded,
        clock: Clock {
            monotonic_ns: decoded.event.time_ns,
            realtime: realtime.map_err(|_| no(format!("`{}` is not a time", line.time)))?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"time":"2026-01-02T03:04:05.000001Z","time_ns":1000,"event":"reset_sent","local":{"address":"10.0.10.3","port":1},"remote":{"address":"10.0.10.2","port":2},"netns":7,"later":1}"#;

    fn read(text: &[u8]) -> (usize, Flaws, Option<String>) {
        let mut reader = EventReader::new(text);
        let mut count = 0;
        loop {
            match reader.read() {
                Ok(Some(_)) => count += 1,
                Ok(None) => return (count, reader.flaws(), None),
                Err(error) => return (count, reader.flaws(), Some(error.to_string())),
            }
        }
    }

    fn flaws(cut: u64, nul_bytes: u64) -> Flaws {
        Flaws { cut, nul_bytes }
    }

    #[test]
    fn what_was_cut_is_counted_and_what_never_was_an_event_is_an_error() {
        let whole = format!("{LINE}\n{LINE}\n");
        assert_eq!(read(whole.as_bytes()), (2, flaws(0, 0), None));
        let cut = &whole.as_bytes()[..whole.len() - 9];
        assert_eq!(read(cut), (1, flaws(1, 0), None));
        assert_eq!(read(b""), (0, flaws(0, 0), None));
        let tail = &whole.as_bytes()[9..];
        assert_eq!(read(tail), (1, flaws(1, 0), None));
        let broken = format!("{LINE}\n{{}}\n{LINE}\n");
        let (count, _, error) = read(broken.as_bytes());
        assert_eq!(count, 1);
        let error = error.unwrap();
        assert!(
            error.starts_with("line 2 is not an event: missing field"),
            "{error}"
        );
        let endless = vec![b'x'; 200_000];
        assert!(read(&endless).2.is_some());
    }

    #[test]
    fn a_line_that_was_cut_in_the_middle_of_a_file_costs_no_other() {
        for torn in [&LINE[..40], &LINE[..2], &LINE[..LINE.len() - 1]] {
            let joined = format!("{LINE}\n{torn}{LINE}\n{LINE}\n");
            assert_eq!(read(joined.as_bytes()), (3, flaws(1, 0), None), "{torn}");
        }
        let torn = &LINE[..40];
        let ended = format!("{LINE}\n{torn}\n{LINE}\n");
        assert_eq!(read(ended.as_bytes()), (2, flaws(1, 0), None));
    }

    #[test]
    fn blanks_marks_and_holes_are_passed_over() {
        let blank = format!("\n\u{feff}{LINE}\r\n\n \n{LINE}\n\n");
        assert_eq!(read(blank.as_bytes()), (2, flaws(0, 0), None));
        let hole = "\0".repeat(200_000);
        let begins = format!("{hole}{LINE}\n{LINE}\n");
        assert_eq!(read(begins.as_bytes()), (2, flaws(0, 200_000), None));
        let amid = format!("{LINE}\n{}{hole}{LINE}\n", &LINE[..40]);
        assert_eq!(read(amid.as_bytes()), (2, flaws(1, 200_000), None));
        let ends = format!("{LINE}\n{hole}");
        assert_eq!(read(ends.as_bytes()), (1, flaws(0, 200_000), None));
    }
}
