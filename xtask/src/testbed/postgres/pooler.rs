//! PgBouncer between clients and a server, in the server's namespace.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::server::USER;
use super::wire::Connection;
use crate::provision::packages;
use crate::testbed::command::Running;
use crate::testbed::netns::Host;
use crate::testbed::scratch_dir::ScratchDir;
use crate::testbed::wait;

/// Debian's port for it.
pub const POOLER_PORT: u16 = 6432;

const STARTING: Duration = Duration::from_secs(30);

/// A pooler that trusts everybody; it ends when dropped.
#[derive(Debug)]
pub struct Pooler {
    // Dropped in this order.
    process: Running,
    scratch: ScratchDir,
    address: SocketAddr,
}

impl Pooler {
    /// Starts it before the server, in one of PgBouncer's pool modes and with so many
    /// connections to lend for each database and role, and waits until it lends one.
    ///
    /// # Errors
    /// When it does not get there.
    pub fn start(host: &Host, server: SocketAddr, mode: &str, size: u32) -> Result<Self> {
        let scratch = ScratchDir::new("pooler")?;
        let folder = scratch.folder("pgbouncer", USER)?;
        let (users, log) = (folder.join("users"), folder.join("log"));
        fs::write(&users, format!("\"{USER}\" \"\"\n\"app\" \"\"\n"))?;
        let file = folder.join("pgbouncer.ini");
        let address = SocketAddr::new(host.v4.into(), POOLER_PORT);
        let (own, users) = (host.v4, users.display());
        let (ip, port) = (server.ip(), server.port());
        let text = format!(
            "[databases]
* = host={ip} port={port}
[pgbouncer]
listen_addr = {own}
listen_port = {POOLER_PORT}
unix_socket_dir =
auth_type = trust
auth_file = {users}
admin_users = {USER}
pool_mode = {mode}
default_pool_size = {size}
"
        );
        fs::write(&file, text)?;
        let program = packages::program("pgbouncer")?;
        let log = fs::File::create(log)?;
        let mut pgbouncer = host.netns.command_as(USER, program);
        pgbouncer
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C is for us.
            .process_group(0);
        let child = pgbouncer.spawn().context("cannot run pgbouncer")?;
        let mut pooler = Self {
            process: Running::new(child, "pgbouncer"),
            scratch,
            address,
        };
        let ready = wait::until(STARTING, "the pooler to lend a connection", || {
            if let Some(status) = pooler.process.ended()? {
                bail!("pgbouncer ended ({status})");
            }
            let inside = || pooler.connect().and_then(|mut sql| sql.value("select 1"));
            Ok(host.netns.enter(inside).ok())
        });
        ready.with_context(|| pooler.log())?;
        Ok(pooler)
    }

    /// A client without a name, as many are. Within a namespace that reaches it.
    ///
    /// # Errors
    /// When it is refused.
    pub fn connect(&self) -> Result<Connection> {
        Connection::tcp(self.address, "", STARTING)
    }

    /// What it has said.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.scratch.path().join("pgbouncer/log")).unwrap_or_default()
    }
}
