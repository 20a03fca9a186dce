//! What a run leaves behind to be judged.

pub mod bad_checksums;
pub mod commits;
pub mod database;
pub mod flow_table;
pub mod latency;
pub mod loss_recovery;
pub mod outage;
pub mod probe;
pub mod processors;
pub mod programs;
pub mod roles;
pub mod standby;
pub mod tcp_info;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::interval::Span;
use crate::report::sample::Sample;
use bad_checksums::Damaged;
use roles::Kind;
use tcp_info::Reading;

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
    pub series: &'a [flow_table::Step],
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
    pub commits: &'a [latency::Step],
    /// Of reads.
    pub reads: &'a [latency::Step],
}

impl Track<'_> {
    /// TODODOC
    #[must_use]
    pub fn is_replication(&self) -> bool {
        self.role.is_replication()
    }
}

impl Recorded<'_> {
    /// TODODOC
    #[must_use]
    pub fn window(&self) -> Span {
        Span {
            from_ns: self.start_ns,
            to_ns: self.end_ns,
        }
    }

    /// TODODOC
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        self.postgres.as_ref().map_or(&[], |one| one.samples)
    }

    /// TODODOC
    #[must_use]
    pub fn probe(&self) -> Option<Probed<'_>> {
        self.postgres.as_ref()?.probe
    }

    /// Whether an interval of the probe had a slow request.
    /// TODODOC
    #[must_use]
    pub fn is_slow(&self, step: &latency::Step) -> bool {
        [step.latency.max_ms, step.oldest_ms]
            .into_iter()
            .flatten()
            .any(|ms| ms >= self.slow_ms)
    }
}
