//! How tracer bears many flows: connections whose SYN nobody answers.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tracer_core::report::Report;

use super::start::{stop, wait_for};
use crate::testbed::command::Running;
use crate::testbed::figure_table::{FigureTable, grouped};
use crate::testbed::knocks::{self, Knocking};
use crate::testbed::netns::{Host, Net};
use crate::testbed::{file, wait, withheld};

/// Where the first process knocks: nobody listens anywhere.
const PORT: u16 = 5_000;

/// What tracer has room for if it is not told.
const MAX_FLOWS: usize = 8_192;

/// How long so many sockets may take, and how long tracer with what it knows of them.
const LIMIT: Duration = Duration::from_secs(120);

/// Nothing is retransmitted for so long: of each socket the first retransmissions come every
/// second, and the later ones after twice the time of the last.
const CALM: Duration = Duration::from_millis(400);

/// What so many flows came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) flows: usize,
    /// By tracer and by the kernel.
    segments: [u64; 2],
    difference: i64,
    peak_kib: u64,
    report_bytes: u64,
    /// Flows that the report lists one by one.
    listed: usize,
    /// From Ctrl-C until the report is written and tracer has ended.
    end: Duration,
    /// `tracer report`, from start to end.
    read: Duration,
}

/// Runs tracer through each of so many flows.
pub(super) fn run(tracer: &Path, folder: &Path, sizes: &[usize]) -> Result<Vec<Scale>> {
    let each = sizes
        .iter()
        .map(|flows| once(tracer, folder, *flows).with_context(|| format!("with {flows} flows")));
    each.collect()
}

fn once(program: &Path, folder: &Path, flows: usize) -> Result<Scale> {
    let net = Net::pair("scale", "ens160")?;
    let (from, to) = (net.host("primary")?, net.host("standby")?);
    knocks::introduce(from, to)?;
    net.plug("standby", false)?;

    let (report, ready) = (folder.join("scale.json"), folder.join("scale.ready"));
    let mut run = from.netns.command(program);
    run.args(["run", "--all", "--quiet", "--max-flows"])
        .arg(flows.max(MAX_FLOWS).to_string())
        .arg("--json")
        .arg(&report)
        .arg("--ready-file")
        .arg(&ready)
        .stdin(Stdio::null());
    let begun = Instant::now();
    let mut tracer = Running::start(&mut run, "tracer")?;
    wait_for(&ready, begun, &mut tracer)?;

    let knocking = knock(from, to, flows)?;
    let begun = Instant::now();
    let peak_kib = stop(&mut tracer, LIMIT).context("tracer")?;
    let end = begun.elapsed();
    drop(knocking);

    let bytes = file::read(&report)?;
    let read = show(program, &report)?;
    let report = Report::read(&bytes)?;
    let totals = &report.totals;
    let kernel = totals
        .kernel_retrans_segs
        .context("no count of the kernel")?;
    let difference = totals.difference.context("no difference to that count")?;
    let allowed = withheld::segments(kernel)?;
    ensure!(
        kernel >= flows as u64 && (0..=allowed.cast_signed()).contains(&difference),
        "tracer's count of {} segments is not the kernel's, {kernel}",
        totals.segments
    );
    let known = report.flows.len() as u64 + report.unlisted_count();
    ensure!(
        known >= flows as u64 - allowed && known <= flows as u64,
        "tracer knows {known} flows of {flows}"
    );
    Ok(Scale {
        flows,
        segments: [totals.segments, kernel],
        difference,
        peak_kib,
        report_bytes: bytes.len() as u64,
        listed: report.flows.len(),
        end,
        read,
    })
}

/// Sends so many SYNs to where they are lost, and waits until each has been retransmitted
/// and nothing more is, for the moment.
fn knock(from: &Host, to: &Host, flows: usize) -> Result<Vec<Knocking>> {
    let mut knocking = Vec::new();
    let mut left = flows;
    for port in PORT.. {
        if left == 0 {
            break;
        }
        let some = left.min(knocks::MOST_KNOCKS);
        let target = SocketAddr::new(to.v4.into(), port);
        knocking.push(Knocking::start(from, target, some)?);
        left -= some;
    }
    let mut last = (0, Instant::now());
    wait::until(LIMIT, "every SYN to be retransmitted", || {
        let mut all_out = true;
        for one in &mut knocking {
            all_out &= one.all_out()?;
        }
        let count = from.netns.counter("TcpExt", "TCPSynRetrans")?;
        if count != last.0 || !all_out {
            last = (count, Instant::now());
        }
        let calm = count >= flows as u64 && last.1.elapsed() >= CALM;
        Ok(calm.then_some(()))
    })?;
    Ok(knocking)
}

/// How long `tracer report` takes to show it.
fn show(program: &Path, report: &Path) -> Result<Duration> {
    let mut show = Command::new(program);
    show.arg("report").arg(report);
    show.stdin(Stdio::null()).stdout(Stdio::null());
    let begun = Instant::now();
    let status = Running::start(&mut show, "tracer report")?.wait(Some(LIMIT))?;
    ensure!(status.success(), "tracer report failed ({status})");
    Ok(begun.elapsed())
}

pub(super) fn table(all: &[Scale]) -> FigureTable {
    let mut table = FigureTable::new([
        "flows",
        "segments, by the kernel",
        "by tracer",
        "difference",
        "peak memory, MiB",
        "report, KiB",
        "bytes a flow",
        "flows listed",
        "from Ctrl-C to the end, s",
        "`tracer report`, s",
    ]);
    for one in all {
        table.row(
            &grouped(one.flows as i128),
            [
                grouped(one.segments[1].into()),
                grouped(one.segments[0].into()),
                grouped(one.difference.into()),
                format!("{:.1}", one.peak_kib as f64 / 1024.0),
                grouped((one.report_bytes / 1024).into()),
                grouped((one.report_bytes / (one.flows as u64).max(1)).into()),
                grouped(one.listed as i128),
                format!("{:.2}", one.end.as_secs_f64()),
                format!("{:.2}", one.read.as_secs_f64()),
            ],
        );
    }
    table
}

#[cfg(test)]
pub(super) fn sample(flows: usize) -> Scale {
    Scale {
        flows,
        segments: [2_000, 2_000],
        difference: 0,
        peak_kib: 10_240,
        report_bytes: 2_048_000,
        listed: flows.min(1_000),
        end: Duration::from_millis(120),
        read: Duration::from_millis(30),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_a_size() {
        let table = table(&[sample(10_000)]).markdown();
        assert!(
            table.ends_with(
                "| 10,000 | 2,000 | 2,000 | 0 | 10.0 | 2,000 | 204 | 1,000 | 0.12 | 0.03 |\n"
            ),
            "{table}"
        );
    }
}
