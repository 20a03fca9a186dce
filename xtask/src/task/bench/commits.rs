//! What watching commits costs those who commit: pgbench at saturation, without
//! tracer, with traps at the same places that do nothing, and with tracer, in turn.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use tracer_core::report::Report;

use super::start::wait_for;
use super::{ENDING, STARTING};
use crate::provision::{packages, repo};
use crate::task::setup;
use crate::testbed::command::{self, Running};
use crate::testbed::netns::{Host, Net};
use crate::testbed::postgres::{Alone, Connection, Pair, Server};
use crate::testbed::quantile::median;
use crate::testbed::{file, wait};

/// How much of the transactions a second watching may cost.
const BAR_PERCENT: f64 = 2.0;

/// Rows that transactions do not wait for each other at.
const SCALE: &str = "20";

/// Large enough for all of it, as a server in use has.
const SETTINGS: &[(&str, &str)] = &[
    ("shared_buffers", "512MB"),
    ("max_wal_size", "4GB"),
    ("autovacuum", "off"),
];

/// A transaction of one statement: of all that write, the one of which watching
/// is the largest part.
const INSERT: &str = "insert into lab (note) values ('bench');\n";

/// How many transactions that write have begun: each takes the next number.
const BEGUN: &str = "select pg_snapshot_xmax(pg_current_snapshot())";

/// After something was attached or detached: every backend meets the changed code once.
const SETTLING: Duration = Duration::from_millis(100);

/// pgbench is ended when all is measured, or by itself when this went wrong.
const MAX_SECONDS: &str = "3600";

struct Transaction {
    name: &'static str,
    /// Of pgbench, in the folder of the runs.
    options: &'static [&'static str],
}

/// What pgbench does by default: each statement is planned anew.
const TPC_B: Transaction = Transaction {
    name: "pgbench as it comes, 7 statements a transaction",
    options: &[],
};

const INSERTS: Transaction = Transaction {
    name: "single-row inserts, 1 prepared statement a transaction",
    options: &["--file", "insert.sql", "--protocol=prepared"],
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watcher {
    Nobody,
    /// Programs of bpftrace that do nothing, where those of tracer hang: what the traps
    /// cost, whoever sets them.
    Empty,
    Tracer,
}

impl Watcher {
    const ALL: [Self; 3] = [Self::Nobody, Self::Empty, Self::Tracer];

    const fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Empty => "empty programs",
            Self::Tracer => "tracer",
        }
    }
}

/// Transactions a second of one round, by [`Watcher`].
type Throughputs = [f64; Watcher::ALL.len()];

/// How much less than without, percent.
struct Loss {
    median: f64,
    /// Where the median of many more rounds lies, in 95 of 100 cases.
    between: (f64, f64),
}

struct Bench<'a> {
    tracer: PathBuf,
    host: &'a Host,
    folder: tempfile::TempDir,
    phase: Duration,
    clients: u32,
}

pub(super) fn run(rounds: u32, seconds: u32, clients: u32) -> Result<()> {
    setup::run()?;
    let tracer = repo::build_release()?;
    let net = Net::pair("benchpg", "ens160")?;
    let host = net.host("primary")?;
    let bench = Bench {
        tracer,
        host,
        folder: tempfile::tempdir().context("cannot make a folder for the runs")?,
        phase: Duration::from_secs(seconds.into()),
        clients,
    };
    file::write(&bench.path("insert.sql"), INSERT)?;

    let alone = Alone::start(host, SETTINGS)?;
    fill(alone.server())?;
    println!("\nA server without a standby");
    let loss = bench.compare(alone.server(), &TPC_B, rounds)?;
    bench.compare(alone.server(), &INSERTS, rounds)?;
    drop(alone);

    let pair = synchronous(host, net.host("standby")?)?;
    fill(pair.primary())?;
    println!("\nA primary whose commits wait for a standby on this machine");
    bench.compare(pair.primary(), &TPC_B, rounds)?;
    ensure!(
        loss.between.0 <= BAR_PERCENT,
        "watching costs {:.1} % of pgbench's transactions, more than {BAR_PERCENT} %",
        loss.median
    );
    Ok(())
}

/// A primary and its standby, set as a server alone is.
fn synchronous(primary: &Host, standby: &Host) -> Result<Pair> {
    let mut pair = Pair::start(primary, standby)?;
    for (name, value) in SETTINGS {
        let set = format!("alter system set {name} = '{value}'");
        pair.primary().connect()?.query(&set)?;
    }
    pair.primary_mut().stop();
    pair.primary_mut().restart(primary)?;
    wait::until(STARTING, "commits to wait for the standby again", || {
        Ok(pair.prove_commits_wait().is_ok().then_some(()))
    })?;
    Ok(pair)
}

