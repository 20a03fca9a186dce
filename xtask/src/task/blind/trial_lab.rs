//! Two servers on a wire, with tracer on both hosts.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::unistd::Pid;
use tracer_core::merge::model::Merged;
use tracer_core::report::Report;

use super::bystander::Bystander;
use super::fault::{Broken, Trial};
use super::verdict::TrialOutcome;
use crate::testbed::command::{self, Running};
use crate::testbed::load::{Load, Plan, Request};
use crate::testbed::netns::{Host, Net};
use crate::testbed::postgres::{Connection, Frozen, Pair, Server};
use crate::testbed::slow_disk::{SlowDisk, processes};
use crate::testbed::wire::{Heading, Wire};
use crate::testbed::{file, interrupt, wait};

/// How long an answer, a file, or an end may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Commits a second, and how many may wait at once.
const WRITES_PER_S: f64 = 10.0;
const WRITERS: u32 = 8;
/// How long after the fault it all goes on.
const AFTER: Duration = Duration::from_secs(4);
/// How long a process goes on between two stops.
const PAUSE: Duration = Duration::from_millis(200);

/// Ready for a fault.
#[derive(Debug)]
pub(super) struct TrialLab {
    // Dropped in this order.
    tools: [Running; 2],
    load: Load,
    _bystander: Bystander,
    pair: Pair,
    wire: Wire,
    net: Net,
    tracer: PathBuf,
    kept: PathBuf,
}

