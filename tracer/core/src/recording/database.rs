//! What a run has learnt of a server.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::recording::outage::{SamplingOutage, SamplingOutages};
use crate::recording::peers::{Peers, ReplicationPeer};
use crate::recording::probe::Outcome;
use crate::recording::roles::Known;
use crate::recording::standby::Standbys;
use crate::recording::thinning::thin;
use crate::report::sample::{Receiver, Role, Sample, Standby};
use crate::report::statements::{Account, Origin};

/// The most samples that are kept: beyond, every second one goes and only every
/// second one comes, so that a run of any length has a series and fits in memory.
const MOST_SAMPLES: usize = 20_000;
/// What is missing where the server does not track what backends do.
const UNTRACKED: &str = "track_activities is off for backends of this server: how many are active, and since when they wait for a standby, is not known; `ALTER SYSTEM SET track_activities = on` and a reload help, unless a role or a database has it off for itself";
/// The most connections of standbys that are remembered.
const MOST_PEERS: usize = 4_096;

/// What a server says of itself when we connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Major version.
    pub major: u32,
    /// Version as the server writes it.
    pub version: String,
    /// Who we are there.
    pub user: String,
    /// Whether we may see everybody's statistics.
    pub sees_all: bool,
    /// The port that it listens on.
    pub port: Option<u16>,
    /// What it is.
    pub role: Role,
    /// What it has in common with its standbys and with no other server.
    pub system_identifier: Option<u64>,
}

impl Greeting {
    /// What is not seen for lack of rights, and the remedy.
    pub fn missing(&self) -> Option<String> {
        (!self.sees_all).then(|| {
            let user = crate::text::name(&self.user);
            format!(
                "role {user} may not see other roles' statistics: lags, names and states of \
                 standbys, waits and the receiver are missing; `GRANT pg_monitor TO {user}` helps"
            )
        })
    }
}

/// What the server was from when on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    /// The first sample that showed it, ns of `CLOCK_MONOTONIC`.
    pub(crate) at_ns: u64,
    pub(crate) role: Role,
    pub(crate) timeline: Option<u32>,
}

/// Everything that was learnt.
#[derive(Debug)]
pub struct DatabaseRecord {
    /// Whom we asked, without the password.
    pub(crate) target: String,
    /// The last greeting.
    pub greeting: Option<Greeting>,
    pub(crate) turns: Vec<Turn>,
    /// The series.
    pub samples: Vec<Sample>,
    /// Every how many samples one is in the series.
    pub(crate) stride: u64,
    /// All samples, whether kept or not.
    pub(crate) taken: u64,
    pub(crate) gaps: Vec<SamplingOutage>,
    /// Outages beyond those.
    pub(crate) more_gaps: u64,
    /// What the reader must know.
    pub warnings: Vec<String>,
    /// Far ends of replication connections.
    pub(crate) peers: Peers,
    /// Ports of servers that were asked.
    pub ports: BTreeSet<u16>,
    pub(crate) standbys: Standbys,
    /// The most backends that were seen to wait for a standby at once.
    pub(crate) most_waiting: Option<u32>,
    /// Statements over the run; `None` if the server never answered.
    pub(crate) statements: Option<Account>,
    /// What came of the commit probe.
    pub probe: Option<Outcome>,
    open: SamplingOutages,
}

impl DatabaseRecord {
    /// An empty one.
    #[must_use]
    pub fn new(target: String, warnings: Vec<String>, now_ns: u64) -> Self {
        Self {
            target,
            greeting: None,
            turns: Vec::new(),
            samples: Vec::new(),
            stride: 1,
            taken: 0,
            gaps: Vec::new(),
            more_gaps: 0,
            warnings,
            peers: Peers::new(),
            ports: BTreeSet::new(),
            standbys: Standbys::default(),
            most_waiting: None,
            statements: None,
            probe: None,
            open: SamplingOutages::new(now_ns),
        }
    }

    /// A connection was made.
    pub fn greeted(&mut self, greeting: Greeting) {
        if let Some(missing) = greeting.missing() {
            self.warn(&missing);
        }
        self.ports.extend(greeting.port);
        self.greeting = Some(greeting);
    }

    /// Whether statements are counted on this connection, or why not.
    pub fn counts_statements(&mut self, source: Result<Origin, String>) {
        self.statements.get_or_insert_default().begin(source);
    }

