//! How its programs are started, and in which order.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::{BALANCER, Cluster, DATABASES, ETCD, HAPROXY, STEP};
use crate::lab::disk::Disk;
use crate::lab::{daemon, etcd, haproxy, patroni};
use crate::provision::packages;
use crate::testbed::{file, postgres};

impl Cluster {
    pub(super) fn start_all(&mut self, own_disk: bool) -> Result<()> {
        let [first, second] = DATABASES;
        for (member, _) in ETCD {
            self.scratch.folder(member, packages::ETCD_USER)?;
            self.start_etcd(member)?;
        }
        for (member, host) in ETCD {
            self.wait(member, "etcd to have a leader", |cluster| {
                Ok(etcd::is_healthy(cluster.host(host)?).unwrap_or(false))
            })?;
        }
        for database in DATABASES {
            self.scratch.folder(database, postgres::USER)?;
        }
        if own_disk {
            let image = self.scratch.path().join("disk.img");
            self.disk = Some(Disk::make(&image, &self.data(first), postgres::USER)?);
        }
        // One after the other: whoever comes first is the primary.
        self.start_database(first)?;
        self.wait(first, "the primary", |cluster| {
            Ok(cluster.writable(first).unwrap_or(false))
        })?;
        self.start_database(second)?;
        self.start_haproxy()?;
        self.sql(first)?.query(postgres::TABLE)?;
        self.wait(second, "the standby to be `streaming|sync`", |cluster| {
            cluster.is_synchronous()
        })?;
        self.wait_reachable()
    }

    /// Starts a member of etcd; its data are those that it has.
    pub(crate) fn start_etcd(&mut self, member: &'static str) -> Result<()> {
        let members = ETCD
            .iter()
            .map(|(name, host)| Ok((*name, self.host(host)?)))
            .collect::<Result<Vec<_>>>()?;
        let own = members.iter().find(|(name, _)| *name == member);
        let own = *own.with_context(|| format!("there is no etcd {member}"))?;
        let command = etcd::command(own, &members, &self.scratch.path().join(member))?;
        self.launch(member, &command)
    }

    /// Starts the Patroni of a database, which starts PostgreSQL.
    pub(crate) fn start_database(&mut self, name: &'static str) -> Result<()> {
        let host = self.host(name)?;
        let members = ETCD
            .iter()
            .map(|(_, member)| Ok(self.host(member)?.v4))
            .collect::<Result<Vec<_>>>()?;
        let home = self.socket_dir(name);
        let yaml = patroni::Configuration {
            name,
            address: host.v4,
            etcd: &members,
            home: &home,
            data: &self.data(name).join("main"),
            bin: &packages::postgres_bin()?,
            timing: &self.timing,
        }
        .yaml();
        let file = self.configure(&format!("{name}.yml"), &yaml)?;
        let command = patroni::command(host, &file)?;
        self.launch(name, &command)
    }

    fn start_haproxy(&mut self) -> Result<()> {
        let databases = DATABASES
            .iter()
            .map(|name| Ok((*name, self.host(name)?.v4)))
            .collect::<Result<Vec<_>>>()?;
        let host = self.host(BALANCER)?;
        let text = haproxy::configuration(host.v4, &databases);
        let file = self.configure("haproxy.cfg", &text)?;
        let command = haproxy::command(host, &file)?;
        self.launch(HAPROXY, &command)
    }

    fn configure(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.scratch.path().join(name);
        file::write(&path, text)?;
        Ok(path)
    }

    fn launch(&mut self, name: &'static str, command: &Command) -> Result<()> {
        let daemon = daemon::start(name, command, &self.logs)?;
        // One that ran before under this name has ended.
        self.daemons.insert(name, daemon);
        Ok(())
    }

    /// Waits for what this program is to bring about.
    fn wait(
        &mut self,
        name: &'static str,
        what: &str,
        condition: impl Fn(&Self) -> Result<bool>,
    ) -> Result<()> {
        let mut daemon = self
            .daemons
            .remove(name)
            .with_context(|| format!("{name} was not started"))?;
        let waited = daemon.until(STEP, what, || Ok(condition(self)?.then_some(())));
        self.daemons.insert(name, daemon);
        waited
    }
}
