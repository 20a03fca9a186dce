//! The course of a round: the tool runs, and the blows fall.

use std::collections::VecDeque;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::blow::{Family, Output, Rival, Stream, Target, What};
use super::expected::{Ended, Seen, Sent};
use super::files;
use super::plan::RoundPlan;
use super::process::Program;
use super::stage::Stage;
use super::storm::Storm;
use super::tool::ToolRun;
use crate::testbed::command::{self, Running};
use crate::testbed::{interrupt, wait};

const POLL: Duration = Duration::from_millis(4);
/// Between two polls of the kernel's counter.
const SAMPLE: Duration = Duration::from_millis(25);
/// Between two signals of one blow.
const AGAIN: Duration = Duration::from_millis(10);
/// By so much the tool may end later than it was to, when nobody stands in its way.
const LATE: Duration = Duration::from_secs(40);
/// After so long, a tool whose reader takes nothing gets a signal to give him up.
const NUDGE: Duration = Duration::from_secs(8);
const NUDGES: u32 = 5;
/// What the second tool does lasts so long.
const SECOND: &str = "0.4";

#[derive(Debug, Clone)]
enum Step {
    Blow(What),
    Continue(Vec<Pid>),
    Up,
}

/// The round, with whom it is about.
pub(super) struct Course<'a> {
    pub(super) plan: &'a RoundPlan,
    pub(super) stage: &'a Stage,
    pub(super) tracer: &'a Path,
    pub(super) program: Program,
    pub(super) tool: ToolRun,
    pub(super) storm: Option<Storm>,
    pub(super) others: Vec<(Rival, Running)>,
    begun: Instant,
    steps: VecDeque<(Instant, Step)>,
    /// The kernel's counter when the tool had begun to count.
    base: Option<u64>,
    /// Nothing has happened yet that may end the tool.
    untouched: bool,
    pub(super) seen: Seen,
}

impl<'a> Course<'a> {
    pub(super) fn begin(
        plan: &'a RoundPlan,
        stage: &'a Stage,
        tracer: &'a Path,
        program: Program,
        storm: Storm,
    ) -> Result<Self> {
        let begun = Instant::now();
        let tool = ToolRun::start(plan, stage, tracer)?;
        let blows = plan.blows.iter().filter(|blow| !blow.what.is_lasting());
        let steps = blows.map(|blow| {
            let at = begun + Duration::from_millis(blow.at_ms);
            (at, Step::Blow(blow.what))
        });
        Ok(Self {
            plan,
            stage,
            tracer,
            program,
            tool,
            storm: Some(storm),
            others: Vec::new(),
            begun,
            steps: steps.collect(),
            base: None,
            untouched: true,
            seen: Seen::default(),
        })
    }

    /// Until the tool has ended, and everything has happened to it.
    pub(super) fn run(&mut self) -> Result<()> {
        let due = self.begun + Duration::from_millis(self.plan.lasts_ms);
        let mut sampled = self.begun;
        let mut nudges = 0;
        loop {
            interrupt::check()?;
            self.tool.listen();
            self.note_ready();
            let now = Instant::now();
            if now - sampled >= SAMPLE {
                sampled = now;
                self.sample(due);
            }
            self.rule_the_storm(due);
            while self
                .steps
                .front()
                .is_some_and(|(at, _)| *at <= Instant::now())
            {
                if let Some((_, step)) = self.steps.pop_front() {
                    self.take(step)?;
                }
            }
            if self.tool.is_over() && self.steps.is_empty() {
                break;
            }
            let late = Instant::now().saturating_duration_since(due);
            if late > LATE {
                self.seen.endless = !self.tool.is_over();
                break;
            }
            let stalls = self.plan.has(|what| matches!(what, What::Stalls(_)));
            if stalls && nudges < NUDGES && late > NUDGE + Duration::from_secs(nudges.into()) {
                nudges += 1;
                self.seen.nudged = true;
                self.log("its reader is given up: SIGTERM");
                self.tool.signal(Signal::SIGTERM);
            }
            let next = self.steps.front().map(|(at, _)| *at);
            let left = next.map(|at| at.saturating_duration_since(Instant::now()));
            thread::sleep(left.unwrap_or(POLL).min(POLL));
        }
        self.tool.listen();
        Ok(())
    }

