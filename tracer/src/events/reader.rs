//! A file of events, read again.

use std::io::{self, BufRead, Read as _};

use super::line::{JIFFY_NS, Line};
use crate::clock::Clock;
use crate::decode::Decoded;

/// No line of ours is longer.
const LONGEST: u64 = 64 * 1024;

/// A file that is none of events.
#[derive(Debug, thiserror::Error)]
pub enum ReadEventsError {
    /// A line that is none.
    #[error("line {line} is no event: {reason}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// It cannot be read on.
    #[error("cannot read on after line {line}: {cause}")]
    Read {
        /// The last one that was read.
        line: u64,
        /// Why.
        cause: io::Error,
    },
}

/// One event, and when it was by both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Recorded {
    /// The event. Timeouts are in units of [`EventReader::JIFFY_NS`].
    pub decoded: Decoded,
    /// Its moment.
    pub clock: Clock,
}

/// Reads events one by one.
#[derive(Debug)]
pub struct EventReader<R> {
    source: R,
    line: u64,
    cut: bool,
}

impl<R: BufRead> EventReader<R> {
    /// The unit of timeouts.
    pub const JIFFY_NS: u64 = JIFFY_NS;

    /// Reads from this.
    pub fn new(source: R) -> Self {
        Self {
            source,
            line: 0,
            cut: false,
        }
    }

    /// Whether the last line was not whole: who wrote it had no time to.
    #[must_use]
    pub fn was_cut(&self) -> bool {
        self.cut
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// If what comes next is none.
    pub fn read(&mut self) -> Result<Option<Recorded>, ReadEventsError> {
        let mut bytes = Vec::new();
        let mut limited = self.source.by_ref().take(LONGEST);
        limited
            .read_until(b'\n', &mut bytes)
            .map_err(|cause| ReadEventsError::Read {
                line: self.line,
                cause,
            })?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.line += 1;
        let whole = bytes.last() == Some(&b'\n');
        match parse(&bytes) {
            Ok(recorded) => Ok(Some(recorded)),
            Err(_) if !whole && (bytes.len() as u64) < LONGEST => {
                self.cut = true;
                Ok(None)
            }
            Err(reason) => Err(ReadEventsError::Line {
                line: self.line,
                reason,
            }),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Recorded, String> {
    let line: Line = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let decoded = line
        .decoded()
        .ok_or("it names something that there is not")?;
    let realtime = line.time.parse();
    Ok(Recorded {
        decoded,
        clock: Clock {
            monotonic_ns: decoded.event.time_ns,
            realtime: realtime.map_err(|_| format!("`{}` is no time", line.time))?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"time":"2026-01-02T03:04:05.000001Z","time_ns":1000,"event":"reset_sent","local":{"address":"10.0.10.3","port":1},"remote":{"address":"10.0.10.2","port":2},"netns":7,"later":1}"#;

    fn read(text: &[u8]) -> (usize, bool, Option<String>) {
        let mut reader = EventReader::new(text);
        let mut count = 0;
        loop {
            match reader.read() {
                Ok(Some(_)) => count += 1,
                Ok(None) => return (count, reader.was_cut(), None),
                Err(error) => return (count, reader.was_cut(), Some(error.to_string())),
            }
        }
    }

    #[test]
    fn a_line_that_was_cut_is_the_end_and_all_others_are_errors() {
        let whole = format!("{LINE}\n{LINE}\n");
        assert_eq!(read(whole.as_bytes()), (2, false, None));
        assert_eq!(read(&whole.as_bytes()[..whole.len() - 9]), (1, true, None));
        assert_eq!(read(b""), (0, false, None));
        let broken = format!("{LINE}\n{{}}\n{LINE}\n");
        let (count, _, error) = read(broken.as_bytes());
        assert_eq!(count, 1);
        assert!(
            error
                .unwrap()
                .starts_with("line 2 is no event: missing field")
        );
        let endless = vec![b'x'; 200_000];
        assert!(read(&endless).2.is_some());
    }
}
