//! What watching commits costs those who commit: pgbench at saturation, with and
//! without tracer, in turn.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::unistd::{Pid, SysconfVar, sysconf};
use serde_json::Value;

use super::{ENDING, wait_for};
use crate::command::{self, Running};
use crate::netns::{Host, Net};
use crate::postgres::Alone;
use crate::quantile::median;
use crate::{packages, repo, setup, wait};

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

/// What is run.
#[derive(Debug, Clone, Copy)]
enum Script {
    /// What pgbench does unless told otherwise: seven statements a transaction, each
    /// planned anew.
    TpcB,
    /// One prepared statement a transaction.
    Insert,
}

impl Script {
    const fn name(self) -> &'static str {
        match self {
            Self::TpcB => "pgbench as it comes, 7 statements a transaction",
            Self::Insert => "single-row inserts, 1 prepared statement a transaction",
        }
    }
}

/// One run of pgbench.
#[derive(Debug, Clone, Copy)]
struct Run {
    tps: f64,
    /// Processor time of the backends, µs a transaction.
    cpu_us: f64,
}

/// Where it takes place.
struct Bench<'a> {
    tracer: PathBuf,
    host: &'a Host,
    alone: Alone,
    folder: tempfile::TempDir,
    seconds: u32,
    clients: u32,
}

/// Measures and prints.
///
/// # Errors
/// When tracer or pgbench cannot run, or the median misses its bar.
pub(super) fn run(pairs: u32, seconds: u32, clients: u32) -> Result<()> {
    setup::run()?;
    let tracer = repo::build_release()?;
    let net = Net::pair("benchpg", "ens160")?;
    let host = net.host("primary")?;
    let bench = Bench {
        tracer,
        host,
        alone: Alone::start(host, SETTINGS)?,
        folder: tempfile::tempdir().context("cannot make a folder for the runs")?,
        seconds,
        clients,
    };
    fs::write(bench.script(), INSERT).context("cannot write pgbench's script")?;
    command::output(bench.pgbench()?.args(["-i", "-q", "-s", SCALE]))?;
    let loss = bench.compare(Script::TpcB, pairs)?;
    bench.compare(Script::Insert, pairs)?;
    ensure!(
        loss <= BAR_PERCENT,
        "watching costs {loss:.1} % of pgbench's transactions, more than {BAR_PERCENT} %"
    );
    Ok(())
}