    fn log(&mut self, what: &str) {
        let ms = self.begun.elapsed().as_millis();
        self.seen.log.push(format!("{ms:>6} ms  {what}"));
    }

    fn is_ready(&self) -> bool {
        let path = self.stage.path(Output::Ready);
        self.stage.outside(&path).exists()
    }

    fn note_ready(&mut self) {
        if !self.seen.was_ready && self.is_ready() {
            self.seen.was_ready = true;
            self.base = self.counter();
            self.log("it is ready");
        }
    }

    /// The kernel's own counter, as long as the namespace has its name.
    pub(super) fn counter(&self) -> Option<u64> {
        let host = self.stage.host().ok()?;
        host.netns.counter("Tcp", "RetransSegs").ok()
    }

    fn sample(&mut self, due: Instant) {
        if let Some(base) = self.base.filter(|_| self.untouched)
            && let Some(now) = self.counter()
            && Instant::now() < due
        {
            self.seen.least = now.saturating_sub(base);
        }
    }

    /// In a calm round, only while it surely counts.
    fn rule_the_storm(&self, due: Instant) {
        let Some(storm) = &self.storm else {
            return;
        };
        let half = self.begun + (due - self.begun) / 2;
        storm.send(match self.plan.calm {
            true => self.seen.was_ready && Instant::now() < half,
            false => true,
        });
    }

    fn take(&mut self, step: Step) -> Result<()> {
        // What was retransmitted before it is in the count.
        if self.untouched {
            self.sample(self.begun + Duration::from_millis(self.plan.lasts_ms));
        }
        self.untouched = false;
        match step {
            Step::Blow(what) => self.strike(what)?,
            Step::Continue(pids) => {
                for pid in pids {
                    self.send(Signal::SIGCONT, pid);
                }
            }
            Step::Up => self.ip("link set ens160 up\n"),
        }
        Ok(())
    }

    fn later(&mut self, ms: u64, step: Step) {
        let at = Instant::now() + Duration::from_millis(ms);
        let place = self.steps.partition_point(|(other, _)| *other <= at);
        self.steps.insert(place, (at, step));
    }

    fn strike(&mut self, what: What) -> Result<()> {
        self.log(&what.kind());
        match what {
            What::Signal { signal, to, twice } => {
                for time in 0..=u8::from(twice) {
                    if time > 0 {
                        thread::sleep(AGAIN);
                    }
                    for pid in self.aims(to) {
                        self.send(signal, pid);
                    }
                }
            }
            What::Stopped { whom, for_ms } => {
                let pids = self.aims(whom);
                for pid in &pids {
                    self.send(Signal::SIGSTOP, *pid);
                }
                self.later(for_ms, Step::Continue(pids));
            }
            What::Hangup => {
                let at_work = self.is_ready();
                self.tool.outlet(Stream::Stdout).leave();
                self.seen.sent.push(Sent {
                    signal: Signal::SIGHUP,
                    at_work: at_work && self.is_ready(),
                });
            }
            What::Leaves(stream) => self.tool.outlet(stream).leave(),
            What::Stalls(stream) => self.tool.outlet(stream).stall(),
            What::FolderGone(output) => {
                self.seen.report_taken |= files::remove(&self.stage.folder(), output);
            }
            What::Deleted => self.ip("link delete ens160\n"),
            What::Renamed => {
                self.ip("link set ens160 down\nlink set ens160 name lan0\nlink set lan0 up\n");
            }
            What::Moved => {
                let line = format!("link set ens160 netns {}\n", self.stage.elsewhere.name());
                self.ip(&line);
            }
            What::Down { for_ms } => {
                self.ip("link set ens160 down\n");
                self.later(for_ms, Step::Up);
            }
            What::NetnsDeleted => self.delete()?,
            What::Beside(rival) => self.beside(rival)?,
            What::Full { .. }
            | What::ReadOnly(_)
            | What::Clock { .. }
            | What::Descriptors(_)
            | What::Memory { .. }
            | What::AddressSpace { .. } => {}
        }
        Ok(())
    }

