//! The tool that is tortured, while it runs.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::abilities::clock_options;
use super::blow::{Output, Stream, What};
use super::expected::Ended;
use super::memory::Group;
use super::outlet::Outlet;
use super::plan::{RoundPlan, Scene};
use super::process::{Process, Program};
use super::stage::Stage;
use crate::testbed::{command, wait};

/// How long a process that was killed may take to be gone.
const ENDING: Duration = Duration::from_secs(20);

/// A tool, and whoever listens to it. Killed when dropped.
#[derive(Debug)]
pub(super) struct ToolRun {
    child: Child,
    /// As one would type it.
    pub(super) line: String,
    /// Standard output, or the terminal.
    stdout: Outlet,
    stderr: Option<Outlet>,
    /// Removed when it is gone.
    _memory: Option<Group>,
}

impl ToolRun {
    pub(super) fn start(plan: &RoundPlan, stage: &Stage, tracer: &Path) -> Result<Self> {
        let mut command = stage.command(match plan.by_name {
            true => None,
            false => Some(&stage.host()?.netns),
        });
        let memory = memory(plan)?;
        if let Some(group) = &memory {
            let join = format!("echo $$ >{} && exec \"$@\"", group.members().display());
            command.args(["sh", "-c", &join, "sh"]);
        }
        limit(&mut command, plan);
        if plan.terminal {
            command.args(["setsid", "--ctty"]);
        }
        command.arg(tracer);
        demand(&mut command, plan, stage)?;
        // Making one takes more memory than there may be.
        command.env("RUST_BACKTRACE", "0");
        let line = command::line(&command);
        let (stdout, stderr) = if plan.terminal {
            let (terminal, end) = Outlet::terminal()?;
            command.stdin(end.try_clone()?).stdout(end.try_clone()?);
            command.stderr(end);
            (terminal, None)
        } else {
            let ((stdout, out), (stderr, err)) = (Outlet::pipe()?, Outlet::pipe()?);
            // Ctrl-C is for us, and `setsid` would have to fork.
            command.stdin(Stdio::null()).process_group(0);
            command.stdout(out).stderr(err);
            (stdout, Some(stderr))
        };
        let child = command.spawn();
        Ok(Self {
            child: child.with_context(|| format!("cannot run `{line}`"))?,
            line,
            stdout,
            stderr,
            _memory: memory,
        })
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Whether it has ended. Nobody has asked how: its id stays its own.
    pub(super) fn is_over(&self) -> bool {
        matches!(command::state(self.pid()), None | Some('Z' | 'X'))
    }

    /// How it ended; to be asked when it has.
    pub(super) fn ended(&mut self) -> Result<Ended> {
        let status = wait::until_uninterrupted(ENDING, "the end of tracer", || {
            Ok(self.child.try_wait()?)
        })?;
        Ok(status.into())
    }

    /// The process that undoes its fault, if there is one.
    pub(super) fn guard(&self, program: Program, beside: Option<Pid>) -> Option<Process> {
        let all = program.processes();
        let own = |process: &Process| {
            process.pid != self.pid()
                && Some(process.pid) != beside
                && (process.parent == self.pid()
                    || (process.is_guard() && Some(process.parent) != beside))
        };
        all.into_iter().find(own)
    }

    pub(super) fn signal(&self, signal: Signal) {
        // One that has ended hears nothing.
        let _ = kill(self.pid(), signal);
    }

    pub(super) fn listen(&mut self) {
        self.stdout.listen();
        if let Some(stderr) = &mut self.stderr {
            stderr.listen();
        }
    }

    /// Where a stream goes: on a terminal, both are one.
    pub(super) fn outlet(&mut self, stream: Stream) -> &mut Outlet {
        match (stream, &mut self.stderr) {
            (Stream::Stderr, Some(stderr)) => stderr,
            _ => &mut self.stdout,
        }
    }

    /// Everything that it said: on standard output, and on standard error.
    pub(super) fn said(&self) -> (String, String) {
        let stderr = self.stderr.as_ref().map(Outlet::said);
        (self.stdout.said(), stderr.unwrap_or_default())
    }
}

impl Drop for ToolRun {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn memory(plan: &RoundPlan) -> Result<Option<Group>> {
    let mib = plan.blows.iter().find_map(|blow| match blow.what {
        What::Memory { mib } => Some(mib),
        _ => None,
    });
    mib.map(Group::new).transpose()
}

/// What it starts by way of.
fn limit(command: &mut Command, plan: &RoundPlan) {
    for blow in &plan.blows {
        match blow.what {
            What::Descriptors(limit) => {
                command.args(["prlimit", &format!("--nofile={limit}:{limit}")]);
            }
            What::AddressSpace { mib } => {
                let bytes = mib << 20;
                command.args(["prlimit", &format!("--as={bytes}:{bytes}")]);
            }
            What::Clock { seconds } => {
                command.arg("unshare");
                command.args(clock_options(seconds)).arg("--");
            }
            _ => {}
        }
    }
}

fn demand(command: &mut Command, plan: &RoundPlan, stage: &Stage) -> Result<()> {
    if let Scene::Inject(fault) = plan.scene {
        command.args(["inject", fault.typed()]);
    } else {
        // From outside, the machine's own loopback would be listened at.
        let listen = if plan.by_name {
            "127.0.0.1:0"
        } else {
            "127.0.0.1:9187"
        };
        command.args(["run", "--interval", "0.1", "--listen", listen]);
        command.arg("--events").arg(stage.path(Output::Events));
    }
    if let Scene::Fault { fault, after_ms } = plan.scene {
        command.args(["--inject", fault.typed(), "--after", &seconds(after_ms)]);
    }
    if plan.scene.has_fault() {
        command.arg("--allow-ssh-peer");
    }
    let peer = stage.net.host("standby")?.v4.to_string();
    command.args(["--peer", &peer, "--duration", &seconds(plan.lasts_ms)]);
    command.arg("--json").arg(stage.path(Output::Json));
    command.arg("--ready-file").arg(stage.path(Output::Ready));
    if plan.by_name {
        command.args(["--netns", stage.host()?.netns.name()]);
    }
    Ok(())
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}
