//! The cluster: two databases under Patroni, three members of etcd, HAProxy and a
//! client, each in a namespace.

mod fault;
mod start;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::Pid;

use super::disk::Disk;
use super::haproxy;
use super::timing::Timing;
use crate::testbed::command::Running;
use crate::testbed::netns::{Host, Net};
use crate::testbed::postgres::{self, Connection};
use crate::testbed::scratch_dir::{self, ScratchDir};
use crate::testbed::{file, wait};

/// The databases' hosts; the first is the primary at the start.
pub(crate) const DATABASES: [&str; 2] = ["db1", "db2"];

/// Members of etcd, and their hosts: three, so that one may fail.
pub(crate) const ETCD: [(&str, &str); 3] =
    [("etcd1", "etcd1"), ("etcd2", "etcd2"), ("etcd3", "lb1")];

/// Where HAProxy runs.
pub(crate) const BALANCER: &str = "lb1";

/// Where the load comes from.
pub(crate) const CLIENT: &str = "client";

const HAPROXY: &str = "haproxy";

/// All hosts, with the last number of their addresses.
pub(crate) const HOSTS: [(&str, u8); 6] = [
    ("db1", 2),
    ("db2", 3),
    ("etcd1", 4),
    ("etcd2", 5),
    ("lb1", 6),
    ("client", 10),
];

/// For each step of the start: several rounds of Patroni's loop.
const STEP: Duration = Duration::from_secs(60);

/// For a return to normal, which may take a lock's time to run out, a rewind and
/// several rounds of the loop.
const RETURN: Duration = Duration::from_secs(180);

/// A running cluster; all of it is gone when dropped.
#[derive(Debug)]
pub(crate) struct Cluster {
    // Dropped in this order.
    daemons: BTreeMap<&'static str, Running>,
    net: Net,
    disk: Option<Disk>,
    scratch: ScratchDir,
    timing: Timing,
    logs: PathBuf,
    watchers: Vec<Pid>,
}

impl Cluster {
    /// Makes and starts all of it, up to a standby that commits wait for. Everything
    /// stops when this is dropped, or when the calling thread ends. The first database
    /// can have a disk of its own, to be stalled.
    pub(crate) fn start(tag: &str, timing: &Timing, own_disk: bool, logs: &Path) -> Result<Self> {
        timing.check()?;
        let net = Net::lab(tag, &HOSTS)?;
        scratch_dir::remove_orphans();
        file::make_folder(logs)?;
        let mut cluster = Self {
            daemons: BTreeMap::new(),
            net,
            scratch: ScratchDir::new(tag)?,
            timing: timing.clone(),
            logs: logs.to_owned(),
            disk: None,
            watchers: Vec::new(),
        };
        for host in cluster.net.hosts() {
            timing.apply(host)?;
        }
        cluster.start_all(own_disk)?;
        Ok(cluster)
    }

    pub(crate) fn host(&self, name: &str) -> Result<&Host> {
        self.net.host(name)
    }

    /// The folder of a database's socket file: `host` in a connection string.
    pub(crate) fn socket_dir(&self, database: &str) -> PathBuf {
        self.scratch.path().join(database)
    }

    fn data(&self, database: &str) -> PathBuf {
        self.socket_dir(database).join("data")
    }

    /// The disk of the first database.
    pub(crate) fn disk(&self) -> Result<&Disk> {
        let disk = self.disk.as_ref();
        disk.context("the cluster was made without a disk to stall")
    }

    /// A new connection to a database, by its socket file.
    pub(crate) fn sql(&self, database: &str) -> Result<Connection> {
        postgres::connect(&self.socket_dir(database))
    }

    /// Where clients find the primary, behind HAProxy.
    pub(crate) fn entrance(&self) -> Result<SocketAddr> {
        let host = self.host(BALANCER)?;
        Ok(SocketAddr::new(host.v4.into(), haproxy::PRIMARY))
    }

    pub(crate) fn writable(&self, database: &str) -> Result<bool> {
        let recovering = self.sql(database)?.value("select pg_is_in_recovery()")?;
        Ok(recovering.as_deref() == Some("f"))
    }

    /// The one database that takes writes.
    pub(crate) fn primary(&self) -> Result<&'static str> {
        let writable: Vec<&'static str> = DATABASES
            .into_iter()
            .filter(|name| self.writable(name).unwrap_or(false))
            .collect();
        match writable[..] {
            [one] => Ok(one),
            _ => bail!("of the databases, {writable:?} take writes: one should"),
        }
    }

    /// Whether there is a primary whose commits wait for the other database, by its
    /// own account.
    fn is_synchronous(&self) -> Result<bool> {
        let Ok(primary) = self.primary() else {
            return Ok(false);
        };
        let state = "select state || '|' || sync_state from pg_stat_replication";
        let state = self.sql(primary).and_then(|mut sql| sql.value(state));
        Ok(state.is_ok_and(|state| state.as_deref() == Some("streaming|sync")))
    }

    /// Waits until both databases are in their roles again and HAProxy knows it.
    pub(crate) fn wait_healthy(&self) -> Result<()> {
        wait::until(RETURN, "the standby to be `streaming|sync` again", || {
            Ok(self.is_synchronous()?.then_some(()))
        })?;
        self.wait_reachable()
    }

    fn wait_reachable(&self) -> Result<()> {
        let primary = self.primary()?;
        let balancer = self.host(BALANCER)?;
        let is_up = |port, wanted: &str| {
            let up = haproxy::up(balancer, port).unwrap_or_default();
            up.iter().any(|server| server == wanted)
        };
        wait::until(STEP, "HAProxy to find the primary and the standby", || {
            let found = is_up(haproxy::PRIMARY, primary) && is_up(haproxy::REPLICA, other(primary));
            Ok(found.then_some(()))
        })
    }

    pub(crate) fn prove_commits_wait(&self) -> Result<()> {
        let primary = self.primary()?;
        postgres::prove_commits_wait(&self.socket_dir(primary), &self.socket_dir(other(primary)))
    }

    /// Fails when a program of the cluster has ended that nobody has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        for (name, daemon) in &mut self.daemons {
            if let Some(status) = daemon.ended()? {
                return Err(daemon.with_log(anyhow!("{name} has ended ({status})")));
            }
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Who waits for a disk that stands still cannot even be killed.
        if let Some(disk) = &self.disk {
            disk.release();
        }
        // What it kept is thrown away: nobody has to shut down in good order.
        for host in self.net.hosts() {
            if let Err(error) = host.netns.cut_power(&[]) {
                eprintln!("warning: {error:#}");
            }
        }
    }
}

pub(crate) fn other(database: &str) -> &'static str {
    let [first, second] = DATABASES;
    if database == first { second } else { first }
}
