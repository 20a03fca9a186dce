//! Who waited for what, when: the samples of a primary as lengths of time.

use crate::evidence::thresholds::{
    MAX_INTERVALS_PER_SAMPLE, MAX_SHORT_WAIT_MS, MIN_BLOCKED_NS, MIN_SLOW_SAMPLES,
};
use crate::interval::Span;
use crate::recording::Recording;
use crate::report::sample::{Role, Sample, Wait};

/// What backends wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitKind {
    SyncRep,
    /// WAL reaching this server's disk.
    Wal,
    Lock,
}

impl WaitKind {
    /// All of them. Who waits for the first may keep others waiting for the next.
    pub(crate) const ALL: [Self; 3] = [Self::SyncRep, Self::Wal, Self::Lock];

    fn is(self, wait: &Wait) -> bool {
        // From 17 on, some are written `WalSync`.
        let event = |name: &str| wait.event.eq_ignore_ascii_case(name);
        match self {
            Self::SyncRep => event("SyncRep"),
            Self::Wal => event("WALSync") || event("WALWrite"),
            // An advisory lock is taken to keep others waiting: who leads holds it for hours,
            // and the others wait for their turn.
            Self::Lock => wait.kind == "Lock" && !event("advisory"),
        }
    }

    /// How many waited for it; `None` if that was not visible.
    pub(crate) fn waiters(self, sample: &Sample) -> Option<u32> {
        let waits = sample.waits.as_ref()?.iter();
        let of = waits.filter(|wait| self.is(wait));
        // What answers need not be a server, and says any numbers.
        Some(of.map(|wait| wait.backends).fold(0, u32::saturating_add))
    }

    /// Whether one of them may have waited for long.
    fn lasts(self, sample: &Sample) -> bool {
        let mut waits = sample.waits.iter().flatten();
        waits.any(|wait| self.is(wait) && wait.longest_ms.is_none_or(|ms| ms >= MAX_SHORT_WAIT_MS))
    }

    /// Whether one of them may have waited for so long that it was slow, as far as the server
    /// says since when.
    fn is_slow(self, sample: &Sample, slow_ms: f64) -> bool {
        let mut waits = sample.waits.iter().flatten();
        waits.any(|wait| self.is(wait) && wait.longest_ms.is_some_and(|ms| ms >= slow_ms))
    }
}

/// The time that a sample of a primary speaks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SampleInterval<'a> {
    pub(crate) index: usize,
    /// From the sample before.
    pub(crate) span: Span,
    pub(crate) sample: &'a Sample,
    pub(crate) before: Option<&'a Sample>,
}

/// The samples of a primary within the run.
pub(crate) fn sample_intervals<'a>(recorded: &'a Recording) -> Vec<SampleInterval<'a>> {
    let samples = recorded.samples();
    let window = recorded.window();
    let every_ns = recorded.sampled_every_ns();
    let mut intervals = Vec::with_capacity(samples.len());
    let mut before: Option<&Sample> = None;
    for (index, sample) in samples.iter().enumerate() {
        let earliest = sample
            .at_ns
            .saturating_sub(MAX_INTERVALS_PER_SAMPLE * every_ns);
        let from_ns = before.map_or(sample.at_ns.saturating_sub(every_ns), |one| one.at_ns);
        let near = before.filter(|one| one.at_ns >= earliest);
        if sample.role == Role::Primary && window.has(sample.at_ns) {
            intervals.push(SampleInterval {
                index,
                span: Span {
                    from_ns: from_ns.max(earliest).max(window.from_ns),
                    to_ns: sample.at_ns,
                },
                sample,
                before: near.filter(|one| one.role == Role::Primary),
            });
        }
        before = Some(sample);
    }
    intervals
}

/// Whether the probe's commits were slow at that time; `None` without a probe.
pub(crate) fn slow(recorded: &Recording, span: Span) -> Option<bool> {
    let steps = recorded.probe()?.commits;
    let mut there = overlapping(steps, span, recorded.interval_ns()).peekable();
    there.peek()?;
    Some(there.any(|step| recorded.is_slow(step)))
}

/// How long commits took at that time, typically, ms: the median of the probe's medians, or
/// else of those that were slow. Where one is still waiting, they take longer than those that
/// were answered.
pub(crate) fn typical_ms(recorded: &Recording, span: Span) -> Option<f64> {
    let mut took: Vec<f64> = match recorded.probe() {
        Some(probe) => overlapping(probe.commits, span, recorded.interval_ns())
            .filter_map(|step| {
                let both = step.latency.p50_ms.into_iter().chain(step.oldest_ms);
                both.reduce(f64::max)
            })
            .collect(),
        None => {
            let slow = recorded.sampled_slow_commits();
            let there = slow.filter(|one| one.whole.covered_ns(&[span]) > 0);
            there.map(|one| one.whole.seconds() * 1e3).collect()
        }
    };
    took.sort_unstable_by(f64::total_cmp);
    took.get(took.len() / 2).copied()
}

