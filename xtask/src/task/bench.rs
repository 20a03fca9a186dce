//! `cargo xtask bench`: how soon tracer counts, how much memory it takes, and
//! what a retransmit costs; `cargo xtask bench commits`: what watching commits costs.

mod commits;
mod storm;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use nix::unistd::Pid;
use tracer_core::report::Report;

use crate::provision::repo;
use crate::task::setup;
use crate::testbed::command::{self, Running};
use crate::testbed::netns::Net;
use crate::testbed::quantile::median;
use crate::testbed::{file, interrupt, netns, wait};

/// How soon after its start tracer's first program has to be attached: the blink
/// that a person does not wait for.
const ATTACHED_BAR: Duration = Duration::from_millis(60);

/// How much memory it may take on a database's host.
const MEMORY_BAR_KIB: u64 = 16 * 1024;

const STARTING: Duration = Duration::from_secs(10);
const ENDING: Duration = Duration::from_secs(10);

/// Between two polls for the ready file: a hundredth of what is measured.
const POLL: Duration = Duration::from_micros(200);

#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Measure this instead
    #[arg(value_enum)]
    what: Option<Subject>,

    /// Rounds of pgbench: without tracer, with empty programs, with tracer
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=300))]
    rounds: u32,

    /// How long each of the three is measured in a round
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3))]
    seconds: u32,

    /// pgbench's clients
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=50))]
    clients: u32,

    /// How often to run tracer (after one run that does not count)
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// How often to run it through a storm of retransmits
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    storms: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Subject {
    /// What watching commits costs pgbench
    Commits,
}

#[derive(Debug, Clone, Copy)]
struct Measurement {
    /// From its start to the first attached program.
    attached: Duration,
    /// From its start to the moment from which everything is counted.
    ready: Duration,
    peak_kib: u64,
    /// Calls that retransmitted something.
    events: u64,
    /// Runs of the kernel programs.
    runs: u64,
    /// Mean time of one, ns.
    ns_per_run: u64,
    /// tracer's own processor time, µs.
    cpu_us: u64,
}

type Figure = fn(&Measurement) -> u64;

/// How a figure is shown: divided by that, with so many decimals.
type Unit = (f64, usize);

const COUNT: Unit = (1.0, 0);
const MS: Unit = (1e3, 1);

pub(crate) fn run(arguments: &BenchArguments) -> Result<()> {
    netns::require_root()?;
    if let Some(Subject::Commits) = arguments.what {
        return commits::run(arguments.rounds, arguments.seconds, arguments.clients);
    }
    setup::run()?;
    let tracer = repo::build_release()?;
    let net = Net::pair("bench", "ens160")?;
    let host = net.host("primary")?;
    let folder = tempfile::tempdir().context("cannot make a folder for the runs")?;
    let once = |storm| measure(&tracer, host.netns.name(), folder.path(), storm);
    // The first one reads the program from disk.
    once(None)?;
    let runs = (0..arguments.runs)
        .map(|_| once(None))
        .collect::<Result<Vec<_>>>()?;
    net.narrow(&storm::QUEUE)?;
    let storms = (0..arguments.storms)
        .map(|_| once(Some(&net)))
        .collect::<Result<Vec<_>>>()?;
    costs(&runs, &storms);
    verdict(&runs)
}

/// Runs tracer, and through a storm if there is a network for one.
fn measure(tracer: &Path, netns: &str, folder: &Path, storm: Option<&Net>) -> Result<Measurement> {
    let ready_file = folder.join("ready");
    let report = folder.join("run.json");
    let mut run = Command::new(tracer);
    run.args(["run", "--all", "--quiet", "--netns", netns])
        .arg("--json")
        .arg(&report)
        .arg("--ready-file")
        .arg(&ready_file)
        .stdin(Stdio::null());
    if storm.is_some() {
        // Costs some time at the start, too.
        run.arg("--bpf-stats");
    }
    let line = command::line(&run);
    let begun = Instant::now();
    let mut tracer = Running::start(&mut run, "tracer")?;
    let ready = wait_for(&ready_file, begun, &mut tracer).with_context(|| format!("`{line}`"))?;
    if let Some(net) = storm {
        storm::run(net)?;
    }
    let peak_kib = stop(&mut tracer).with_context(|| format!("`{line}`"))?;
    ensure!(!ready_file.exists(), "tracer left its ready file behind");
    let report = Report::read(&file::read(&report)?)?;
    Measurement::new(&report, ready, peak_kib)
        .context("tracer's report does not say when it was attached")
}

impl Measurement {
    /// tracer knows when its first program was attached, and this program knows when tracer
    /// was started.
    fn new(report: &Report, ready: Duration, peak_kib: u64) -> Option<Self> {
        let overhead = &report.overhead;
        let counting_ms = overhead.ready_ms? - overhead.attached_ms?;
        let counting = Duration::try_from_secs_f64(counting_ms / 1e3).ok()?;
        Some(Self {
            attached: ready.saturating_sub(counting),
            ready,
            peak_kib,
            events: report.totals.events,
            runs: overhead.program_runs.unwrap_or_default(),
            // Both are far below 2^52, and the casts saturate.
            ns_per_run: overhead.program_ns_per_run.unwrap_or_default() as u64,
            cpu_us: (overhead.cpu_ms * 1e3) as u64,
        })
    }
}