    /// Who is meant, of those who are there.
    fn aims(&mut self, target: Target) -> Vec<Pid> {
        let beside = self.others.last().map(|(_, second)| second.pid());
        let guard = match target {
            Target::Tool => None,
            _ => self.tool.guard(self.program, beside),
        };
        let guard = guard.map(|guard| guard.pid);
        if guard.is_none() && target != Target::Tool {
            self.log("there is no guard");
        }
        let tool = (!self.tool.is_over()).then(|| self.tool.pid());
        let both = match target {
            Target::Tool => [tool, None],
            Target::Guard => [guard, None],
            Target::Both { tool_first: true } => [tool, guard],
            Target::Both { tool_first: false } => [guard, tool],
        };
        both.into_iter().flatten().collect()
    }

    fn send(&mut self, signal: Signal, pid: Pid) {
        if pid == self.tool.pid() {
            let at_work = self.is_ready();
            self.tool.signal(signal);
            if !matches!(signal, Signal::SIGSTOP | Signal::SIGCONT) {
                let at_work = at_work && self.is_ready();
                self.seen.sent.push(Sent { signal, at_work });
            }
            return;
        }
        // Its id may be another's by now.
        if self.program.is_run_by(pid) {
            let _ = kill(pid, signal);
            self.seen.guard_killed |= signal == Signal::SIGKILL;
        }
    }

    fn ip(&mut self, lines: &str) {
        let done = self.stage.host().and_then(|host| host.netns.ip(lines));
        if let Err(error) = done {
            let error = format!("{error:#}").replace('\n', " ");
            self.log(&format!("missed: {error}"));
        }
    }

    /// Sockets keep a namespace alive as processes do.
    fn delete(&mut self) -> Result<()> {
        self.storm = None;
        let name = self.stage.host()?.netns.name().to_owned();
        let mut ip = command::named("ip");
        if let Err(error) = command::output(ip.args(["netns", "delete", &name])) {
            self.log(&format!("missed: {error:#}"));
        }
        Ok(())
    }

    fn beside(&mut self, rival: Rival) -> Result<()> {
        let mut command = match rival {
            Rival::Clean => self.stage.clean(self.tracer),
            Rival::Fault | Rival::Run => {
                let peer = self.stage.net.host("standby")?.v4.to_string();
                let mut command = self.stage.command(Some(&self.stage.host()?.netns));
                command.arg(self.tracer);
                command.args(match rival {
                    Rival::Fault => &["inject", "loss=1%", "--allow-ssh-peer"][..],
                    _ => &["run"],
                });
                command.args(["--peer", &peer, "--duration", SECOND, "--json"]);
                command.arg(self.stage.second());
                command
            }
        };
        let said = self.stage.folder().join(match rival {
            Rival::Clean => "clean.txt",
            _ => "second.txt",
        });
        // Ctrl-C is for us.
        command.process_group(0);
        let second = Running::start_logged(&mut command, "the second tool", &said)?;
        self.others.push((rival, second));
        Ok(())
    }

    /// What was wrong with how the second tools ended, which are waited for.
    pub(super) fn others_ended(&mut self) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for (rival, second) in &mut self.others {
            let ended = match wait::until(LATE, "the second tool to end", || second.ended()) {
                Ok(status) => Ended::from(status),
                Err(error) => {
                    interrupt::check()?;
                    found.push(format!("{error:#}"));
                    continue;
                }
            };
            let said = second.said();
            let moved = self.plan.has(|what| what.family() == Family::Interface);
            let good = match ended {
                Ended::Exit(0) => true,
                Ended::Exit(1) => moved || *rival == Rival::Fault,
                Ended::Exit(2) => moved,
                Ended::Exit(_) => moved && *rival == Rival::Clean,
                Ended::Killed(_) => false,
            };
            if !good || said.contains("panicked") {
                found.push(format!(
                    "the second tool ({rival:?}) ended with {ended}: {said}"
                ));
            }
        }
        Ok(found)
    }
}
