//! Phases of a run, and what each of them was like.

mod change_point;

use crate::evidence::blocked::{WaitKind, sample_intervals};
use crate::evidence::links::Links;
use crate::evidence::loss_episode;
use crate::interval::Span;
use crate::recording::Recording;
use crate::recording::flow_history::FlowHistory;
use crate::recording::flow_interval::FlowInterval;
use crate::recording::latency::{Latencies, LatencyInterval};
use crate::report::phase::{ChosenBy, Figures, Name, PhaseRequests, Rates, Signal};
use crate::report::role;

/// More values than this are looked at together.
const MOST_VALUES: usize = 1_500;
/// And so are those of so long: in bad times some commits are fast, too.
const TOGETHER_NS: u64 = 1_000_000_000;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    /// When something was broken on purpose.
    Fault(Span),
    /// What was asked for: lengths of the first and of the second phase, ns.
    Asked(u64, u64),
    /// The series.
    #[default]
    Series,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Phase {
    pub(crate) name: Name,
    pub(crate) span: Span,
    pub(crate) chosen_by: ChosenBy,
    /// In which series, if by one.
    pub(crate) found_in: Option<Signal>,
    pub(crate) figures: Figures,
}

/// The phases of a run, in order; they cover it, and an interval belongs to the one
/// in which it ends.
pub(crate) fn phases(recorded: &Recording, choice: Choice) -> Vec<Phase> {
    let window = recorded.window();
    let (inner, chosen_by, found_in) = match choice {
        Choice::Fault(span) => (Some(span), ChosenBy::FaultWindow, None),
        Choice::Asked(before_ns, lasts_ns) => {
            let from_ns = window.from_ns.saturating_add(before_ns);
            let to_ns = from_ns.saturating_add(lasts_ns);
            (Some(Span { from_ns, to_ns }), ChosenBy::Request, None)
        }
        Choice::Series => match found(recorded) {
            Some((span, signal)) => (Some(span), ChosenBy::ChangePoint, Some(signal)),
            None => (None, ChosenBy::Nothing, None),
        },
    };
    let parts = match inner {
        None => vec![(Name::Whole, window)],
        Some(inner) => {
            let within = |at_ns: u64| at_ns.clamp(window.from_ns, window.to_ns);
            let (from_ns, to_ns) = (within(inner.from_ns), within(inner.to_ns));
            let part = |name, from_ns, to_ns| (name, Span { from_ns, to_ns });
            vec![
                part(Name::Baseline, window.from_ns, from_ns),
                part(Name::Fault, from_ns, to_ns),
                part(Name::Recovery, to_ns, window.to_ns),
            ]
        }
    };
    let sync_rep = SyncRepWaits::new(recorded);
    parts
        .into_iter()
        .filter(|(_, span)| span.length_ns() > 0)
        .map(|(name, span)| Phase {
            name,
            span,
            chosen_by,
            found_in,
            figures: figures(recorded, &sync_rep, name, span),
        })
        .collect()
}

/// The time in which one of the series was higher than otherwise: what commits felt
/// first, what was on the network last.
fn found(recorded: &Recording) -> Option<(Span, Signal)> {
    let commits = recorded.probe().map_or(&[][..], |probe| probe.commits);
    let latencies = commits
        .iter()
        .filter_map(|step| Some((step.at_ns, step.slowest_ms()?)));
    let waiters = recorded.samples().iter().filter_map(|sample| {
        let waiters = WaitKind::SyncRep.waiters(sample)?;
        Some((sample.at_ns, f64::from(waiters)))
    });
    let signals = [
        (Signal::CommitLatency, latencies.collect()),
        (Signal::SyncRepWaiters, waiters.collect()),
        (Signal::Retransmits, retransmits(recorded)),
    ];
    let window = recorded.window();
    signals.into_iter().find_map(|(signal, mut values)| {
        values.retain(|(at_ns, _)| window.has(*at_ns));
        Some((higher(&values, recorded.interval_ns(), window)?, signal))
    })
}