fn wait_for(ready_file: &Path, begun: Instant, tracer: &mut Running) -> Result<Duration> {
    loop {
        if ready_file.exists() {
            return Ok(begun.elapsed());
        }
        interrupt::check()?;
        if let Some(status) = tracer.ended()? {
            bail!("ended ({status}) before it was ready");
        }
        ensure!(begun.elapsed() < STARTING, "was not ready in time");
        std::thread::sleep(POLL);
    }
}

/// Ends tracer as Ctrl-C does and returns its peak of memory.
///
/// Read from `/proc` until the end: the figure that `wait4` hands out begins
/// with what this program itself had at the moment of the fork.
fn stop(tracer: &mut Running) -> Result<u64> {
    let pid = tracer.pid();
    let mut peak_kib = peak(pid).context("the kernel does not show tracer's peak of memory")?;
    tracer.interrupt()?;
    let status = wait::until(ENDING, "tracer to end", || {
        peak_kib = peak(pid).unwrap_or(peak_kib);
        tracer.ended()
    })?;
    ensure!(status.success(), "failed ({status})");
    Ok(peak_kib)
}

fn peak(pid: Pid) -> Option<u64> {
    let peak = command::status(pid, "VmHWM:")?;
    peak.strip_suffix(" kB")?.parse().ok()
}

/// A line of a table: the median and the largest of a figure, and what the median may be.
fn row(name: &str, runs: &[Measurement], figure: Figure, unit: Unit, bar: &str) {
    let values: Vec<u64> = runs.iter().map(figure).collect();
    let (scale, digits) = unit;
    let shown = |value: Option<u64>| value.unwrap_or_default() as f64 / scale;
    let (median, max) = (shown(median(&values)), shown(values.iter().max().copied()));
    let line = format!("{name:<36}{median:>9.digits$}{max:>9.digits$}{bar:>9}");
    println!("{}", line.trim_end());
}

fn costs(quiet: &[Measurement], storms: &[Measurement]) {
    let title = format!("{} storms of retransmits", storms.len());
    println!("\n{title:<36}   median      max");
    let of_storms = |name, figure: Figure, unit| row(name, storms, figure, unit, "");
    of_storms("retransmit events", |run| run.events, COUNT);
    of_storms("runs of the kernel programs", |run| run.runs, COUNT);
    of_storms("kernel program, ns a run", |run| run.ns_per_run, COUNT);
    of_storms("tracer's processor time, ms", |run| run.cpu_us, MS);
    row(
        "  the same without a storm",
        quiet,
        |run| run.cpu_us,
        MS,
        "",
    );
}

fn us(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

fn verdict(runs: &[Measurement]) -> Result<()> {
    let attached: Vec<Duration> = runs.iter().map(|run| run.attached).collect();
    let peak: Vec<u64> = runs.iter().map(|run| run.peak_kib).collect();
    let (Some(attached), Some(peak)) = (median(&attached), median(&peak)) else {
        bail!("nothing was measured");
    };
    let title = format!("{} quiet runs", runs.len());
    println!("\n{title:<36}   median      max      bar");
    let of_runs = |name, figure: Figure, unit, bar: &str| row(name, runs, figure, unit, bar);
    let bars = (
        ATTACHED_BAR.as_millis().to_string(),
        MEMORY_BAR_KIB.to_string(),
    );
    of_runs(
        "first program attached after, ms",
        |run| us(run.attached),
        MS,
        &bars.0,
    );
    of_runs("everything counted from, ms", |run| us(run.ready), MS, "");
    of_runs("peak memory, KiB", |run| run.peak_kib, COUNT, &bars.1);
    ensure!(
        attached <= ATTACHED_BAR && peak <= MEMORY_BAR_KIB,
        "a median misses its bar"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbed::sample_report;

    #[test]
    fn this_process_has_a_peak() {
        assert!(peak(Pid::this()).unwrap() > 100);
    }

    #[test]
    fn the_report_says_what_a_run_costs() {
        let mut report = sample_report::empty();
        report.totals.events = 3;
        report.overhead.program_runs = Some(4);
        report.overhead.program_ns_per_run = Some(812.5);
        report.overhead.cpu_ms = 1.5;
        let ready = Duration::from_millis(100);
        report.overhead.attached_ms = None;
        assert!(Measurement::new(&report, ready, 9).is_none());
        report.overhead.attached_ms = Some(40.0);
        report.overhead.ready_ms = Some(65.5);
        let run = Measurement::new(&report, ready, 9).unwrap();
        assert_eq!((run.events, run.runs), (3, 4));
        assert_eq!((run.ns_per_run, run.cpu_us), (812, 1500));
        assert_eq!(run.attached, Duration::from_micros(74_500));
    }

    #[test]
    fn the_median_decides() {
        let run = |attached, peak_kib| Measurement {
            attached: Duration::from_millis(attached),
            ready: Duration::from_millis(attached + 30),
            peak_kib,
            events: 0,
            runs: 0,
            ns_per_run: 0,
            cpu_us: 0,
        };
        assert!(verdict(&[run(40, 9000), run(40, 9000), run(900, 90_000)]).is_ok());
        assert!(verdict(&[run(61, 9000)]).is_err());
        assert!(verdict(&[run(40, 17_000)]).is_err());
        assert!(verdict(&[]).is_err());
    }
}
