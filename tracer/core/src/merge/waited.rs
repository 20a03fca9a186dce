//! When commits waited for a standby, and what else a report shows of that time.

use crate::evidence::loss_episode::{LOSSES, episodes, seen};
use crate::evidence::thresholds::{MAX_SHORT_WAIT_MS, MIN_STARVED_SHARE};
use crate::interval::Span;
use crate::report::Report;
use crate::report::processors::ProcessorsReport;
use crate::report::sample::Sample;

/// When commits waited for a standby.
pub(crate) struct Waited {
    /// On the clock of the other host's report, ns from its start.
    spans: Vec<Span>,
    total_ns: u64,
}

impl Waited {
    /// By the report of the host that saw it; `shift_s` is from the start of the other's window
    /// to the start of this one's, `None` if the clocks cannot be compared.
    pub(crate) fn of(primary: &Report, shift_s: Option<f64>) -> Self {
        let Some(shift_s) = shift_s else {
            return Self {
                spans: Vec::new(),
                total_ns: 0,
            };
        };
        let moved = |from_s: f64, to_s: f64| Span {
            from_ns: ns(from_s + shift_s),
            to_ns: ns(to_s + shift_s),
        };
        let asked = AskedServer::of(primary);
        let commits = primary.commits.iter().flat_map(|one| &one.slow);
        let slow = commits.filter(|one| asked.is(one.server_pid)).map(|one| {
            let to_s = one.offset_s + one.total_ms / 1e3;
            moved(to_s - one.wait_ms / 1e3, to_s)
        });
        let mut slow: Vec<Span> = slow.collect();
        // What had not ended by then waited, too.
        let end_s = primary.window.duration_s;
        let servers = primary.commits.iter().flat_map(|one| &one.servers);
        let waiting = servers.filter(|one| asked.is(one.pid) && one.waiting > 0);
        slow.extend(waiting.filter_map(|one| {
            let longest_ms = one
                .waiting_longest_ms
                .filter(|ms| *ms > MAX_SHORT_WAIT_MS)?;
            Some(moved(end_s - longest_ms / 1e3, end_s))
        }));
        let samples: Vec<_> = primary
            .postgres
            .iter()
            .flat_map(|one| &one.series)
            .collect();
        // A busy primary has somebody who waits in each sample, and not for long.
        let is_long = |one: &Sample| {
            let longest_ms = one.sync_rep_longest_ms.unwrap_or(f64::INFINITY);
            one.sync_rep_waiters > Some(0) && longest_ms > MAX_SHORT_WAIT_MS
        };
        let waiting = samples.windows(2).filter_map(|pair| match pair {
            [before, at] if is_long(&at.sample) => Some(moved(before.offset_s, at.offset_s)),
            _ => None,
        });
        let spans = match slow.is_empty() {
            true => waiting.collect(),
            false => slow,
        };
        let spans = Span::apart(spans);
        let total_ns = spans
            .iter()
            .fold(0_u64, |sum, one| sum.saturating_add(one.length_ns()));
        Self { spans, total_ns }
    }

    /// Whether commits waited during any of a step of the other report; of all if it is not known
    /// when.
    pub(crate) fn has(&self, end_s: f64, length_s: f64) -> bool {
        let step = Span {
            from_ns: ns(end_s - length_s),
            to_ns: ns(end_s),
        };
        self.spans.is_empty() || step.covered_ns(&self.spans) > 0
    }

    /// How much of it these cover, 0 to 1; 0 if nobody waited.
    pub(crate) fn share(&self, spans: &[Span]) -> f64 {
        if self.total_ns == 0 {
            return 0.0;
        }
        let covered = self.spans.iter().map(|one| one.covered_ns(spans));
        covered.fold(0_u64, u64::saturating_add) as f64 / self.total_ns as f64
    }
}

/// Which server of a host was asked for samples (`--pg`), where several have their commits traced.
pub(crate) struct AskedServer {
    /// Its first process; empty if that is not known.
    pids: Vec<u32>,
}

impl AskedServer {
    pub(crate) fn of(report: &Report) -> Self {
        let asked = report.postgres.as_ref();
        let identifier = asked.and_then(|one| one.system_identifier.as_ref());
        let servers = report.processors.iter().flatten();
        let same = servers.filter(|one| {
            let own = one.system_identifier.as_ref();
            own.is_some() && own == identifier
        });
        Self {
            pids: same.map(|one| one.pid).collect(),
        }
    }

    /// Whether it is this one; any is where that is not known.
    pub(crate) fn is(&self, pid: u32) -> bool {
        self.pids.is_empty() || self.pids.contains(&pid)
    }
}

/// A moment of a report as ns from its start; what was before is none.
pub(crate) fn ns(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e9) as u64
}

/// When the replication of this host was not done with a loss, by what was retransmitted here on
/// these flows.
pub(crate) fn losses(report: &Report, flows: &[usize]) -> Vec<Span> {
    let flows = flows.iter().filter_map(|at| report.flows.get(*at));
    let lossy = flows.flat_map(|flow| &flow.series).filter(|step| {
        let mut kinds = LOSSES.iter();
        kinds.any(|kind| step.by_kind.of(*kind) > 0)
    });
    let mut ends: Vec<u64> = lossy.map(|step| ns(step.offset_s)).collect();
    ends.sort_unstable();
    ends.dedup();
    Span::apart(seen(&episodes(
        ends.into_iter(),
        ns(report.request.interval_s),
    )))
}

/// When somebody of this server was ready to run nearly all the time, and ran less.
pub(crate) fn without_processor(server: &ProcessorsReport) -> Vec<Span> {
    let without = server.series.iter().filter(|step| {
        step.waited_ms >= MIN_STARVED_SHARE * step.duration_s * 1e3 && step.waited_ms >= step.ran_ms
    });
    let spans = without.map(|step| Span {
        from_ns: ns(step.offset_s - step.duration_s),
        to_ns: ns(step.offset_s),
    });
    Span::apart(spans.collect())
}
