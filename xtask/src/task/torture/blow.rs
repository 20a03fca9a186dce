//! What can happen to a tool that runs.

use std::fmt;

use nix::sys::signal::Signal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Tool,
    /// The process that undoes the tool's fault.
    Guard,
    Both {
        tool_first: bool,
    },
}

/// One of the tool's two ways to say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

/// A file that the tool was asked for, each in a folder of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Json,
    Events,
    Ready,
}

impl Output {
    pub(super) const ALL: [Self; 3] = [Self::Json, Self::Events, Self::Ready];

    /// The option, the folder, and the name within.
    const fn words(self) -> [&'static str; 3] {
        match self {
            Self::Json => ["--json", "json", "run.json"],
            Self::Events => ["--events", "events", "events.jsonl"],
            Self::Ready => ["--ready-file", "ready", "ready"],
        }
    }

    pub(super) const fn folder(self) -> &'static str {
        self.words()[1]
    }

    pub(super) const fn name(self) -> &'static str {
        self.words()[2]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rival {
    Fault,
    Run,
    Clean,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Signal {
        signal: Signal,
        to: Target,
        twice: bool,
    },
    /// The terminal is closed.
    Hangup,
    Leaves(Stream),
    Stalls(Stream),
    /// The file's folder is on a disk of so many KiB.
    Full {
        output: Output,
        kib: u64,
    },
    ReadOnly(Output),
    /// The file's folder is removed.
    FolderGone(Output),
    Deleted,
    Renamed,
    Moved,
    Down {
        for_ms: u64,
    },
    NetnsDeleted,
    /// The tool's monotonic clocks are so many seconds off from the start.
    Clock {
        seconds: i64,
    },
    Descriptors(u64),
    /// So much memory in a control group.
    Memory {
        mib: u64,
    },
    AddressSpace {
        mib: u64,
    },
    Stopped {
        whom: Target,
        for_ms: u64,
    },
    Beside(Rival),
}

/// What one round has at most one of, or the ones would hide what the others do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Signal,
    Streams,
    Files,
    Interface,
    Clock,
    Limits,
    Stop,
    Beside,
}

impl What {
    pub(super) const fn family(self) -> Family {
        match self {
            Self::Signal { .. } => Family::Signal,
            Self::Hangup | Self::Leaves(_) | Self::Stalls(_) => Family::Streams,
            Self::Full { .. } | Self::ReadOnly(_) | Self::FolderGone(_) => Family::Files,
            Self::Deleted
            | Self::Renamed
            | Self::Moved
            | Self::Down { .. }
            | Self::NetnsDeleted => Family::Interface,
            Self::Clock { .. } => Family::Clock,
            Self::Descriptors(_) | Self::Memory { .. } | Self::AddressSpace { .. } => {
                Family::Limits
            }
            Self::Stopped { .. } => Family::Stop,
            Self::Beside(_) => Family::Beside,
        }
    }

    /// What it is called in the tally.
    pub(super) fn kind(self) -> String {
        match self {
            Self::Signal { signal, to, .. } => format!("{signal} to {to}"),
            Self::Hangup => "terminal hangs up".to_owned(),
            Self::Leaves(stream) => format!("reader of {stream} leaves"),
            Self::Stalls(stream) => format!("reader of {stream} stops reading"),
            Self::Full { output, .. } => format!("disk full under {output}"),
            Self::ReadOnly(output) => format!("unwritable folder of {output}"),
            Self::FolderGone(output) => format!("folder of {output} removed"),
            Self::Deleted => "interface deleted".to_owned(),
            Self::Renamed => "interface renamed".to_owned(),
            Self::Moved => "interface moved to another namespace".to_owned(),
            Self::Down { .. } => "interface down for a while".to_owned(),
            Self::NetnsDeleted => "network namespace deleted".to_owned(),
            Self::Clock { seconds } if seconds < 0 => "clock behind".to_owned(),
            Self::Clock { .. } => "clock ahead".to_owned(),
            Self::Descriptors(_) => "few descriptors".to_owned(),
            Self::Memory { .. } => "little memory (control group)".to_owned(),
            Self::AddressSpace { .. } => "little address space".to_owned(),
            Self::Stopped { whom, .. } => format!("SIGSTOP, SIGCONT to {whom}"),
            Self::Beside(Rival::Fault) => "second fault on the interface".to_owned(),
            Self::Beside(Rival::Run) => "second run".to_owned(),
            Self::Beside(Rival::Clean) => "`tracer clean` meanwhile".to_owned(),
        }
    }

    /// Whether it is there all the time, from the start on.
    pub(super) const fn is_lasting(self) -> bool {
        matches!(
            self,
            Self::Full { .. }
                | Self::ReadOnly(_)
                | Self::Clock { .. }
                | Self::Descriptors(_)
                | Self::Memory { .. }
                | Self::AddressSpace { .. }
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blow {
    /// From the tool's start on, ms; 0 for what is there from the start.
    pub(super) at_ms: u64,
    pub(super) what: What,
}

impl fmt::Display for Blow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what.kind())?;
        match self.what {
            What::Signal { twice: true, .. } => formatter.write_str(" twice")?,
            What::Full { kib, .. } => write!(formatter, " ({kib} KiB)")?,
            What::Down { for_ms } | What::Stopped { for_ms, .. } => {
                write!(formatter, " ({for_ms} ms)")?;
            }
            What::Clock { seconds } => write!(formatter, " ({seconds} s)")?,
            What::Descriptors(limit) => write!(formatter, " ({limit})")?,
            What::Memory { mib } | What::AddressSpace { mib } => {
                write!(formatter, " ({mib} MiB)")?;
            }
            _ => {}
        }
        match self.what.is_lasting() {
            true => Ok(()),
            false => write!(formatter, " at {} ms", self.at_ms),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tool => "tracer",
            Self::Guard => "its guard",
            Self::Both { .. } => "both",
        })
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Stdout => "standard output",
            Self::Stderr => "standard error",
        })
    }
}

impl fmt::Display for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.words()[0])
    }
}