fn overlapping(
    steps: &[crate::recording::latency::LatencyInterval],
    span: Span,
    interval_ns: u64,
) -> impl Iterator<Item = &crate::recording::latency::LatencyInterval> {
    let first = steps.partition_point(|step| step.at_ns <= span.from_ns);
    steps[first..]
        .iter()
        .take_while(move |step| step.at_ns.saturating_sub(interval_ns) < span.to_ns)
}

/// The sample intervals that waits of this kind blocked: seen again and again for
/// at least a second, and mostly not short ones, or slow ones for as long; or while the
/// probe's commits were slow.
pub(crate) fn blocked<'a>(
    recorded: &Recording,
    intervals: &[SampleInterval<'a>],
    kind: WaitKind,
) -> Vec<SampleInterval<'a>> {
    let waits = |one: &SampleInterval<'_>| kind.waiters(one.sample).unwrap_or(0) > 0;
    let mut held = Vec::new();
    let mut rest = intervals;
    while let Some(from) = rest.iter().position(waits) {
        let run = &rest[from..];
        let ends = |two: &[SampleInterval<'_>]| !waits(&two[1]) || two[1].before.is_none();
        let length = run.windows(2).position(ends).map_or(run.len(), |at| at + 1);
        let (run, behind) = run.split_at(length);
        // Of waits that are over at once, one or another sample catches a longer one.
        let lasting = run.iter().filter(|one| kind.lasts(one.sample)).count();
        if 2 * lasting > length && is_long(run) {
            held.extend(run);
        } else {
            held.extend(among_short_ones(recorded, run, kind));
        }
        rest = behind;
    }
    held
}

/// Whether these, which follow each other, are long enough to block something.
fn is_long(run: &[SampleInterval<'_>]) -> bool {
    let ends = run.first().zip(run.last());
    ends.is_some_and(|(first, last)| last.span.to_ns - first.span.to_ns >= MIN_BLOCKED_NS)
}

/// Those in which a busy primary was blocked, all of whose samples show some wait.
fn among_short_ones<'a>(
    recorded: &Recording,
    run: &[SampleInterval<'a>],
    kind: WaitKind,
) -> Vec<SampleInterval<'a>> {
    let slow_ms = recorded.slow_ms();
    let is_slow = |one: &SampleInterval<'_>| kind.is_slow(one.sample, slow_ms);
    let stretches = run.chunk_by(|a, b| is_slow(a) == is_slow(b));
    let held = stretches.flat_map(|some| {
        let in_a_row = is_slow(&some[0]) && some.len() >= MIN_SLOW_SAMPLES && is_long(some);
        some.iter().filter(move |one| match kind {
            // A probe stands in line with everybody who waits for the WAL, and not with
            // those who wait for somebody's lock.
            WaitKind::Lock => in_a_row,
            // How long a statement has been in flight is no less than how long it waited:
            // where it is known that commits were not slow, it was something else.
            WaitKind::SyncRep | WaitKind::Wal => slow(recorded, one.span).unwrap_or(in_a_row),
        })
    });
    held.copied().collect()
}

/// Time that backends have waited in all of them together, s.
pub(crate) fn waited_s<'a>(
    intervals: impl Iterator<Item = &'a SampleInterval<'a>>,
    kind: WaitKind,
) -> f64 {
    let waited = |one: &SampleInterval<'_>| {
        f64::from(kind.waiters(one.sample).unwrap_or(0)) * one.span.seconds()
    };
    intervals.map(waited).sum()
}

/// How long they are in all, s.
pub(crate) fn duration_s<'a>(intervals: impl Iterator<Item = &'a SampleInterval<'a>>) -> f64 {
    intervals.map(|one| one.span.seconds()).sum()
}

/// The sample with the most waiters, by its number, and how many.
pub(crate) fn most_waiters<'a>(
    intervals: impl Iterator<Item = &'a SampleInterval<'a>>,
    kind: WaitKind,
) -> Option<(usize, u32)> {
    let counted = intervals.filter_map(|one| Some((one.index, kind.waiters(one.sample)?)));
    counted.max_by_key(|(_, waiters)| *waiters)
}
