//! What a hit costs: all who count at once, in the same storms, by the kernel's own
//! measurement.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::sys::{Stats, enable_stats};
use nix::sys::stat::stat;
use tracer_core::report::Report;

use super::contender::{Contender, Kind};
use super::spread::Spread;
use super::storm;
use crate::testbed::figure_table::{FigureTable, grouped};
use crate::testbed::netns::Net;
use crate::testbed::{file, withheld};

/// What counting may cost, of what bpftrace's counting does.
const COUNTS_BAR: f64 = 0.7;
/// What writing every event may cost, of what counting does.
const EVENTS_BAR: f64 = 1.6;
/// What a change of a socket's state may cost, ns.
const STATE_BAR_NS: f64 = 400.0;

/// After the last has been attached, until all of them are called.
const SETTLING: Duration = Duration::from_millis(100);

/// How large a storm is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// What each of the flows sends.
    pub(super) bytes: usize,
    /// How many connections come and go.
    pub(super) connections: usize,
}

/// What one storm cost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StormCost {
    /// Calls that retransmitted something, of the one who saw the fewest.
    hits: u64,
    /// Means of a hit, ns, by [`Kind`].
    ns: [f64; Kind::ALL.len()],
    /// Mean of a change of state, ns.
    state_ns: f64,
    states: u64,
    /// By the kernel, in the namespace of the storm.
    segments: u64,
    /// By the kernel, less what tracer counted there.
    difference: i64,
    /// tracer's own processor time, without and with events.
    cpu_ms: [f64; 2],
}

type StormFigure = fn(&StormCost) -> f64;

/// What has a bar, of the medians.
const BARS: [(&str, StormFigure, usize, f64); 3] = [
    (
        "tracer / bpftrace, counting",
        |storm| storm.ratio(Kind::TracerCounts, Kind::BpftraceCounts),
        2,
        COUNTS_BAR,
    ),
    (
        "tracer with --events / tracer",
        |storm| storm.ratio(Kind::TracerEvents, Kind::TracerCounts),
        2,
        EVENTS_BAR,
    ),
    (
        "tracer, a change of a socket's state, ns",
        |storm| storm.state_ns,
        0,
        STATE_BAR_NS,
    ),
];

/// So many storms, through which all of them count, in another order each time; and as many
/// for the one who prints.
pub(super) fn run(
    tracer: &Path,
    net: &Net,
    folder: &Path,
    storms: u32,
    size: Size,
) -> Result<Vec<StormCost>> {
    let measuring = enable_stats(Stats::RunTime).context("the kernel measures no run times")?;
    net.narrow(&storm::QUEUE)?;
    let found = (0..storms as usize)
        .map(|nth| once(tracer, net, folder, nth, size))
        .collect();
    drop(measuring);
    found
}

fn once(tracer: &Path, net: &Net, folder: &Path, nth: usize, size: Size) -> Result<StormCost> {
    let mut together = Kind::TOGETHER;
    together.rotate_left(nth % Kind::TOGETHER.len());
    let surroundings = Surroundings {
        tracer,
        net,
        folder,
        size,
    };
    let mut storm = surroundings.storm(&together)?;
    let alone = Kind::BpftracePrints;
    storm.ns[alone as usize] = surroundings.storm(&[alone])?.ns[alone as usize];
    Ok(storm)
}

/// What every storm is made of.
struct Surroundings<'a> {
    tracer: &'a Path,
    net: &'a Net,
    folder: &'a Path,
    size: Size,
}

impl Surroundings<'_> {
    /// A storm through which these count.
    fn storm(&self, kinds: &[Kind]) -> Result<StormCost> {
        let start = |kind: &Kind| Ok((*kind, Contender::start(*kind, self.tracer, self.folder)?));
        let mut contenders = kinds.iter().map(start).collect::<Result<Vec<_>>>()?;
        thread::sleep(SETTLING);
        for (_, contender) in &mut contenders {
            contender.begin()?;
        }
        storm::run(self.net, self.size.bytes)?;
        storm::come_and_go(self.net, self.size.connections)?;

        let mut storm = StormCost::default();
        let mut calls = Vec::new();
        for (kind, contender) in &contenders {
            let hits = contender.hits()?;
            let ns = hits.ns_a_run();
            storm.ns[*kind as usize] =
                ns.with_context(|| format!("{} was never called", kind.name()))?;
            calls.push(hits.runs);
            if let Some(states) = contender.states()? {
                storm.states = states.runs;
                storm.state_ns = states.ns_a_run().context("no socket changed its state")?;
            }
        }
        storm.hits = calls.iter().min().copied().unwrap_or_default();
        let most = calls.iter().max().copied().unwrap_or_default();
        // Between the first and the last reading something else may have been retransmitted.
        ensure!(
            most - storm.hits <= 10 + most / 50,
            "not all of them saw the same storm: {calls:?} calls"
        );
        for (kind, contender) in contenders {
            let report = contender.end(kind)?;
            let place = match kind {
                Kind::TracerCounts => 0,
                Kind::TracerEvents => 1,
                _ => continue,
            };
            let report = Report::read(&file::read(&report)?)?;
            storm.cpu_ms[place] = report.overhead.cpu_ms;
            let (segments, difference) = counted(&report, self.net)?;
            if place == 0 {
                (storm.segments, storm.difference) = (segments, difference);
            }
        }
        Ok(storm)
    }
}