    /// Takes in a sample. `longest_ns` is as in [`SamplingOutages::sampled`].
    pub fn sampled(&mut self, sample: &Sample, longest_ns: u64) {
        self.open.sampled(sample.at_ns, longest_ns, || {
            format!(
                "no answer for longer than it should take; this one took {:.1} s",
                sample.took_ms / 1e3
            )
        });
        let turn = Turn {
            at_ns: sample.at_ns,
            role: sample.role,
            timeline: sample.timeline,
        };
        let same = |last: &Turn| (last.role, last.timeline) == (turn.role, turn.timeline);
        if !self.turns.last().is_some_and(same) {
            self.turns.push(turn);
        }
        for standby in &sample.standbys {
            self.meet(standby);
        }
        self.standbys.add(&sample.standbys);
        if let Some(receiver) = &sample.receiver {
            self.meet_sender(receiver);
        }
        if sample.untracked.is_some_and(|backends| backends > 0) {
            self.warn(UNTRACKED);
        }
        self.most_waiting = self.most_waiting.max(sample.sync_rep_waiters);
        if let (Some(account), Some(statements)) = (&mut self.statements, &sample.statements) {
            account.add(statements);
        }
        if self.taken.is_multiple_of(self.stride) {
            self.samples.push(sample.clone());
        }
        self.taken += 1;
        thin(&mut self.samples, &mut self.stride, MOST_SAMPLES);
    }

    /// There was no sample. True if that is news.
    pub fn failed(&mut self, reason: &str) -> bool {
        let news = self.open.failed(reason);
        if news {
            self.warn(&format!("PostgreSQL: {reason}"));
        }
        news
    }

    fn warn(&mut self, warning: &str) {
        if !self.warnings.iter().any(|one| one == warning) {
            self.warnings.push(warning.to_owned());
        }
    }

    /// What is known of the server's connections.
    #[must_use]
    pub fn known(&self) -> Known {
        Known {
            peers: Arc::new(self.peers.clone()),
            ports: self.ports.iter().copied().collect(),
        }
    }

    /// The gap that lasts at the moment.
    #[must_use]
    pub fn current_gap(&self) -> Option<&SamplingOutage> {
        self.open.current()
    }

    /// What came of the commit probe.
    pub fn probed(&mut self, outcome: Outcome) {
        self.warnings.extend(outcome.warnings.iter().cloned());
        self.probe = Some(outcome);
    }

    /// Nothing more comes.
    pub fn close(&mut self) {
        (self.gaps, self.more_gaps) = std::mem::take(&mut self.open).into_parts();
    }

    fn meet(&mut self, standby: &Standby) {
        let end = (standby.client_addr.as_deref(), standby.client_port);
        self.remember(end, standby.pid, standby.name(), true);
    }

    /// Its end of the connection has a port that the server does not show.
    fn meet_sender(&mut self, receiver: &Receiver) {
        let host = receiver.sender_host.as_deref();
        self.remember((host, receiver.sender_port), receiver.pid, host, false);
    }

    fn remember(
        &mut self,
        (address, port): (Option<&str>, Option<u16>),
        pid: u32,
        name: Option<&str>,
        sends: bool,
    ) {
        let address = address.and_then(|address| address.parse().ok());
        let (Some(address), Some(port), Some(name)) = (address, port, name) else {
            return;
        };
        let end = (address, port);
        if self.peers.len() < MOST_PEERS || self.peers.contains_key(&end) {
            let name = name.to_owned();
            self.peers.insert(end, ReplicationPeer { pid, name, sends });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn sample(at_ns: u64, role: Role, timeline: u32) -> Sample {
        Sample {
            at_ns,
            timeline: Some(timeline),
            ..sample::tests::sample(role)
        }
    }

    #[test]
    fn roles_are_kept_as_turns() {
        let mut record = DatabaseRecord::new("db1".into(), Vec::new(), 0);
        for (at, role, timeline) in [
            (1, Role::Standby, 1),
            (2, Role::Standby, 1),
            (3, Role::Primary, 1),
            (4, Role::Primary, 2),
        ] {
            record.sampled(&sample(at, role, timeline), 100);
        }
        let turns: Vec<_> = record.turns.iter().map(|turn| turn.at_ns).collect();
        assert_eq!(turns, [1, 3, 4]);
    }

    #[test]
    fn a_long_run_has_a_sparser_series_and_never_too_many_samples() {
        let mut record = DatabaseRecord::new("db1".into(), Vec::new(), 0);
        let one = sample(0, Role::Primary, 1);
        for at_ns in 0..(3 * MOST_SAMPLES as u64) {
            record.sampled(
                &Sample {
                    at_ns,
                    ..one.clone()
                },
                u64::MAX,
            );
            assert!(record.samples.len() <= MOST_SAMPLES + 1);
        }
        assert_eq!(record.stride, 4);
        let regular = record
            .samples
            .windows(2)
            .all(|two| two[1].at_ns - two[0].at_ns == record.stride);
        assert!(regular);
    }

    #[test]
    fn one_reason_is_one_warning() {
        let mut record = DatabaseRecord::new("db1".into(), Vec::new(), 0);
        for at in 1..4 {
            assert!(record.failed("gone"));
            record.sampled(&sample(at, Role::Primary, 1), 100);
        }
        record.close();
        assert_eq!((record.warnings.len(), record.gaps.len()), (1, 3));
    }
}
