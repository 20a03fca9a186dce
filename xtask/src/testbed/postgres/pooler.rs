//! PgBouncer between clients and a server, in the server's namespace.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::time::Duration;

use anyhow::Result;

use super::server::USER;
use super::wire::Connection;
use crate::provision::packages;
use crate::testbed::command::Running;
use crate::testbed::file;
use crate::testbed::netns::Host;
use crate::testbed::scratch_dir::ScratchDir;

/// Debian's port for it.
pub const POOLER_PORT: u16 = 6432;

const STARTING: Duration = Duration::from_secs(30);

/// A pooler that trusts everybody; it ends when dropped.
#[derive(Debug)]
pub struct Pooler {
    // Dropped in this order.
    process: Running,
    _scratch: ScratchDir,
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
        let users = folder.join("users");
        file::write(&users, format!("\"{USER}\" \"\"\n\"app\" \"\"\n"))?;
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
        file::write(&file, text)?;
        let program = packages::program("pgbouncer")?;
        let mut pgbouncer = host.netns.command_as(USER, program);
        // Ctrl-C is for us.
        pgbouncer.arg(&file).process_group(0);
        let log = folder.join("log");
        let mut process = Running::start_logged(&mut pgbouncer, "pgbouncer", &log)?;
        process.until(STARTING, "the pooler to lend a connection", || {
            let inside = || client(address)?.value("select 1");
            Ok(host.netns.enter(inside).ok())
        })?;
        Ok(Self {
            process,
            _scratch: scratch,
            address,
        })
    }

    /// A client without a name, as many are. Within a namespace that reaches it.
    ///
    /// # Errors
    /// When it is refused.
    pub fn connect(&self) -> Result<Connection> {
        client(self.address)
    }

    /// What it has said.
    pub fn log(&self) -> String {
        self.process.said()
    }
}

fn client(pooler: SocketAddr) -> Result<Connection> {
    Connection::tcp(pooler, "", STARTING)
}