/// What all flows retransmitted because of a loss, at every interval of the run.
fn retransmits(recorded: &Recording) -> Vec<(u64, f64)> {
    let window = recorded.window();
    let width_ns = recorded
        .interval_ns()
        .max(window.length_ns() / MOST_VALUES as u64)
        .max(1);
    let count = window.length_ns().div_ceil(width_ns);
    let ends = (1..=count).map(|number| window.to_ns.min(window.from_ns + number * width_ns));
    let mut values: Vec<(u64, f64)> = ends.map(|end_ns| (end_ns, 0.0)).collect();
    for step in recorded.steps() {
        // What ends at a border belongs before it.
        let index = step.at_ns.saturating_sub(window.from_ns + 1) / width_ns;
        let value = usize::try_from(index)
            .ok()
            .and_then(|index| values.get_mut(index));
        if let Some((_, value)) = value {
            *value += loss_episode::loss_retransmits(step) as f64;
        }
    }
    values
}

/// The higher stretch of a series, as a part of the window.
fn higher(values: &[(u64, f64)], interval_ns: u64, window: Span) -> Option<Span> {
    let shortest = usize::try_from(TOGETHER_NS / interval_ns.max(1)).unwrap_or(usize::MAX);
    let together = values.len().div_ceil(MOST_VALUES).max(shortest).max(1);
    let groups: Vec<(u64, f64)> = values
        .chunks(together)
        .filter_map(|chunk| {
            let highest = chunk.iter().map(|(_, value)| *value).fold(0.0, f64::max);
            Some((chunk.last()?.0, highest))
        })
        .collect();
    let levels: Vec<f64> = groups.iter().map(|(_, value)| *value).collect();
    let (from, to) = change_point::higher_stretch(&levels)?;
    let end_of = |count: usize| count.checked_sub(1).and_then(|last| groups.get(last));
    Some(Span {
        from_ns: end_of(from).map_or(window.from_ns, |(at_ns, _)| *at_ns),
        to_ns: match to == groups.len() {
            true => window.to_ns,
            false => end_of(to).map_or(window.to_ns, |(at_ns, _)| *at_ns),
        },
    })
}

fn figures(recorded: &Recording, sync_rep: &SyncRepWaits, name: Name, span: Span) -> Figures {
    // All of a run was read at both of its ends, however short it is.
    let is_measured = name == Name::Whole || span.length_ns() >= recorded.interval_ns();
    let seconds = is_measured.then(|| span.seconds());
    let some = |which: fn(role::Kind) -> bool| {
        let flows = recorded.flows.iter().filter(|flow| which(flow.kind()));
        let groups = recorded.groups.each();
        let groups = groups.filter(|(key, _)| which(key.kind));
        let mut series = flows
            .map(|flow| &flow.series)
            .chain(groups.map(|(_, group)| &group.series))
            .peekable();
        series
            .peek()
            .is_some()
            .then(|| rates(series.flatten(), span, seconds))
    };
    let in_span = recorded.samples().iter().filter(|one| span.has(one.at_ns));
    let samples: Vec<_> = in_span.collect();
    let waiters = |kind: WaitKind| {
        let counts = samples.iter().filter_map(|sample| kind.waiters(sample));
        counts.max()
    };
    let standbys = || samples.iter().flat_map(|sample| &sample.standbys);
    let steps = |steps: &[LatencyInterval]| requests(steps, span, seconds);
    let (sync_rep_s, in_recovery) = sync_rep.within(span);
    Figures {
        replication: some(role::Kind::is_replication),
        clients: some(|kind| kind == role::Kind::Client),
        selected: rates(recorded.steps(), span, seconds),
        arrived_damaged: recorded.bad_checksums.as_ref().map(|steps| {
            let inside = steps.iter().filter(|step| span.has(step.at_ns));
            inside.map(|step| step.segments).sum()
        }),
        commits: recorded.probe().and_then(|probe| steps(probe.commits)),
        reads: recorded.probe().and_then(|probe| steps(probe.reads)),
        flush_lag_bytes_max: standbys().filter_map(|one| one.flush_lag_bytes).max(),
        reply_age_ms_max: standbys()
            .filter_map(|one| one.reply_age_ms)
            .reduce(f64::max),
        sync_rep_waiters_max: waiters(WaitKind::SyncRep),
        wal_waiters_max: waiters(WaitKind::Wal),
        lock_waiters_max: waiters(WaitKind::Lock),
        sync_rep_s,
        sync_rep_in_recovery_percent: in_recovery,
    }
}

