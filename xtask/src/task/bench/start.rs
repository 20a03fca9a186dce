//! How soon tracer counts, and how much memory it takes, where nothing is retransmitted.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::Pid;
use tracer_core::report::Report;

use super::spread::Spread;
use super::{ENDING, POLL, STARTING};
use crate::testbed::command::{self, Running};
use crate::testbed::figure_table::FigureTable;
use crate::testbed::{file, interrupt, wait};

/// How soon after its start tracer's first program has to be attached: the blink
/// that a person does not wait for.
const ATTACHED_BAR_MS: f64 = 60.0;

/// How soon everything has to be counted.
const READY_BAR_MS: f64 = 25.0;

/// How much memory it may take on a database's host.
const MEMORY_BAR_KIB: f64 = 16.0 * 1024.0;

#[derive(Debug, Clone, Copy)]
pub(super) struct QuietRun {
    /// From its start to the first attached program.
    attached: Duration,
    /// From its start to the moment from which everything is counted.
    ready: Duration,
    peak_kib: u64,
    /// tracer's own processor time.
    cpu_ms: f64,
}

type StartFigure = fn(&QuietRun) -> f64;

/// What is measured of each run, with so many decimals, and what the median may be.
const FIGURES: [(&str, StartFigure, usize, Option<f64>); 4] = [
    (
        "first program attached after, ms",
        |run| run.attached.as_secs_f64() * 1e3,
        1,
        Some(ATTACHED_BAR_MS),
    ),
    (
        "everything counted from, ms",
        |run| run.ready.as_secs_f64() * 1e3,
        1,
        Some(READY_BAR_MS),
    ),
    (
        "peak memory, KiB",
        |run| run.peak_kib as f64,
        0,
        Some(MEMORY_BAR_KIB),
    ),
    ("processor time, ms", |run| run.cpu_ms, 1, None),
];

/// Runs tracer so many times, after one run that does not count.
pub(super) fn run(tracer: &Path, netns: &str, folder: &Path, runs: u32) -> Result<Vec<QuietRun>> {
    // The first one reads the program from disk.
    once(tracer, netns, folder)?;
    (0..runs).map(|_| once(tracer, netns, folder)).collect()
}

fn once(tracer: &Path, netns: &str, folder: &Path) -> Result<QuietRun> {
    let ready_file = folder.join("ready");
    let report = folder.join("run.json");
    let mut run = Command::new(tracer);
    run.args(["run", "--all", "--quiet", "--netns", netns])
        .arg("--json")
        .arg(&report)
        .arg("--ready-file")
        .arg(&ready_file)
        .stdin(Stdio::null());
    let line = command::line(&run);
    let begun = Instant::now();
    let mut tracer = Running::start(&mut run, "tracer")?;
    let ready = wait_for(&ready_file, begun, &mut tracer).with_context(|| format!("`{line}`"))?;
    let peak_kib = stop(&mut tracer, ENDING).with_context(|| format!("`{line}`"))?;
    ensure!(!ready_file.exists(), "tracer left its ready file behind");
    let report = Report::read(&file::read(&report)?)?;
    QuietRun::new(&report, ready, peak_kib)
        .context("tracer's report does not say when it was attached")
}

impl QuietRun {
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
            cpu_ms: overhead.cpu_ms,
        })
    }
}

/// Waits until tracer says that it counts everything, and says how long it took.
pub(super) fn wait_for(
    ready_file: &Path,
    begun: Instant,
    tracer: &mut Running,
) -> Result<Duration> {
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

/// Ends tracer as Ctrl-C does and returns its peak of memory, KiB.
///
/// Read from `/proc` until the end: the figure that `wait4` hands out begins
/// with what this program itself had at the moment of the fork.
pub(super) fn stop(tracer: &mut Running, limit: Duration) -> Result<u64> {
    let pid = tracer.pid();
    let mut peak_kib = peak(pid).context("the kernel does not show tracer's peak of memory")?;
    tracer.interrupt()?;
    let status = wait::until(limit, "tracer to end", || {
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

pub(super) fn table(runs: &[QuietRun]) -> FigureTable {
    let title = format!("{} quiet runs", runs.len());
    let mut table = FigureTable::new([&title, "median", "least", "most", "bar"]);
    for (name, figure, digits, bar) in FIGURES {
        let cells = Spread::of(runs.iter().map(figure)).map(|spread| spread.cells(digits));
        let bar = bar.map_or(String::new(), |bar| format!("{bar:.0}"));
        table.row(name, cells.into_iter().flatten().chain([bar]));
    }
    table
}

/// Which medians miss their bars.
pub(super) fn missed(runs: &[QuietRun]) -> Vec<String> {
    let missed = FIGURES.iter().filter_map(|(name, figure, digits, bar)| {
        let bar = (*bar)?;
        let median = Spread::of(runs.iter().map(figure))?.median;
        (median > bar).then(|| format!("{name}: {median:.digits$}, and the bar is {bar:.0}"))
    });
    missed.collect()
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
        report.overhead.cpu_ms = 1.5;
        let ready = Duration::from_millis(100);
        report.overhead.attached_ms = None;
        assert!(QuietRun::new(&report, ready, 9).is_none());
        report.overhead.attached_ms = Some(40.0);
        report.overhead.ready_ms = Some(65.5);
        let run = QuietRun::new(&report, ready, 9).unwrap();
        assert_eq!((run.peak_kib, run.cpu_ms), (9, 1.5));
        assert_eq!(run.attached, Duration::from_micros(74_500));
    }

    #[test]
    fn the_median_decides() {
        let run = |attached, peak_kib| QuietRun {
            attached: Duration::from_millis(attached),
            ready: Duration::from_millis(20),
            peak_kib,
            cpu_ms: 1.0,
        };
        assert!(missed(&[run(40, 9000), run(40, 9000), run(900, 90_000)]).is_empty());
        assert_eq!(missed(&[run(61, 9000)]).len(), 1);
        assert_eq!(missed(&[run(40, 17_000)]).len(), 1);
        let table = table(&[run(40, 9000)]).markdown();
        assert!(
            table.contains("attached after, ms | 40.0 | 40.0 | 40.0 | 60 |"),
            "{table}"
        );
    }
}
