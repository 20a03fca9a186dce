//! When the server that was watched, or its standby where both are on this host, had no
//! processor: its processes were ready to run, and others ran.

use crate::evidence::thresholds::{MIN_STARVED_SHARE, STARVATION_WINDOW_NS};
use crate::interval::Span;
use crate::recording::Recording;
use crate::recording::processors::{CpuHistory, CpuInterval};

/// A server that had none for some time.
#[derive(Debug, Clone)]
pub(crate) struct StarvedServer<'a> {
    /// Its number in the report.
    pub(crate) index: usize,
    pub(crate) track: &'a CpuHistory,
    /// Intervals in which it was so, in order.
    steps: Vec<CpuInterval>,
    /// The same as lengths of time.
    spans: Vec<Span>,
}

impl StarvedServer<'_> {
    /// Whether it was so for most of that time.
    pub(crate) fn is_at(&self, span: Span) -> bool {
        2 * span.covered_ns(&self.spans) >= span.length_ns()
    }

    /// For how long its processes waited and ran within intervals that overlap, s.
    pub(crate) fn waited_and_ran_s(&self, spans: &[Span]) -> (f64, f64) {
        let overlaps = |step: &&CpuInterval| of(step).covered_ns(spans) > 0;
        let inside = self.steps.iter().filter(overlaps);
        let (waited, ran) = inside.fold((0, 0), |(waited, ran), step| {
            (waited + step.waited_ns, ran + step.ran_ns)
        });
        (waited as f64 / 1e9, ran as f64 / 1e9)
    }
}

fn of(step: &CpuInterval) -> Span {
    Span {
        from_ns: step.from_ns,
        to_ns: step.at_ns,
    }
}

/// Servers that had no processor at some time. Others that happen to run here are no
/// concern of those who commit.
pub(crate) fn starved<'a>(recorded: &'a Recording) -> Vec<StarvedServer<'a>> {
    let watched = recorded.system_identifier();
    let slow = recorded.slow_commits.as_deref().unwrap_or_default();
    let is_watched = |track: &CpuHistory| {
        let asked = watched.is_some() && track.system_identifier == watched;
        asked || slow.iter().any(|commit| commit.server == track.pid)
    };
    let without = |step: &&CpuInterval| {
        let long_ns = of(step).length_ns();
        step.waited_ns as f64 >= MIN_STARVED_SHARE * long_ns as f64 && step.waited_ns >= step.ran_ns
    };
    let tracks = recorded.processors().iter().enumerate();
    let tracks = tracks.filter(|(_, track)| is_watched(track));
    let found = tracks.map(|(index, track)| {
        let steps = together(&track.steps);
        let steps: Vec<CpuInterval> = steps.iter().filter(without).copied().collect();
        StarvedServer {
            index,
            track,
            spans: steps.iter().map(of).collect(),
            steps,
        }
    });
    found.filter(|one| !one.steps.is_empty()).collect()
}

fn together(steps: &[CpuInterval]) -> Vec<CpuInterval> {
    let mut found: Vec<CpuInterval> = Vec::new();
    for step in steps {
        match found.last_mut() {
            Some(last)
                if of(last).length_ns() < STARVATION_WINDOW_NS && last.at_ns == step.from_ns =>
            {
                last.at_ns = step.at_ns;
                last.ran_ns += step.ran_ns;
                last.waited_ns += step.waited_ns;
            }
            _ => found.push(*step),
        }
    }
    found
}
