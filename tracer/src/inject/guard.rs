//! The small process that undoes a fault when the tool is gone.
//!
//! It is this program again, started before the first change, which gets in one
//! line what to undo. It waits for the end of its standard input, which comes
//! when the tool closes the pipe or dies however, then undoes everything
//! and says so. The tool itself undoes nothing: the path taken after `SIGKILL`
//! is the only one there is, and so is tested by every run.

pub(crate) mod child;
pub(crate) mod clean;
pub(crate) mod lock;
pub(crate) mod origin;
pub(crate) mod protocol;
pub(crate) mod state_file;
pub(crate) mod status;
pub(crate) mod undo;

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::inject::error::GuardError;
use crate::inject::guard::state_file::Held;

pub use crate::inject::guard::child::guard_main;
pub(crate) use crate::inject::guard::protocol::Orders;

/// How long the guard may take to start, and to undo.
const PATIENCE: Duration = Duration::from_secs(5);
/// Its first argument; the second is its subcommand.
const NAME: &str = "tracer:";
/// A line of the guard's is an error message at most.
const MAX_LINE: usize = 4096;

/// How to start a process that does nothing but [`guard_main`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

impl Default for GuardCommand {
    /// This program's hidden subcommand `guard`, from the running file even if
    /// another has taken its name.
    fn default() -> Self {
        Self {
            program: PathBuf::from("/proc/self/exe"),
            args: vec![OsString::from("guard")],
        }
    }
}

/// A guard that stands ready.
#[derive(Debug)]
pub(crate) struct Guard {
    process: Child,
    /// Closing it is the signal.
    orders: Option<ChildStdin>,
    answers: ChildStdout,
    /// Its record, held by the tool as well.
    held: Option<Held>,
}

impl Guard {
    /// Starts a guard and waits until it is ready to undo.
    pub(crate) fn start(command: &GuardCommand, orders: &Orders) -> Result<Self, GuardError> {
        let mut process = Command::new(&command.program)
            .args(&command.args)
            // What `ps` shows: `tracer: guard`.
            .arg0(NAME)
            // A password, for one, has no business in a process that only undoes.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(GuardError::Start)?;
        let (Some(stdin), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(GuardError::Start(io::Error::other("no pipe to it")));
        };
        let mut guard = Self {
            process,
            orders: Some(stdin),
            answers,
            held: None,
        };
        let mut line =
            serde_json::to_vec(orders).map_err(|error| GuardError::Talk(error.into()))?;
        line.push(b'\n');
        if let Some(stdin) = &mut guard.orders {
            stdin.write_all(&line).map_err(GuardError::Talk)?;
        }
        guard.expect(protocol::READY)?;
        let held = state_file::share(&orders.origin, guard.process.id());
        guard.held = Some(held.map_err(GuardError::Share)?);
        Ok(guard)
    }

    /// Whether it is there to undo, or has undone because its deadline came first.
    pub(crate) fn is_there(&mut self) -> bool {
        match self.process.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => status.success(),
            Err(_) => false,
        }
    }

    /// Removes the record: all is undone, though not by the guard.
    pub(crate) fn forget(&mut self) {
        if let Some(held) = self.held.take() {
            held.release();
        }
    }

    /// Has everything undone and waits for the guard to say that it is.
    pub(crate) fn release(&mut self) -> Result<(), GuardError> {
        if self.orders.take().is_none() {
            return Ok(());
        }
        self.expect(protocol::DONE)
    }

    fn expect(&mut self, answer: &str) -> Result<(), GuardError> {
        // A test runner's chatter may stand before the answer.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.line(deadline)?;
            if line == answer {
                return Ok(());
            }
            if let Some(reason) = line.strip_prefix(protocol::FAILED) {
                return Err(GuardError::Refused(reason.to_owned()));
            }
        }
    }

    fn line(&mut self, deadline: Instant) -> Result<String, GuardError> {
        let mut line = Vec::new();
        while line.len() < MAX_LINE {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let mut ready = [PollFd::new(self.answers.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ready, timeout) {
                Ok(0) => return Err(GuardError::Silent(PATIENCE)),
                Ok(_) => {}
                Err(nix::errno::Errno::EINTR) => continue,
                Err(error) => return Err(GuardError::Talk(error.into())),
            }
            let mut byte = [0];
            match self.answers.read(&mut byte) {
                Ok(0) => return Err(GuardError::Gone),
                Ok(_) if byte[0] == b'\n' => break,
                Ok(_) => line.push(byte[0]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(GuardError::Talk(error)),
            }
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

impl Drop for Guard {
    /// Leaves no zombie. The guard ends by itself once its input has ended;
    /// one that does not is left to its deadline rather than killed, because
    /// it may be in the middle of undoing.
    fn drop(&mut self) {
        drop(self.orders.take());
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
