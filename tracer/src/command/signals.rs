//! How somebody asks for the end, or for a file to be reopened.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;

use nix::sys::signal as system;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To end: Ctrl-C, `kill`, or the end of the terminal.
    End,
    /// To reopen the file of events: SIGHUP, as logrotate sends it.
    Reopen,
}

/// Ctrl-C, `kill`, and SIGHUP.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// None where it was ignored, as `nohup` has it: it stays ignored.
    hangup: Option<Signal>,
    /// Whether SIGHUP is for a file of events.
    reopens: bool,
    /// Whether there was a terminal that could go.
    terminal: bool,
}

impl Signals {
    /// From here on they end nothing by themselves. Needs a tokio runtime. `reopens` is
    /// whether SIGHUP has something to reopen.
    pub(crate) fn install(reopens: bool) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: match is_ignored(libc::SIGHUP) {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
            reopens,
            terminal: has_terminal(),
        })
    }

    /// Whether the end of the terminal is no end: SIGHUP was ignored from the start.
    pub(crate) fn survives_terminal(&self) -> bool {
        self.hangup.is_none()
    }

    /// Waits for one of them.
    pub(crate) async fn any(&mut self) -> Asked {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Asked::End,
            _ = self.terminate.recv() => Asked::End,
            _ = hangup => {
                // The kernel takes the terminal from the session before it sends SIGHUP.
                let gone = self.terminal && !has_terminal();
                match self.reopens && !gone {
                    true => Asked::Reopen,
                    false => Asked::End,
                }
            }
        }
    }
}

/// From here on Ctrl-C and `kill` end the program at once: all that is to be undone is, and
/// what is left is to be read by somebody who may not read.
pub(crate) fn surrender() {
    let end = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for one in [system::Signal::SIGINT, system::Signal::SIGTERM] {
        // SAFETY: the default runs no code of ours. The kernel knows both signals, so the
        // call cannot fail.
        let _ = unsafe { system::sigaction(one, &end) };
    }
}

/// Whether the caller has a signal ignored.
fn is_ignored(number: libc::c_int) -> bool {
    // SAFETY: an all-zero `sigaction` is a valid one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: nothing is set, and the kernel writes one `sigaction`.
    let result = unsafe { libc::sigaction(number, std::ptr::null(), &raw mut action) };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Whether the session has a terminal
/// ([`tty(4)`](https://man7.org/linux/man-pages/man4/tty.4.html)).
fn has_terminal() -> bool {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK);
    match options.open("/dev/tty") {
        Ok(_) => true,
        // None, or no /dev; that there is no descriptor left says nothing of it.
        Err(error) => error.raw_os_error() == Some(libc::EMFILE),
    }
}