impl Bench<'_> {
    fn script(&self) -> PathBuf {
        self.folder.path().join("insert.sql")
    }

    fn pgbench(&self) -> Result<Command> {
        let mut pgbench = Command::new(packages::postgres_bin()?.join("pgbench"));
        pgbench
            .arg("--host")
            .arg(self.alone.server().socket_dir())
            .args(["--username", "postgres"])
            .env("PGDATABASE", "postgres")
            .stdin(Stdio::null());
        Ok(pgbench)
    }

    /// Pairs of runs, of which every other one begins with tracer; the share of the
    /// transactions a second that it costs, percent.
    fn compare(&self, script: Script, pairs: u32) -> Result<f64> {
        self.load(script)?;
        let mut runs = Vec::new();
        for pair in 0..pairs {
            let first = pair % 2 == 1;
            let one = self.either(script, first)?;
            let other = self.either(script, !first)?;
            let (without, with) = if first { (other, one) } else { (one, other) };
            runs.push((without, with));
        }
        let (commits, runs_of_programs, ns) = self.programs(script)?;

        println!(
            "\n{}: {pairs} pairs of {} s, {} clients",
            script.name(),
            self.seconds,
            self.clients
        );
        let middle = |of: &dyn Fn(&(Run, Run)) -> f64| {
            // In thousandths: numbers that have an order.
            let values: Vec<i64> = runs.iter().map(|pair| (of(pair) * 1e3) as i64).collect();
            median(&values).unwrap_or_default() as f64 / 1e3
        };
        let loss = middle(&|(without, with)| (1.0 - with.tps / without.tps) * 100.0);
        let cpu = middle(&|(without, with)| with.cpu_us - without.cpu_us);
        // What else runs here makes a run slower and never faster.
        let most = |of: fn(&(Run, Run)) -> f64| runs.iter().map(of).fold(0.0, f64::max);
        let best = (most(|pair| pair.0.tps), most(|pair| pair.1.tps));
        let tps = (middle(&|pair| pair.0.tps), middle(&|pair| pair.1.tps));
        let cpu_us = (middle(&|pair| pair.0.cpu_us), middle(&|pair| pair.1.cpu_us));
        println!("  {:<36}  without      with  difference", "");
        let row = |name: &str, (without, with): (f64, f64), more: String| {
            println!("  {name:<36}{without:>9.1}{with:>10.1}{more:>12}");
        };
        let gain = (best.1 / best.0 - 1.0) * 100.0;
        row(
            "transactions a second, median",
            tps,
            format!("{:.2} %", -loss),
        );
        row(
            "transactions a second, best run",
            best,
            format!("{gain:.2} %"),
        );
        row(
            "backends' µs a transaction, median",
            cpu_us,
            format!("{cpu:.2}"),
        );
        println!(
            "  kernel programs: {:.1} runs a transaction, {:.0} ns a run, {:.2} µs a transaction",
            runs_of_programs / commits,
            ns / runs_of_programs,
            ns / commits / 1e3
        );
        println!("  the differences of medians are medians of the pairs");
        Ok(loss)
    }

    fn either(&self, script: Script, with: bool) -> Result<Run> {
        if !with {
            return self.load(script);
        }
        let (run, _) = self.watched(script, &[])?;
        Ok(run)
    }

    /// What the kernel measures of the programs: commits, runs, ns.
    fn programs(&self, script: Script) -> Result<(f64, f64, f64)> {
        let (_, report) = self.watched(script, &["--bpf-stats"])?;
        let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64);
        let told = || {
            let runs = number("/commits/program_runs")?;
            let ns = number("/commits/program_ns_per_run")? * runs;
            Some((number("/commits/servers/0/commits")?, runs, ns))
        };
        told().context("tracer's report does not say what its programs did")
    }

    fn watched(&self, script: Script, more: &[&str]) -> Result<(Run, Value)> {
        let (ready, report) = (self.path("ready"), self.path("run.json"));
        let mut run = Command::new(&self.tracer);
        run.args(["run", "--all", "--quiet", "--commits"])
            .args(["--netns", self.host.netns.name()])
            .args(more)
            .arg("--json")
            .arg(&report)
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null());
        let line = command::line(&run);
        let child = run
            .spawn()
            .with_context(|| format!("cannot run `{line}`"))?;
        let mut tracer = Running::new(child, "tracer");
        wait_for(&ready, Instant::now(), &mut tracer)?;
        let outcome = self.load(script)?;
        tracer.interrupt()?;
        let status = wait::until(ENDING, "tracer to end", || tracer.ended())?;
        ensure!(status.success(), "`{line}` failed ({status})");
        Ok((outcome, serde_json::from_str(&fs::read_to_string(report)?)?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn load(&self, script: Script) -> Result<Run> {
        let server = self.alone.server().pid();
        let before = cpu(server)?;
        let mut pgbench = self.pgbench()?;
        pgbench
            .arg("--no-vacuum")
            .args(["--time", &self.seconds.to_string()])
            .args(["--client", &self.clients.to_string(), "--jobs", "2"]);
        if let Script::Insert = script {
            pgbench.arg("--file").arg(self.script());
            pgbench.arg("--protocol=prepared");
        }
        let said = command::output(&mut pgbench)?;
        let (tps, transactions) =
            parse(&said).with_context(|| format!("pgbench says what is not understood: {said}"))?;
        // Backends end a moment after their clients, and only then are added up.
        let sql = "select count(*) from pg_stat_activity where application_name = 'pgbench'";
        wait::until(Duration::from_secs(10), "the backends to end", || {
            let left = self.alone.server().value(sql)?;
            Ok((left.as_deref() == Some("0")).then_some(()))
        })?;
        let spent = cpu(server)?.saturating_sub(before);
        Ok(Run {
            tps,
            cpu_us: spent.as_secs_f64() * 1e6 / transactions,
        })
    }
}

/// Transactions a second, and transactions.
fn parse(said: &str) -> Option<(f64, f64)> {
    let after = |start: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(start))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let tps = after("tps = ")?;
    let transactions = after("number of transactions actually processed: ")?;
    Some((tps, transactions))
}

/// Processor time of a process and of those of its children that have ended.
fn cpu(pid: Pid) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat =
        fs::read_to_string(Path::new(&path)).with_context(|| format!("cannot read {path}"))?;
    let ticks = ticks(&stat).with_context(|| format!("{path} is not understood"))?;
    let hz = sysconf(SysconfVar::CLK_TCK)?.context("the system has no clock tick")?;
    Ok(Duration::from_secs_f64(ticks as f64 / hz as f64))
}

/// `utime`, `stime`, `cutime` and `cstime` of `/proc/PID/stat`.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields = fields.split_whitespace().skip(11).take(4);
    let ticks: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
    (ticks.len() == 4).then(|| ticks.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pgbench_says() {
        let said = "number of transactions actually processed: 1234\nlatency average = 3 ms\ntps = 411.5 (without initial connection time)\n";
        assert_eq!(parse(said), Some((411.5, 1234.0)));
        assert_eq!(parse("tps = soon"), None);
    }

    #[test]
    fn processor_time_is_the_sum_of_four_fields() {
        let stat = "12 (a) b) S 1 1 1 0 -1 4 5 6 7 8 10 20 30 40 20 0 1";
        assert_eq!(ticks(stat), Some(100));
        assert_eq!(ticks("12 (a) S 1"), None);
        assert!(cpu(Pid::this()).is_ok());
    }
}
