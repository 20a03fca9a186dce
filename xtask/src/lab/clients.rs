//! The clients of the cluster: writes and reads through HAProxy.

use std::time::Duration;

use anyhow::{Context, Result};

use super::cluster::{CLIENT, Cluster};
use crate::testbed::load::record::Record;
use crate::testbed::load::{Load, Pace, Plan, READ, WRITE};
use crate::testbed::wait;

/// How long the last requests have for their answers.
const GRACE: Duration = Duration::from_secs(30);

/// As many as one user makes who waits for each answer, as the published loads did.
const THINK: Duration = Duration::from_millis(98);

/// What the clients do.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    pub(super) writes: Plan,
    pub(super) reads: Plan,
}

impl Profile {
    /// 10 writes and 5 reads a second, whatever the answers do.
    pub(super) fn steady() -> Self {
        Self {
            writes: plan(WRITE, Pace::Open { rate: 10.0 }, 4),
            reads: plan(READ, Pace::Open { rate: 5.0 }, 4),
        }
    }

    /// One user who writes and waits for the answer, some 10 times a second; 5 reads a
    /// second.
    pub(super) fn one_user() -> Self {
        Self {
            writes: plan(WRITE, Pace::Closed { think: THINK }, 1),
            ..Self::steady()
        }
    }
}

/// A plan of the lab's table.
pub(super) fn plan(sql: &str, pace: Pace, connections: u32) -> Plan {
    Plan {
        sql: sql.to_owned(),
        pace,
        connections,
    }
}

/// The clients, at work.
#[derive(Debug)]
pub(super) struct Clients {
    profile: Profile,
    writes: Load,
    reads: Load,
}

impl Clients {
    /// Begins, and waits until writes have got going: the first ones fill caches,
    /// which is no part of a baseline.
    pub(super) fn start(cluster: &Cluster, profile: Profile) -> Result<Self> {
        let client = &cluster.host(CLIENT)?.netns;
        let entrance = cluster.entrance()?;
        let start = |plan: &Plan| Load::start(client, entrance, plan.clone());
        let clients = Self {
            writes: start(&profile.writes)?,
            reads: start(&profile.reads)?,
            profile,
        };
        let mut sql = cluster.sql(cluster.primary()?)?;
        let enough = "select 1 from lab where note <> 'proof' having count(*) >= 5";
        wait::until(Duration::from_secs(30), "the load to get going", || {
            sql.value(enough)
        })
        .context("the clients do not write")?;
        Ok(clients)
    }

    /// Lets the last requests end, and returns all of them: writes, then reads.
    pub(super) fn stop(self) -> [Record; 2] {
        let Profile { writes, reads } = self.profile;
        [
            Record::new("writes", writes, self.writes.stop(GRACE)),
            Record::new("reads", reads, self.reads.stop(GRACE)),
        ]
    }
}
