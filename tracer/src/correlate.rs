//! The network and the database on one clock: phases of a run with their figures,
//! and what the waiting was for.
//!
//! Pure: from what was recorded. Findings are made of the whole run, and know
//! neither of phases nor of what was broken on purpose: what the data do not show is
//! not found.

mod change;
mod finding;
mod judge;
mod links;
mod phase;
mod recovery;
mod silence;
mod starved;
mod wait;
mod way;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::damage::Damaged;
use crate::flow;
use crate::path::Reading;
use crate::postgres::probe::tally;
use crate::postgres::processors;
use crate::postgres::role::Kind;
use crate::postgres::sample::Sample;

pub use finding::{Cause, Confidence, Finding, Size};
pub use judge::findings;
pub use links::hold_commits;
pub use phase::{
    Choice, ChosenBy, Figures, KindRates, Name, Phase, Rates, Requests, Signal, phases,
};

/// What a run has recorded. Moments are ns of `CLOCK_MONOTONIC`; the order of flows
/// and samples is that of the report.
#[derive(Debug, Clone)]
pub struct Recorded<'a> {
    /// When counting began.
    pub start_ns: u64,
    /// When the last reading was taken.
    pub end_ns: u64,
    /// Time between two looks.
    pub interval_ns: u64,
    /// Every flow.
    pub flows: Vec<Track<'a>>,
    /// What arrived damaged; `None` where that is not seen.
    pub damaged: Option<&'a [Damaged]>,
    /// How many the kernel says arrived damaged in the traced namespaces, from every
    /// peer; `None` if it does not say so of each.
    pub refused: Option<u64>,
    /// The peers that the filter keeps, if each is a single host.
    pub peers: Vec<IpAddr>,
    /// The servers on this host, and what they had of its processors.
    pub processors: &'a [processors::Track],
    /// What a commit takes that is slow, ms.
    pub slow_ms: f64,
    /// Commits that were slow, if commits were split.
    pub slow: Option<Vec<SlowCommit>>,
    /// The database, if it was watched.
    pub postgres: Option<Database<'a>>,
}

/// What is known of a flow.
#[derive(Debug, Clone)]
pub struct Track<'a> {
    /// What it is for.
    pub role: Kind,
    /// This host's end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// What to call the other end.
    pub name: String,
    /// What was retransmitted, by interval.
    pub series: &'a [flow::Step],
    /// What its socket told of the way, look by look.
    pub path: &'a [Reading],
    /// The largest retransmission timeout at a retransmit.
    pub rto_max_ms: Option<f64>,
    /// How often it had doubled in a row, at most.
    pub backoff_max: Option<u32>,
}

/// By network namespace, when the replication of a primary there was recovering from a
/// loss: in order, and apart from each other.
pub type Recoveries = BTreeMap<u32, Vec<Span>>;

/// A commit that was slow, and its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowCommit {
    /// Its server's first process.
    pub server: u32,
    /// From its start to its end.
    pub whole: Span,
    /// Of which it brought its log to the disk for, ns.
    pub flush_ns: u64,
    /// Of which it waited for a standby.
    pub wait: Span,
    /// Of which the replication was recovering from a loss for, ns; `None` if it was
    /// not traced.
    pub in_recovery_ns: Option<u64>,
}

/// What is known of the database.
#[derive(Debug, Clone)]
pub struct Database<'a> {
    /// What it has in common with its standbys and with no other server.
    pub system_identifier: Option<u64>,
    /// The series.
    pub samples: &'a [Sample],
    /// Time between two of them: in a very long run, not every look is kept.
    pub every_ns: u64,
    /// The commit probe's intervals, if there was one.
    pub probe: Option<Probed<'a>>,
}

/// What the commit probe measured.
#[derive(Debug, Clone, Copy)]
pub struct Probed<'a> {
    /// Of commits.
    pub commits: &'a [tally::Step],
    /// Of reads.
    pub reads: &'a [tally::Step],
}

/// A length of time, from a moment on and up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its start.
    pub from_ns: u64,
    /// Its end.
    pub to_ns: u64,
}

impl Span {
    /// How long it is.
    #[must_use]
    pub fn length_ns(self) -> u64 {
        self.to_ns.saturating_sub(self.from_ns)
    }

    /// How long, in seconds.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.length_ns() as f64 / 1e9
    }

    /// Whether an interval that ended then belongs to it.
    #[must_use]
    pub fn has(self, end_ns: u64) -> bool {
        self.from_ns < end_ns && end_ns <= self.to_ns
    }

    /// Those of them that overlap or touch as one, in order.
    #[must_use]
    pub fn apart(mut spans: Vec<Self>) -> Vec<Self> {
        spans.sort_unstable_by_key(|span| (span.from_ns, span.to_ns));
        let mut found: Vec<Self> = Vec::with_capacity(spans.len());
        for span in spans {
            match found.last_mut() {
                Some(last) if span.from_ns <= last.to_ns => {
                    last.to_ns = last.to_ns.max(span.to_ns);
                }
                _ => found.push(span),
            }
        }
        found
    }

    /// How much of it these cover, ns; they are in order and do not overlap.
    #[must_use]
    pub fn covered_ns(self, spans: &[Self]) -> u64 {
        let common = |span: &Self| Self {
            from_ns: span.from_ns.max(self.from_ns),
            to_ns: span.to_ns.min(self.to_ns),
        };
        let first = spans.partition_point(|span| span.to_ns <= self.from_ns);
        let there = spans[first..].iter();
        there
            .take_while(|span| span.from_ns < self.to_ns)
            .map(|span| common(span).length_ns())
            .sum()
    }
}

impl Track<'_> {
    fn is_replication(&self) -> bool {
        self.role.is_replication()
    }
}

impl Recorded<'_> {
    fn window(&self) -> Span {
        Span {
            from_ns: self.start_ns,
            to_ns: self.end_ns,
        }
    }

    fn samples(&self) -> &[Sample] {
        self.postgres.as_ref().map_or(&[], |one| one.samples)
    }

    fn probe(&self) -> Option<Probed<'_>> {
        self.postgres.as_ref()?.probe
    }

    /// Whether an interval of the probe had a slow request.
    fn is_slow(&self, step: &tally::Step) -> bool {
        [step.latency.max_ms, step.oldest_ms]
            .into_iter()
            .flatten()
            .any(|ms| ms >= self.slow_ms)
    }
}
