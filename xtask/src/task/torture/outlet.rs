//! Where the tool says something, and who listens there.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::openpty;
use nix::unistd::pipe2;

/// Of what was said, so much is kept, bytes.
const MAX_SAID: usize = 1 << 18;
/// The smallest pipe there is, bytes: it is soon full.
const SMALL: i32 = 4096;

/// The listener's side of a pipe or of a terminal.
#[derive(Debug)]
pub(super) struct Outlet {
    /// [`None`] once he has left.
    reader: Option<File>,
    reads: bool,
    said: Vec<u8>,
}

impl Outlet {
    /// A pipe: who listens, and what the tool gets.
    pub(super) fn pipe() -> Result<(Self, OwnedFd)> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).context("no pipe")?;
        fcntl(&write, FcntlArg::F_SETPIPE_SZ(SMALL))?;
        Ok((Self::new(read)?, write))
    }

    /// A terminal: what the user holds, and what the tool has.
    pub(super) fn terminal() -> Result<(Self, OwnedFd)> {
        let pty = openpty(None, None).context("no terminal")?;
        for end in [&pty.master, &pty.slave] {
            fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
        Ok((Self::new(pty.master)?, pty.slave))
    }

    fn new(reader: OwnedFd) -> Result<Self> {
        let flags = OFlag::from_bits_truncate(fcntl(&reader, FcntlArg::F_GETFL)?);
        fcntl(&reader, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Self {
            reader: Some(reader.into()),
            reads: true,
            said: Vec::new(),
        })
    }

    pub(super) fn listen(&mut self) {
        let Some(reader) = self.reader.as_mut().filter(|_| self.reads) else {
            return;
        };
        let mut buffer = [0; 4096];
        // At the end, or with nothing there, it is an error or nothing at all.
        while let Ok(length @ 1..) = reader.read(&mut buffer) {
            let room = MAX_SAID.saturating_sub(self.said.len());
            self.said.extend_from_slice(&buffer[..length.min(room)]);
        }
    }

    /// He leaves: a pipe is broken from then on, a terminal gone.
    pub(super) fn leave(&mut self) {
        self.listen();
        self.reader = None;
    }

    /// He stops reading, and what there is room for is full from then on.
    pub(super) fn stall(&mut self) {
        self.listen();
        self.reads = false;
        let Some(reader) = &self.reader else {
            return;
        };
        // Opened anew: whether to wait is then nobody's choice but ours.
        let path = format!("/proc/self/fd/{}", reader.as_fd().as_raw_fd());
        let opened = OpenOptions::new()
            .write(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path);
        if let Ok(mut pipe) = opened {
            while pipe.write(b".").is_ok_and(|length| length > 0) {}
        }
    }

    pub(super) fn said(&self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }
}
