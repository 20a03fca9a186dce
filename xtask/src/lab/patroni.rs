//! Patroni: which of two PostgreSQL servers is the primary.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::etcd;
use super::timing::Timing;
use crate::provision::{http, packages};
use crate::testbed::netns::Host;
use crate::testbed::postgres;

/// Where it answers questions about its server.
pub(super) const PORT: u16 = 8008;

/// What runs it may not hear of whoever started the lab: libpq and Python read
/// the environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The command that runs it with the configuration in the file.
pub(super) fn command(host: &Host, file: &Path) -> Result<Command> {
    let program = packages::program("patroni")?;
    let mut patroni = host.netns.command_apart_as(postgres::USER, program);
    patroni
        .arg(file)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8");
    Ok(patroni)
}

pub(super) struct Configuration<'a> {
    pub(super) name: &'a str,
    pub(super) address: Ipv4Addr,
    pub(super) etcd: &'a [Ipv4Addr],
    /// Of the socket file.
    pub(super) home: &'a Path,
    pub(super) data: &'a Path,
    pub(super) bin: &'a Path,
    pub(super) timing: &'a Timing,
}

impl Configuration<'_> {
    /// As YAML. The bootstrap part counts once, for whoever comes first.
    pub(super) fn yaml(&self) -> String {
        let Self { name, address, .. } = self;
        let Timing {
            ttl,
            loop_wait,
            retry_timeout,
            wal_sender_timeout,
            ..
        } = self.timing;
        let members = self.etcd.iter();
        let hosts: String = members
            .map(|member| format!("\n    - {member}:{}", etcd::PORT))
            .collect();
        format!(
            "scope: lab
name: {name}
restapi:
  listen: {address}:{PORT}
  connect_address: {address}:{PORT}
etcd3:
  hosts:{hosts}
bootstrap:
  dcs:
    ttl: {ttl}
    loop_wait: {loop_wait}
    retry_timeout: {retry_timeout}
    maximum_lag_on_failover: 1048576
    synchronous_mode: true
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters:
        max_connections: 300
        max_wal_senders: 10
        max_replication_slots: 10
        wal_level: replica
        hot_standby: 'on'
        wal_log_hints: 'on'
        wal_sender_timeout: {wal_sender_timeout}s
        min_wal_size: 80MB
        max_wal_size: 512MB
        shared_buffers: 16MB
        logging_collector: 'off'
        log_line_prefix: '%m [%p] %a '
  initdb:
    - encoding: UTF8
    - locale: C
    - auth: trust
postgresql:
  listen: {address}:{port}
  connect_address: {address}:{port}
  data_dir: {data}
  bin_dir: {bin}
  pgpass: {home}/pgpass
  use_unix_socket: true
  use_unix_socket_repl: true
  authentication:
    superuser:
      username: postgres
    replication:
      username: postgres
    rewind:
      username: postgres
  parameters:
    unix_socket_directories: {home}
    dynamic_shared_memory_type: mmap
  pg_hba:
    - local all all trust
    - local replication all trust
    - host all all 10.0.10.0/24 trust
    - host replication all 10.0.10.0/24 trust
  basebackup:
    - checkpoint: fast
watchdog:
  mode: 'off'
",
            port = postgres::PORT,
            data = self.data.display(),
            bin = self.bin.display(),
            home = self.home.display(),
        )
    }
}

/// What a Patroni says of its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// `primary` or `replica`, as it believes at this moment.
    pub(crate) role: String,
    /// `running`, `starting`, `stopped` and so on.
    pub(crate) state: String,
    /// Counts promotions.
    pub(crate) timeline: Option<u64>,
    /// Whether commits on the primary wait for it.
    pub(crate) synchronous: bool,
}

impl fmt::Display for Member {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, state, .. } = self;
        let role = match self.synchronous {
            true => format!("synchronous {role}"),
            false => role.clone(),
        };
        write!(to, "{role}, {state}")?;
        match self.timeline {
            Some(timeline) => write!(to, ", timeline {timeline}"),
            None => Ok(()),
        }
    }
}

/// Asks the Patroni of this host, from the host itself: also when nobody else can.
pub(crate) fn ask(host: &Host) -> Result<Member> {
    host.netns.enter(|| ask_from_inside(host.v4))
}

/// [`ask`] for a thread that is in the host's namespace already.
pub(super) fn ask_from_inside(address: Ipv4Addr) -> Result<Member> {
    let server = SocketAddr::new(address.into(), PORT);
    let answer = http::get(server, "/patroni", http::ANSWER).context("Patroni does not answer")?;
    let value: Value = serde_json::from_str(&answer.body)
        .with_context(|| format!("Patroni says no JSON: {}", answer.body))?;
    Ok(member(&value))
}

fn member(value: &Value) -> Member {
    let text = |name: &str| {
        let text = value.get(name).and_then(Value::as_str);
        text.unwrap_or("unknown").to_owned()
    };
    // The older name of the same role.
    let role = match text("role").as_str() {
        "master" => "primary".to_owned(),
        role => role.to_owned(),
    };
    Member {
        role,
        state: text("state"),
        timeline: value.get("timeline").and_then(Value::as_u64),
        synchronous: value.get("sync_standby") == Some(&Value::Bool(true)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_is_what_it_says() {
        let value = json!({"state": "running", "role": "master", "timeline": 3});
        let primary = member(&value);
        assert_eq!(primary.role, "primary");
        assert_eq!(primary.timeline, Some(3));
        assert!(!primary.synchronous);
        let stopped = member(&json!({"state": "stopped", "role": "replica", "sync_standby": true}));
        assert!(stopped.synchronous && stopped.timeline.is_none());
    }
}
