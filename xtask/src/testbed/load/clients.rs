//! The clients of a database: writes and reads at the same time.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};

use super::record::Record;
use super::{Load, Pace, Plan, READ, WRITE};
use crate::testbed::netns::Netns;
use crate::testbed::postgres::Connection;
use crate::testbed::wait;

/// How long the last requests have for their answers: longer than the timeouts that a
/// connection may have doubled its way up to by a fault's end.
const GRACE: Duration = Duration::from_secs(30);

/// As many as one user makes who waits for each answer, as the published loads did.
const THINK: Duration = Duration::from_millis(98);

pub(crate) const WRITES_PER_SECOND: f64 = 10.0;
pub(crate) const READS_PER_SECOND: f64 = 5.0;

/// Of the writes, and of the reads: as many as were measured on the cluster that the lab
/// stands for.
pub(crate) const CONNECTIONS: u32 = 4;

#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) writes: Plan,
    pub(crate) reads: Plan,
}

impl Profile {
    /// So many requests a second, whatever the answers do.
    pub(crate) fn steady() -> Self {
        Self {
            writes: Plan::open(WRITE, WRITES_PER_SECOND, CONNECTIONS),
            reads: Plan::open(READ, READS_PER_SECOND, CONNECTIONS),
        }
    }

    /// One user who writes and waits for the answer, some 10 times a second; reads as ever.
    pub(crate) fn one_user() -> Self {
        let mut profile = Self::steady();
        profile.writes.pace = Pace::Closed { think: THINK };
        profile.writes.connections = 1;
        profile
    }
}

/// The clients, at work.
#[derive(Debug)]
pub(crate) struct Clients {
    profile: Profile,
    writes: Load,
    reads: Load,
}

impl Clients {
    /// Begins, and waits until writes have got going: the first ones fill caches,
    /// which is no part of a baseline.
    pub(crate) fn start(
        from: &Netns,
        server: SocketAddr,
        mut administration: Connection,
        profile: Profile,
    ) -> Result<Self> {
        let start = |plan: &Plan| Load::start(from, server, plan.clone());
        let clients = Self {
            writes: start(&profile.writes)?,
            reads: start(&profile.reads)?,
            profile,
        };
        let enough = "select 1 from lab where note <> 'proof' having count(*) >= 5";
        wait::until(Duration::from_secs(30), "the load to get going", || {
            administration.value(enough)
        })
        .context("the clients do not write")?;
        Ok(clients)
    }

    /// Lets the last requests end, and returns all of them: writes, then reads.
    pub(crate) fn stop(self) -> [Record; 2] {
        let Profile { writes, reads } = self.profile;
        [
            Record::new("writes", writes, self.writes.stop(GRACE)),
            Record::new("reads", reads, self.reads.stop(GRACE)),
        ]
    }
}