impl Bench<'_> {
    /// One pgbench all through, watched in turn: whatever else slows the machine down
    /// slows all of a round.
    fn compare(&self, server: &Server, script: &Transaction, rounds: u32) -> Result<Loss> {
        let load = self.load(server, script)?;
        let mut sql = server.connect()?;
        let mut found = Vec::new();
        for round in 0..rounds as usize {
            let mut tps = Throughputs::default();
            for turn in 0..Watcher::ALL.len() {
                // Who is first in one round is last in the next.
                let at = (round + turn) % Watcher::ALL.len();
                tps[at] = self.phase(Watcher::ALL[at], &mut sql)?;
            }
            found.push(tps);
        }
        let programs = self.programs()?;
        drop(load);

        println!(
            "\n{}: {rounds} rounds of {} s each, {} clients",
            script.name,
            self.phase.as_secs(),
            self.clients
        );
        println!("  watched by        transactions a second  difference");
        for watcher in Watcher::ALL {
            let tps = middle(found.iter().map(|round| round[watcher as usize]));
            let mut line = format!("  {:<18}{tps:>21.1}", watcher.name());
            if watcher != Watcher::Nobody {
                let loss = Loss::of(&found, watcher);
                line += &format!(
                    "{:>10.2} %  ({:.2} to {:.2} %)",
                    -loss.median, -loss.between.1, -loss.between.0
                );
            }
            println!("{line}");
        }
        println!("  {programs}");
        println!("  medians of all rounds; in brackets where they are in 95 of 100 cases");
        Ok(Loss::of(&found, Watcher::Tracer))
    }

    fn load(&self, server: &Server, script: &Transaction) -> Result<Running> {
        let mut pgbench = pgbench(server)?;
        pgbench
            .args(["--no-vacuum", "--time", MAX_SECONDS, "--jobs", "2"])
            .args(["--client", &self.clients.to_string()])
            .args(script.options)
            .current_dir(self.folder.path());
        let mut sql = server.connect()?;
        let first = begun(&mut sql)?;
        self.start(&mut pgbench, "pgbench", |_| {
            Ok(begun(&mut sql)? > first + 1_000)
        })
    }

    fn phase(&self, watcher: Watcher, sql: &mut Connection) -> Result<f64> {
        let running = match watcher {
            Watcher::Nobody => None,
            Watcher::Empty => Some((self.empty()?, Signal::SIGKILL)),
            Watcher::Tracer => Some((self.watch(&[])?, Signal::SIGINT)),
        };
        thread::sleep(SETTLING);
        let (first, since) = (begun(sql)?, Instant::now());
        thread::sleep(self.phase);
        let tps = (begun(sql)? - first) as f64 / since.elapsed().as_secs_f64();
        if let Some((running, signal)) = running {
            end(running, signal)?;
        }
        Ok(tps)
    }

    /// Traps that nothing is done at. They have to be killed: now and then bpftrace misses
    /// the Ctrl-C that comes between its check for one and its sleep, and the kernel detaches
    /// what a process had in any case.
    fn empty(&self) -> Result<Running> {
        let program = packages::postgres_bin()?.join("postgres");
        let at = [
            ("uprobe", "AfterTriggerEndXact"),
            ("uprobe", "XLogFlush"),
            ("uprobe", "SyncRepWaitForLSN"),
            ("uretprobe", "SyncRepWaitForLSN"),
        ];
        let mut script = "BEGIN { printf(\"attached\\n\"); }".to_owned();
        for (kind, symbol) in at {
            script += &format!(" {kind}:{}:{symbol} {{}}", program.display());
        }
        let mut bpftrace = Command::new("bpftrace");
        bpftrace.args(["-B", "line", "-e", &script]);
        self.start(&mut bpftrace, "bpftrace", |said| {
            Ok(said.lines().any(|line| line == "attached"))
        })
    }

    /// Starts a program and waits until it does its work, as it may be seen in what it
    /// said.
    fn start(
        &self,
        command: &mut Command,
        name: &str,
        mut works: impl FnMut(&str) -> Result<bool>,
    ) -> Result<Running> {
        let log = self.path(&format!("{name}.log"));
        let mut running = Running::start_logged(command, name, &log)?;
        running.until(STARTING, &format!("{name} to do its work"), || {
            let said = file::read_text(&log)?;
            Ok(works(&said)?.then_some(()))
        })?;
        Ok(running)
    }

    /// tracer, from the moment from which it counts everything.
    fn watch(&self, more: &[&str]) -> Result<Running> {
        let ready = self.path("ready");
        let mut run = Command::new(&self.tracer);
        run.args(["run", "--all", "--quiet", "--commits"])
            .args(["--netns", self.host.netns.name()])
            .args(more)
            .arg("--json")
            .arg(self.path("run.json"))
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null());
        let mut tracer = Running::start(&mut run, "tracer")?;
        wait_for(&ready, Instant::now(), &mut tracer)?;
        Ok(tracer)
    }

    /// What the kernel measures of the programs, in words.
    fn programs(&self) -> Result<String> {
        let tracer = self.watch(&["--bpf-stats"])?;
        thread::sleep(self.phase);
        end(tracer, Signal::SIGINT)?;
        let report = Report::read(&fs::read(self.path("run.json"))?)?;
        let words = || {
            let commits = report.commits.as_ref()?;
            let runs = commits.program_runs? as f64;
            let each_ns = commits.program_ns_per_run?;
            let commits = commits.servers.first()?.commits as f64;
            let us = each_ns * runs / commits / 1e3;
            Some(format!(
                "tracer's programs: {:.1} runs a transaction, {each_ns:.0} ns a run, {us:.2} µs a transaction",
                runs / commits
            ))
        };
        words().context("tracer's report does not say what its programs did")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn fill(server: &Server) -> Result<()> {
    command::output(pgbench(server)?.args(["-i", "-q", "-s", SCALE]))?;
    Ok(())
}

fn pgbench(server: &Server) -> Result<Command> {
    let mut pgbench = Command::new(packages::postgres_bin()?.join("pgbench"));
    pgbench
        .arg("--host")
        .arg(server.socket_dir())
        .args(["--username", "postgres"])
        .env("PGDATABASE", "postgres");
    Ok(pgbench)
}

fn begun(sql: &mut Connection) -> Result<u64> {
    let number = sql.value(BEGUN)?.context("the server has no snapshot")?;
    number.parse().context("the server's snapshot is no number")
}

fn end(mut running: Running, signal: Signal) -> Result<()> {
    kill(running.pid(), signal).context("cannot end who watches")?;
    let status = wait::until(ENDING, "who watches to end", || running.ended())?;
    let as_asked = status.success() || status.signal() == Some(signal as i32);
    ensure!(as_asked, "who watches failed ({status})");
    Ok(())
}

/// In thousandths: numbers that have an order.
fn thousandths(value: f64) -> i64 {
    (value * 1e3).round() as i64
}

fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<i64> = values.map(thousandths).collect();
    median(&values).unwrap_or_default() as f64 / 1e3
}