fn rates(steps: impl Iterator<Item = FlowInterval>, span: Span, seconds: Option<f64>) -> Rates {
    let mut all = FlowInterval::default();
    for step in steps.filter(|step| span.has(step.at_ns)) {
        all.add(&step);
    }
    let by_kind = all.segments;
    let segments: u64 = by_kind.iter().sum();
    Rates {
        segments,
        per_s: seconds.map(|seconds| segments as f64 / seconds),
        by_kind_per_s: seconds
            .map(|seconds| by_kind.map(|segments| segments as f64 / seconds).into()),
    }
}

fn requests(steps: &[LatencyInterval], span: Span, seconds: Option<f64>) -> Option<PhaseRequests> {
    let first = steps.partition_point(|step| step.at_ns <= span.from_ns);
    let last = steps.partition_point(|step| step.at_ns <= span.to_ns);
    let steps = steps.get(first..last).filter(|steps| !steps.is_empty())?;
    let sum = |of: fn(&LatencyInterval) -> u64| steps.iter().map(of).sum::<u64>();
    let answered = sum(|step| step.answered);
    Some(PhaseRequests {
        answered,
        answered_per_s: seconds.map(|seconds| answered as f64 / seconds),
        failed: sum(|step| step.failed),
        not_started: sum(|step| step.not_started),
        latency: Latencies::merged(steps.iter()),
    })
}

/// When somebody waited for a standby, by sample, and when its replication was in recovery.
struct SyncRepWaits {
    /// By sample, and whether somebody waited.
    samples: Vec<(Span, bool)>,
    /// `None` if no replication was traced.
    recovery: Option<Vec<Span>>,
}

impl SyncRepWaits {
    fn new(recorded: &Recording) -> Self {
        let intervals = sample_intervals(recorded);
        let samples = intervals.iter().filter_map(|one| {
            let waiters = WaitKind::SyncRep.waiters(one.sample)?;
            Some((one.span, waiters > 0))
        });
        let links = Links::new(recorded);
        let flows = links.serving(&intervals);
        let flows = flows.filter_map(|flow| recorded.flows.get(flow));
        let is_traced = recorded.flows.iter().any(FlowHistory::is_replication);
        Self {
            samples: samples.collect(),
            recovery: is_traced
                .then(|| loss_episode::seen(&loss_episode::of_flows(recorded, flows))),
        }
    }

    /// Time with somebody waiting, s, and how much of it the replication was in recovery, per
    /// cent.
    fn within(&self, span: Span) -> (Option<f64>, Option<f64>) {
        let inside = || self.samples.iter().filter(|(one, _)| span.has(one.to_ns));
        if inside().next().is_none() {
            return (None, None);
        }
        let waiting = || inside().filter(|(_, waited)| *waited).map(|(one, _)| one);
        let all_ns: u64 = waiting().map(|one| one.length_ns()).sum();
        let recovery = self.recovery.as_ref().filter(|_| all_ns > 0);
        let percent = recovery.map(|spans| {
            let covered_ns: u64 = waiting().map(|one| one.covered_ns(spans)).sum();
            100.0 * covered_ns as f64 / all_ns as f64
        });
        (Some(all_ns as f64 / 1e9), percent)
    }
}