/// What the kernel counted where the storm was, and how far tracer's count is from that.
fn counted(report: &Report, net: &Net) -> Result<(u64, i64)> {
    let inode = stat(&net.host("primary")?.netns.path())?.st_ino;
    let mut namespaces = report.namespaces.iter();
    let ours = namespaces.find(|one| u64::from(one.netns) == inode);
    let ours = ours.context("tracer did not count where the storm was")?;
    let segments = ours.kernel_retrans_segs.context("no count of the kernel")?;
    let difference = ours.difference.context("no difference to that count")?;
    let allowed = withheld::segments(segments)?;
    ensure!(
        segments > 0 && (0..=allowed.cast_signed()).contains(&difference),
        "tracer's count of {} segments is not the kernel's, {segments}",
        ours.segments
    );
    Ok((segments, difference))
}

impl StormCost {
    fn ratio(&self, one: Kind, other: Kind) -> f64 {
        self.ns[one as usize] / self.ns[other as usize]
    }
}

fn spread(storms: &[StormCost], figure: impl Fn(&StormCost) -> f64) -> Option<Spread> {
    Spread::of(storms.iter().map(figure))
}

pub(super) fn tables(storms: &[StormCost]) -> [FigureTable; 3] {
    let title = format!("ns a hit, {} storms", storms.len());
    let of_bpftrace = "of bpftrace, counting";
    let mut costs = FigureTable::new([&title, "median", "least", "most", of_bpftrace]);
    for kind in Kind::ALL {
        let ns = spread(storms, |storm| storm.ns[kind as usize]).map(|it| it.cells(0));
        let ratio = spread(storms, |storm| storm.ratio(kind, Kind::BpftraceCounts));
        let ratio = ratio.map(|it| format!("{:.2}", it.median));
        costs.row(kind.name(), ns.into_iter().flatten().chain(ratio));
    }
    let mut bars = FigureTable::new(["in the same storms", "median", "least", "most", "bar"]);
    for (name, figure, digits, bar) in BARS {
        let cells = spread(storms, figure).map(|it| it.cells(digits));
        let bar = format!("{bar:.*}", digits.min(1));
        bars.row(name, cells.into_iter().flatten().chain([bar]));
    }
    let mut about = FigureTable::new(["a storm", "median", "least", "most"]);
    let whole: [(&str, StormFigure); 4] = [
        ("calls that retransmitted", |storm| storm.hits as f64),
        ("segments, by the kernel", |storm| storm.segments as f64),
        ("the kernel's count less tracer's", |storm| {
            storm.difference as f64
        }),
        ("changes of sockets' states", |storm| storm.states as f64),
    ];
    for (name, figure) in whole {
        let cells = spread(storms, figure).map(|it| {
            // Counts, which are whole.
            [it.median, it.least, it.most].map(|value| grouped(value as i128))
        });
        about.row(name, cells.into_iter().flatten());
    }
    let of_processor: [(&str, StormFigure); 2] = [
        ("tracer's processor time, ms", |storm| storm.cpu_ms[0]),
        ("the same with --events, ms", |storm| storm.cpu_ms[1]),
    ];
    for (name, figure) in of_processor {
        let cells = spread(storms, figure).map(|it| it.cells(1));
        about.row(name, cells.into_iter().flatten());
    }
    [costs, bars, about]
}

/// Which medians miss their bars.
pub(super) fn missed(storms: &[StormCost]) -> Vec<String> {
    let missed = BARS.iter().filter_map(|(name, figure, digits, bar)| {
        let median = spread(storms, figure)?.median;
        (median > *bar).then(|| format!("{name}: {median:.digits$}, and the bar is {bar}"))
    });
    missed.collect()
}

#[cfg(test)]
pub(super) fn sample() -> StormCost {
    StormCost {
        hits: 10_000,
        ns: [60.0, 600.0, 9_000.0, 300.0, 450.0],
        state_ns: 250.0,
        states: 30_000,
        segments: 12_345,
        difference: 0,
        cpu_ms: [20.0, 90.0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_the_storm_they_are_in() {
        // The machine becomes slower all the time, and the ratio stays.
        let storms: Vec<StormCost> = (1..6)
            .map(|nth| StormCost {
                ns: sample().ns.map(|ns| ns * f64::from(nth)),
                ..sample()
            })
            .collect();
        let [costs, bars, about] = tables(&storms).map(|table| table.markdown());
        assert!(
            costs.contains("| tracer | 900 | 300 | 1500 | 0.50 |"),
            "{costs}"
        );
        assert!(bars.contains("| 0.50 | 0.50 | 0.50 | 0.7 |"), "{bars}");
        assert!(bars.contains("| 250 | 250 | 250 | 400 |"), "{bars}");
        assert!(about.contains("| 12,345 |"), "{about}");
        assert!(missed(&storms).is_empty());
    }

    #[test]
    fn what_is_slower_than_it_may_be_is_named() {
        let slow = StormCost {
            ns: [60.0, 600.0, 9_000.0, 430.0, 900.0],
            state_ns: 401.0,
            ..sample()
        };
        assert_eq!(missed(&[slow]).len(), 3);
        assert_eq!(missed(&[sample(), slow, sample()]).len(), 0);
    }
}