impl Loss {
    fn of(rounds: &[Throughputs], watcher: Watcher) -> Self {
        let of = |round: &Throughputs| {
            (1.0 - round[watcher as usize] / round[Watcher::Nobody as usize]) * 100.0
        };
        let mut losses: Vec<i64> = rounds.iter().map(|round| thousandths(of(round))).collect();
        losses.sort_unstable();
        // Half of all values lie below the median, give or take 1.96 standard deviations
        // of a coin thrown as often.
        let count = losses.len() as f64;
        let reach = 1.96 * count.sqrt() / 2.0;
        let at = |rank: f64| {
            let rank = rank.clamp(0.0, count - 1.0) as usize;
            losses.get(rank).map_or(0.0, |loss| *loss as f64 / 1e3)
        };
        Self {
            median: middle(rounds.iter().map(of)),
            between: (at(count / 2.0 - reach), at(count / 2.0 + reach)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_of_the_round_they_are_in() {
        // The machine becomes slower all the time, and watching costs a tenth.
        let rounds: Vec<Throughputs> = (0..25)
            .map(|nth| 1_000.0 - f64::from(nth))
            .map(|tps| [tps, tps * 0.95, tps * 0.9])
            .collect();
        for (watcher, expected) in [(Watcher::Tracer, 10.0), (Watcher::Empty, 5.0)] {
            let loss = Loss::of(&rounds, watcher);
            assert_eq!(loss.median, expected);
            assert_eq!(loss.between, (expected, expected));
        }
    }

    #[test]
    fn the_median_of_more_rounds_is_between_the_middle_ranks() {
        let rounds: Vec<Throughputs> = (0..100)
            .map(|percent| [100.0, 0.0, 100.0 - f64::from(percent)])
            .collect();
        let loss = Loss::of(&rounds, Watcher::Tracer);
        assert_eq!((loss.median, loss.between), (49.0, (40.0, 59.0)));
        let one = Loss::of(&rounds[7..8], Watcher::Tracer);
        assert_eq!((one.median, one.between), (7.0, (7.0, 7.0)));
    }
}
