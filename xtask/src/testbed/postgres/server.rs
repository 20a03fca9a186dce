//! One PostgreSQL server in one namespace.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::programs::Programs;
use super::wire::Connection;
use crate::testbed::command::{self, Running};
use crate::testbed::netns::Host;
use crate::testbed::{file, wait};

/// The system user that Debian's packages make.
pub(crate) const USER: &str = "postgres";

/// The port of every server: each has an address to itself.
pub(crate) const PORT: u16 = 5432;

/// How long a server may take to start, or to answer one administrative query.
const STARTING: Duration = Duration::from_secs(30);

/// How long one may take to end, with its standby.
const ENDING: Duration = Duration::from_secs(10);

/// A server process and where its things are. Dropping it stops the server.
#[derive(Debug)]
pub struct Server {
    process: Running,
    programs: Programs,
    /// The postmaster, where it is a child of that process.
    inner: Option<Pid>,
    address: SocketAddr,
    /// Data, socket and log are in here.
    home: PathBuf,
}

impl Server {
    /// Starts the server whose data stand in `home/data`.
    pub(super) fn start(
        programs: &Programs,
        host: &Host,
        home: &Path,
        settings: &[(&str, String)],
    ) -> Result<Self> {
        let data = home.join("data");
        let own = [
            // Both families: IPv6 is the lab's to use as well.
            ("listen_addresses", format!("{},{}", host.v4, host.v6)),
            ("unix_socket_directories", home.display().to_string()),
        ];
        let lines = own.iter().chain(settings);
        let text: String = lines
            .map(|(name, value)| format!("{name} = '{value}'\n"))
            .collect();
        append(&data.join("postgresql.conf"), &text)?;
        Ok(Self {
            process: launch(programs, host, home)?,
            programs: programs.clone(),
            inner: None,
            address: SocketAddr::new(host.v4.into(), PORT),
            home: home.to_path_buf(),
        })
    }

    /// Starts a server that was stopped or has crashed, and waits until it takes
    /// queries.
    ///
    /// # Errors
    /// As [`Self::wait_ready`].
    pub fn restart(&mut self, host: &Host) -> Result<()> {
        self.stop();
        self.process = launch(&self.programs, host, &self.home)?;
        self.wait_ready()
    }

    /// Waits until the server takes queries, for 30 s at most.
    pub(crate) fn wait_ready(&mut self) -> Result<()> {
        self.process
            .until(STARTING, "the server to take queries", || {
                // Refused or "starting up": ask again.
                Ok(super::connect(&self.home).ok().map(drop))
            })?;
        if self.programs.apart {
            self.inner = Some(command::only_child(self.process.pid())?);
        }
        Ok(())
    }

    /// A new connection over the socket file, for administration.
    ///
    /// # Errors
    /// When the server is not ready.
    pub fn connect(&self) -> Result<Connection> {
        super::connect(&self.home)
    }

    /// Asks one question over a new connection.
    ///
    /// # Errors
    /// What the server says.
    pub fn value(&self, sql: &str) -> Result<Option<String>> {
        self.connect()?.value(sql)
    }

    /// Where it listens for TCP (IPv4).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder of its socket file: `host` in a connection string.
    pub fn socket_dir(&self) -> &Path {
        &self.home
    }

    /// The folder of its data, with its configuration.
    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// The postmaster's process id.
    pub fn pid(&self) -> Pid {
        self.inner.unwrap_or_else(|| self.process.pid())
    }

    /// The process that the server knows by this id: in a container, it has another
    /// outside.
    ///
    /// # Errors
    /// When the server has no such process.
    pub fn process(&self, id: &str) -> Result<Pid> {
        let own = self.pid().to_string();
        // The last id is the one in the innermost namespace.
        let last = |pid, name| {
            let ids = command::status(pid, name)?;
            Some(ids.split_whitespace().last()?.to_owned())
        };
        let is_it = |pid: &Pid| {
            last(*pid, "PPid:").is_some_and(|it| it == own)
                && last(*pid, "NSpid:").is_some_and(|it| it == id)
        };
        command::processes()
            .find(is_it)
            .with_context(|| format!("server {own} has no process {id}"))
    }

    /// Stops the server as its "fast" shutdown does, for good.
    pub fn stop(&mut self) {
        if let Some(pid) = self.inner.take() {
            // Its parent only waits for it, and passes no signal on.
            let _ = kill(pid, Signal::SIGINT);
            let _ = wait::until_uninterrupted(ENDING, "the server", || self.process.ended());
        }
        self.process.end();
    }

    /// Ends the server as a power cut does.
    pub fn crash(&mut self) {
        // Its children notice on their own.
        let _ = kill(self.pid(), Signal::SIGKILL);
        self.inner = None;
        self.process.end();
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    pub(super) fn with_log(&self, error: anyhow::Error) -> anyhow::Error {
        self.process.with_log(error)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The server's process, with a new log.
fn launch(programs: &Programs, host: &Host, home: &Path) -> Result<Running> {
    let mut postgres = programs.command(&host.netns, home, "postgres")?;
    postgres
        .arg("-D")
        .arg(home.join("data"))
        .current_dir(home)
        // Ctrl-C is for us: we stop the servers, in the right order.
        .process_group(0);
    Running::start_logged(&mut postgres, "postgres", &home.join("log"))
}

pub(super) fn append(path: &Path, text: &str) -> Result<()> {
    file::append(path)?
        .write_all(text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Makes an empty database cluster in `home/data` that trusts everybody: only
/// the lab's own namespaces can reach it.
pub(super) fn init(programs: &Programs, host: &Host, home: &Path) -> Result<()> {
    let data = home.join("data");
    let mut initdb = programs.command(&host.netns, home, "initdb")?;
    initdb
        .args(["--auth=trust", "--no-sync"])
        .args(["--encoding=UTF8", "--locale=C", "--username=postgres"])
        .arg("-D")
        .arg(&data)
        .current_dir(home);
    command::output(&mut initdb)?;
    append(
        &data.join("pg_hba.conf"),
        "host all,replication all all trust\n",
    )
}
