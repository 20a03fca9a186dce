//! Writing without ever being held up: a thread of its own does what may block, and
//! what it cannot get rid of is counted.
//!
//! A pipe, a terminal and a disk can each stand still for as long as they like: a reader
//! that stops reading, Ctrl-S, a server of files that is gone. Asking beforehand (`poll`)
//! knows of some of them and of a part of what is written, and making the descriptor
//! non-blocking changes it for everybody else who holds it: the caller's shell, too.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use caps::Capability;

use crate::files::target::ByteSink;
use crate::kernel::preflight;
use tracer_core::recording::programs::Unwritten;

/// What may wait to be written, bytes: some ten thousand events.
const ROOM: usize = 8 << 20;
/// What a pipe takes as one (`PIPE_BUF`): of a line that it has, it has all.
const PIECE: usize = 4096;

/// Takes lines, and has them written.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<WriteOrder>,
    bytes: usize,
    /// Lines that were taken and not written yet, those under way among them.
    pending: u64,
    lost: u64,
    cause: Option<String>,
    /// Whether the reader has left for good.
    left: bool,
    /// Grows with everything that is done.
    progress: u64,
    /// Nothing comes any more.
    ending: bool,
    ended: bool,
}

#[derive(Debug)]
enum WriteOrder {
    Write(Vec<u8>),
    Reopen,
}

impl Writer {
    /// Starts the thread, which keeps of the caller's privileges no more than these.
    pub(crate) fn start(
        target: Box<dyn ByteSink>,
        needed: &'static [Capability],
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let worker = Arc::clone(&shared);
        thread::Builder::new()
            .name(env!("CARGO_PKG_NAME").to_owned())
            .spawn(move || {
                // Refused, it keeps what the caller has: no more than before.
                let _ = preflight::keep_only(needed);
                work(&worker, target);
            })?;
        Ok(Self { shared })
    }

