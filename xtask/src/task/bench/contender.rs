//! Who counts retransmits, and what each hit costs the kernel.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{ENDING, STARTING};
use crate::testbed::command::Running;
use crate::testbed::held_programs::{self, RunTime};
use crate::testbed::wait;

/// What a hit is: a call of the kernel that retransmits.
const HIT: &str = "tcp_retransmit_skb";

/// A socket that changes its state: tracer learns who comes and goes.
const STATE: &str = "inet_sock_set_state";

/// bpftrace looks up the numbers of tracepoints where the kernel lists them. Where nobody has
/// mounted that list, it is mounted where nobody else sees it.
const WITH_TRACEPOINTS: &str = "[ -e /sys/kernel/tracing/events ] \
     || [ -e /sys/kernel/debug/tracing/events ] \
     || mount -t tracefs tracefs /sys/kernel/tracing && exec \"$@\"";

/// How long bpftrace may take until its program is in the kernel: it compiles it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A program that does nothing: what the measuring itself costs.
    Empty,
    BpftraceCounts,
    BpftracePrints,
    TracerCounts,
    TracerEvents,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [
        Self::Empty,
        Self::BpftraceCounts,
        Self::BpftracePrints,
        Self::TracerCounts,
        Self::TracerEvents,
    ];

    /// Those that count in one storm. A printed line takes so long, and so much of the
    /// processor's caches, that it would be seen in the others' time.
    pub(super) const TOGETHER: [Self; 4] = [
        Self::Empty,
        Self::BpftraceCounts,
        Self::TracerCounts,
        Self::TracerEvents,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "a program that does nothing",
            Self::BpftraceCounts => "bpftrace, counting by endpoints",
            Self::BpftracePrints => "bpftrace, a line for each, as tcpretrans.bt",
            Self::TracerCounts => "tracer",
            Self::TracerEvents => "tracer with --events",
        }
    }

    /// What bpftrace is told; `None` of tracer.
    const fn script(self) -> Option<&'static str> {
        match self {
            Self::Empty => Some("tracepoint:tcp:tcp_retransmit_skb {}"),
            Self::BpftraceCounts => Some(
                "tracepoint:tcp:tcp_retransmit_skb { \
                 @[ntop(args->saddr), args->sport, ntop(args->daddr), args->dport] = count(); }",
            ),
            // What /usr/sbin/tcpretrans.bt prints; that hangs on a kprobe, which not every
            // kernel has.
            Self::BpftracePrints => Some(
                "BEGIN { @states[1] = \"ESTABLISHED\"; @states[2] = \"SYN_SENT\"; \
                 @states[4] = \"FIN_WAIT1\"; @states[8] = \"CLOSE_WAIT\"; \
                 @states[9] = \"LAST_ACK\"; } \
                 tracepoint:tcp:tcp_retransmit_skb { time(\"%H:%M:%S \"); \
                 printf(\"%-8d %14s:%-6d %14s:%-6d %6s\\n\", pid, ntop(args->saddr), \
                 args->sport, ntop(args->daddr), args->dport, @states[args->state]); }",
            ),
            Self::TracerCounts | Self::TracerEvents => None,
        }
    }
}

/// One of them, at work.
#[derive(Debug)]
pub(super) struct Contender {
    running: Running,
    on_hit: Measured,
    on_state: Option<Measured>,
    /// tracer's report.
    report: PathBuf,
}

/// A program, and what it had used when the measuring began.
#[derive(Debug, Clone, Copy)]
struct Measured {
    program: u32,
    before: RunTime,
}

impl Contender {
    /// Starts it, and waits until it is in the kernel.
    pub(super) fn start(kind: Kind, tracer: &Path, folder: &Path) -> Result<Self> {
        let within = |end: &str| folder.join(format!("{kind:?}.{end}"));
        let (report, ready) = (within("json"), within("ready"));
        let mut command;
        if let Some(script) = kind.script() {
            command = Command::new("unshare");
            command
                .args(["--mount", "--", "sh", "-c", WITH_TRACEPOINTS, "sh"])
                .args(["bpftrace", "-B", "line", "-e", script]);
        } else {
            command = Command::new(tracer);
            command
                // As bpftrace does, for every namespace.
                .args(["run", "--all", "--quiet", "--netns", "all", "--json"])
                .arg(&report)
                .arg("--ready-file")
                .arg(&ready);
            if kind == Kind::TracerEvents {
                command.arg("--events").arg(within("jsonl"));
            }
        }
        command.stdin(Stdio::null());
        let name = kind.name();
        let mut running = Running::start_logged(&mut command, name, &within("log"))?;
        let pid = running.pid();
        let program = running.until(STARTING, &format!("{name} to be in the kernel"), || {
            let is_ready = kind.script().is_some() || ready.exists();
            Ok(held_programs::on(pid, HIT).ok().filter(|_| is_ready))
        })?;
        let on_state = match kind {
            Kind::TracerCounts => Some(Measured::of(held_programs::on(pid, STATE)?)),
            _ => None,
        };
        Ok(Self {
            running,
            on_hit: Measured::of(program),
            on_state,
            report,
        })
    }

    /// Everything is measured from here on.
    pub(super) fn begin(&mut self) -> Result<()> {
        let pid = self.running.pid();
        let measured = [Some(&mut self.on_hit), self.on_state.as_mut()];
        for one in measured.into_iter().flatten() {
            one.before = held_programs::run_time(pid, one.program)?;
        }
        Ok(())
    }

    /// What hits have cost since.
    pub(super) fn hits(&self) -> Result<RunTime> {
        self.on_hit.since(self.running.pid())
    }

    /// What changes of state have cost since; `None` of whom they are not measured.
    pub(super) fn states(&self) -> Result<Option<RunTime>> {
        let pid = self.running.pid();
        self.on_state.map(|one| one.since(pid)).transpose()
    }

    /// Ends it; where its report is, if it makes one.
    pub(super) fn end(mut self, kind: Kind) -> Result<PathBuf> {
        // Now and then bpftrace misses the Ctrl-C that comes between its check for one and
        // its sleep, and the kernel detaches what a process had in any case.
        let (signal, is_tool) = match kind.script() {
            Some(_) => (Signal::SIGKILL, false),
            None => (Signal::SIGINT, true),
        };
        kill(self.running.pid(), signal).with_context(|| format!("cannot end {}", kind.name()))?;
        let what = format!("{} to end", kind.name());
        let status = wait::until(ENDING, &what, || self.running.ended())?;
        ensure!(
            !is_tool || status.success(),
            "{} failed ({status})\n{}",
            kind.name(),
            self.running.log_tail()
        );
        Ok(self.report)
    }
}

impl Measured {
    const fn of(program: u32) -> Self {
        Self {
            program,
            before: RunTime { runs: 0, ns: 0 },
        }
    }

    fn since(self, pid: Pid) -> Result<RunTime> {
        Ok(held_programs::run_time(pid, self.program)?.since(self.before))
    }
}