/// What is held up as long as this lives.
#[derive(Debug)]
enum HeldUp {
    Disk(#[expect(dead_code, reason = "held until dropped")] SlowDisk),
    Process(#[expect(dead_code, reason = "held until dropped")] Frozen),
    Lock(#[expect(dead_code, reason = "held until dropped")] Connection),
    Nothing,
}

impl TrialLab {
    /// Starts all of it; the reports will stand in the folder.
    pub(super) fn set(tracer: &Path, trial: &Trial, kept: &Path) -> Result<Self> {
        let net = Net::pair("blind", "ens160")?;
        let wire = Wire::insert(&net, "standby", trial.seed)?;
        let (primary, standby) = (net.host("primary")?, net.host("standby")?);
        let pair = Pair::start(primary, standby).context("cannot start PostgreSQL")?;
        if trial.broken == Broken::StandbyReplay {
            let mut sql = pair.primary().connect()?;
            sql.query("alter system set synchronous_commit = 'remote_apply'")?;
            sql.query("select pg_reload_conf()")?;
        }
        let bystander = Bystander::start(primary, standby)?;
        let tools = [
            watch(
                tracer,
                primary,
                standby,
                pair.primary(),
                &kept.join("primary"),
            )?,
            watch(
                tracer,
                standby,
                primary,
                pair.standby(),
                &kept.join("standby"),
            )?,
        ];
        let load = Load::start(
            &primary.netns,
            pair.primary().address(),
            writes(trial.bytes),
        )?;
        Ok(Self {
            tools,
            load,
            _bystander: bystander,
            pair,
            wire,
            net,
            tracer: tracer.to_owned(),
            kept: kept.to_owned(),
        })
    }

    /// Breaks what the trial breaks, for as long, and returns what was seen of it.
    pub(super) fn play(mut self, trial: &Trial) -> Result<TrialOutcome> {
        pause(trial.calm)?;
        let [to_standby, to_primary] = trial.impairments();
        self.wire.impair(Heading::Host, &to_standby);
        self.wire.impair(Heading::Switch, &to_primary);
        self.hold(trial)?;
        self.wire.impair(Heading::Host, &[]);
        self.wire.impair(Heading::Switch, &[]);
        pause(AFTER)?;
        for tool in self.tools {
            tool.finish(LIMIT)?;
        }
        let requests = self.load.stop(LIMIT);
        let report = |name: &str| -> Result<Report> {
            Report::read(&file::read(&self.kept.join(name))?).with_context(|| name.to_owned())
        };
        let both = self.kept.join("merged.json");
        let mut merge = self.net.host("primary")?.netns.command(&self.tracer);
        merge
            .arg("merge")
            .args(["primary.json", "standby.json"].map(|name| self.kept.join(name)));
        command::output(merge.arg("-o").arg(&both))?;
        Ok(TrialOutcome {
            primary: report("primary.json")?,
            merged: Merged::read(&file::read(&both)?)?,
            slowest: slowest(&requests, trial),
            harmed: self.wire.harmed().iter().sum(),
        })
    }

    /// Lets the fault last; what it holds is let go at the end.
    fn hold(&mut self, trial: &Trial) -> Result<()> {
        let receiver = || process(self.pair.standby(), "pid from pg_stat_wal_receiver");
        let _held = match trial.broken {
            Broken::StandbyDisk(by) => HeldUp::Disk(SlowDisk::start(&[receiver()?], by)?),
            Broken::PrimaryDisk(by) => {
                let all = processes(self.pair.primary().pid())?;
                HeldUp::Disk(SlowDisk::start(&all, by)?)
            }
            Broken::StandbyReplay => {
                let startup = "pid from pg_stat_activity where backend_type = 'startup'";
                HeldUp::Process(Frozen::new(process(self.pair.standby(), startup)?)?)
            }
            Broken::Lock => {
                let mut sql = self.pair.primary().connect()?;
                sql.query("begin; lock table lab")?;
                HeldUp::Lock(sql)
            }
            Broken::StandbyReceiver(held) => {
                let receiver = receiver()?;
                let begun = Instant::now();
                while begun.elapsed() < trial.long {
                    let frozen = Frozen::new(receiver)?;
                    pause(held)?;
                    drop(frozen);
                    pause(PAUSE)?;
                }
                return Ok(());
            }
            Broken::StandbyGone => {
                self.pair.standby_mut().stop();
                pause(trial.long)?;
                return self.pair.standby_mut().restart(self.net.host("standby")?);
            }
            _ => HeldUp::Nothing,
        };
        pause(trial.long)
    }
}

/// Sleeps, unless the user has enough.
fn pause(long: Duration) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < long {
        interrupt::check()?;
        sleep((long.saturating_sub(begun.elapsed())).min(Duration::from_millis(100)));
    }
    Ok(())
}

/// The process of a server that a query names.
fn process(server: &Server, what: &str) -> Result<Pid> {
    let pid = wait::until(LIMIT, "a process of the server", || {
        server.value(&format!("select {what}"))
    })?;
    server.process(&pid)
}

/// As a user would watch it on either host.
fn watch(tracer: &Path, host: &Host, peer: &Host, server: &Server, name: &Path) -> Result<Running> {
    let ready = name.with_extension("ready");
    let mut run = host.netns.command(tracer);
    let dsn = format!("host={} user=postgres", server.socket_dir().display());
    run.args([
        "run",
        "--quiet",
        "--commits",
        "--peer",
        &peer.v4.to_string(),
    ])
    .args(["--duration", "10m", "--pg", &dsn])
    // Each host has its own server, and the other's is not there.
    .args(["--netns", host.netns.name()])
    .arg("--json")
    .arg(name.with_extension("json"))
    .arg("--ready-file")
    .arg(&ready);
    let log = name.with_extension("log");
    let mut tool = Running::start_logged(&mut run, "tracer", &log)?;
    tool.until_exists(LIMIT, "tracer to count", &ready)?;
    Ok(tool)
}

/// Commits of about so many bytes, which do not compress.
fn writes(bytes: u64) -> Plan {
    let words = bytes.div_ceil(32);
    let sql = format!(
        "insert into lab (note) select string_agg(md5(random()::text), '') from generate_series(1, {words})"
    );
    Plan::open(&sql, WRITES_PER_S, WRITERS)
}

/// The slowest write that was sent after the calm.
fn slowest(requests: &[Request], trial: &Trial) -> Duration {
    let Some(first) = requests.first() else {
        return Duration::ZERO;
    };
    let during = requests
        .iter()
        .filter(|one| one.due >= first.due + trial.calm);
    during.map(|one| one.latency).max().unwrap_or_default()
}