    /// Takes whole lines. They are lost if too much waits already.
    pub(crate) fn write(&self, bytes: Vec<u8>) {
        let lines = lines(&bytes);
        let mut state = self.shared.lock();
        if state.bytes + bytes.len() > ROOM && state.bytes > 0 {
            state.lost += lines;
            return;
        }
        state.bytes += bytes.len();
        state.pending += lines;
        state.queue.push_back(WriteOrder::Write(bytes));
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Reopens the file behind what was taken so far.
    pub(crate) fn reopen(&self) {
        self.shared.lock().queue.push_back(WriteOrder::Reopen);
        self.shared.changed.notify_all();
    }

    /// Whether all that was taken is done with.
    pub(crate) fn is_idle(&self) -> bool {
        self.shared.lock().pending == 0
    }

    /// Whether the reader has left.
    pub(crate) fn is_left(&self) -> bool {
        self.shared.lock().left
    }

    /// What is lost by now.
    pub(crate) fn lost(&self) -> Unwritten {
        let state = self.shared.lock();
        Unwritten {
            lines: state.lost,
            cause: state.cause.clone(),
        }
    }

    /// Waits until all that was taken is done with, as long as something moves at least
    /// once in so long a time; for ever for [`None`]. What is left then counts as unwritten.
    #[must_use]
    pub(crate) fn settle(&self, patience: Option<Duration>) -> Unwritten {
        self.wait(patience, |state| {
            state.pending == 0 && state.queue.is_empty()
        })
    }

    /// The same, and nothing comes any more.
    #[must_use]
    pub(crate) fn finish(self, patience: Option<Duration>) -> Unwritten {
        self.shared.lock().ending = true;
        self.shared.changed.notify_all();
        self.wait(patience, |state| state.ended)
    }

    fn wait(&self, patience: Option<Duration>, done: impl Fn(&State) -> bool) -> Unwritten {
        let mut state = self.shared.lock();
        let mut seen = state.progress;
        let mut since = Instant::now();
        while !done(&state) {
            if state.progress != seen {
                seen = state.progress;
                since = Instant::now();
            }
            let left = match patience {
                None => Duration::MAX,
                Some(patience) => patience.saturating_sub(since.elapsed()),
            };
            if left.is_zero() {
                break;
            }
            let left = left.min(Duration::from_secs(3600));
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let stands = (state.pending > 0).then(|| {
            let seconds = since.elapsed().as_secs_f64();
            format!("nothing was taken for {seconds:.0} s")
        });
        Unwritten {
            lines: state.lost + state.pending,
            cause: state.cause.clone().or(stands),
        }
    }
}

impl Drop for Writer {
    /// The thread ends by itself once it is rid of what it has; one that stands still goes
    /// with the process.
    fn drop(&mut self) {
        self.shared.lock().ending = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next thing to do; `None` at the end.
    fn next(&self) -> Option<WriteOrder> {
        let mut state = self.lock();
        loop {
            if let Some(order) = state.queue.pop_front() {
                return Some(order);
            }
            if state.ending {
                return None;
            }
            let waited = self.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn note(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.progress += 1;
        drop(state);
        self.changed.notify_all();
    }
}

fn work(shared: &Shared, mut target: Box<dyn ByteSink>) {
    while let Some(order) = shared.next() {
        match order {
            WriteOrder::Reopen => {
                target.reopen();
                shared.note(|_| {});
            }
            WriteOrder::Write(bytes) => {
                let most = if target.is_stream() {
                    PIECE
                } else {
                    usize::MAX
                };
                for piece in pieces(&bytes, most) {
                    let lines = lines(piece);
                    let written = target.write(piece);
                    shared.note(|state| {
                        state.pending -= lines;
                        if let Err(error) = written {
                            state.lost += lines;
                            state.left |= target.is_left(&error);
                            state.cause.get_or_insert_with(|| error.to_string());
                        }
                    });
                }
                shared.note(|state| state.bytes -= bytes.len());
            }
        }
    }
    shared.note(|state| state.ended = true);
}

/// Whole lines, as many as fit into so many bytes, and at least one.
fn pieces(bytes: &[u8], most: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let head = &rest[..rest.len().min(most)];
        let end = match head.iter().rposition(|byte| *byte == b'\n') {
            _ if head.len() == rest.len() => rest.len(),
            Some(at) => at + 1,
            None => {
                let end = rest.iter().position(|byte| *byte == b'\n');
                end.map_or(rest.len(), |at| at + 1)
            }
        };
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

/// How many lines these are; the last one counts also without its end.
fn lines(bytes: &[u8]) -> u64 {
    let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
    let open = bytes.last().is_some_and(|byte| *byte != b'\n');
    ends as u64 + u64::from(open)
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::io::Read;

    use super::*;
    use crate::files::target::Descriptor;

    const SHORT: Option<Duration> = Some(Duration::from_millis(50));
    const LONG: Option<Duration> = Some(Duration::from_secs(60));

    fn pipe() -> (File, File) {
        let (read, write) = nix::unistd::pipe().unwrap();
        (read.into(), write.into())
    }

    #[test]
    fn pieces_are_whole_lines() {
        let cut = |text: &'static str, most| -> Vec<&str> {
            let pieces = pieces(text.as_bytes(), most);
            pieces
                .map(|one| std::str::from_utf8(one).unwrap())
                .collect()
        };
        assert_eq!(cut("a\nbb\nccc\n", 6), ["a\nbb\n", "ccc\n"]);
        assert_eq!(cut("a\nbb\nccc\n", 1), ["a\n", "bb\n", "ccc\n"]);
        assert_eq!(cut("aaaa", 2), ["aaaa"]);
        assert_eq!(cut("a\nbb", usize::MAX), ["a\nbb"]);
        assert_eq!(cut("", 2), [""; 0]);
        assert_eq!((lines(b"a\nb"), lines(b"a\n"), lines(b"")), (2, 1, 0));
    }

    #[test]
    fn what_a_reader_does_not_take_is_counted_to_the_line() {
        let (mut read, write) = pipe();
        let writer = Writer::start(Box::new(Descriptor::new(write)), &[]).unwrap();
        let line = [&[b'x'; 99][..], b"\n"].concat();
        let all = 2_000;
        writer.write(line.repeat(all));
        let unwritten = writer.settle(SHORT);
        assert!(unwritten.cause.unwrap().contains("nothing was taken"));
        let mut there = vec![0; 1 << 20];
        // All that the pipe holds: the writer stands still.
        let held = read.read(&mut there).unwrap();
        let whole = there[..held].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(whole as u64 + unwritten.lines, all as u64);
        assert_eq!(there[held - 1], b'\n');
        let rest = thread::spawn(move || {
            let mut rest = Vec::new();
            read.read_to_end(&mut rest).unwrap();
            rest.len()
        });
        assert_eq!(writer.finish(LONG), Unwritten::default());
        assert_eq!(held + rest.join().unwrap(), all * 100);
    }

    #[test]
    fn there_is_an_end_to_what_waits() {
        let (_read, write) = pipe();
        let writer = Writer::start(Box::new(Descriptor::new(write)), &[]).unwrap();
        let mib = [&[b'x'; 1023][..], b"\n"].concat().repeat(1024);
        for _ in 0..20 {
            writer.write(mib.clone());
        }
        let lost = writer.lost().lines;
        assert!((11 * 1024..=13 * 1024).contains(&lost), "{lost}");
    }

    #[test]
    fn a_reader_that_leaves_and_a_full_disk_are_told() {
        let (read, write) = pipe();
        drop(read);
        let writer = Writer::start(Box::new(Descriptor::new(write)), &[]).unwrap();
        writer.write(b"a\nb\n".to_vec());
        assert_eq!(writer.settle(LONG).lines, 2);
        assert!(writer.is_left());
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let writer = Writer::start(Box::new(Descriptor::new(full)), &[]).unwrap();
        writer.write(b"a\nb\n".to_vec());
        let unwritten = writer.settle(LONG);
        assert_eq!(unwritten.lines, 2);
        assert!(unwritten.cause.unwrap().contains("No space left"));
        assert!(!writer.is_left());
    }
}
