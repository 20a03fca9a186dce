//! One PostgreSQL server in one namespace.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::programs::Programs;
use super::wire::Connection;
use crate::testbed::command::{self, Running};
use crate::testbed::netns::Host;
use crate::testbed::wait;

/// The system user that Debian's packages make.
pub(crate) const USER: &str = "postgres";

/// The port of every server: each has an address to itself.
pub(crate) const PORT: u16 = 5432;

/// How long a server may take to start, or to answer one administrative query.
const STARTING: Duration = Duration::from_secs(30);

/// How long one that was told to end may take, beside its standby.
const ENDING: Duration = Duration::from_secs(10);

const LOG_LINES_SHOWN: usize = 20;

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
        let mut text = String::new();
        let own = [
            // Both families: IPv6 is the lab's to use as well.
            ("listen_addresses", format!("{},{}", host.v4, host.v6)),
            ("unix_socket_directories", home.display().to_string()),
        ];
        for (name, value) in own.iter().chain(settings) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name} = '{value}'");
        }
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
    ///
    /// # Errors
    /// When it ends or does not get there; the error holds the log's tail.
    pub(crate) fn wait_ready(&mut self) -> Result<()> {
        let ready = wait::until(STARTING, "the server to take queries", || {
            if let Some(status) = self.process.ended()? {
                bail!("the server ended ({status})");
            }
            // Refused or "starting up": look again.
            Ok(self.connect().ok().map(drop))
        });
        ready.map_err(|error| self.with_log(&error))?;
        if self.programs.is_apart() {
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
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder of its socket file: `host` in a connection string.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.home
    }

    /// The folder of its data, with its configuration.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// The postmaster's process id.
    #[must_use]
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
        let found = fs::read_dir("/proc")?
            .filter_map(Result::ok)
            .find_map(|entry| {
                let status = fs::read_to_string(entry.path().join("status")).ok()?;
                let last = |name: &str| {
                    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
                    line.split_whitespace().last()
                };
                // The last id is the one in the innermost namespace.
                let is_it = last("PPid:")? == own && last("NSpid:")? == id;
                is_it.then(|| entry.file_name().to_str()?.parse().ok())?
            });
        found
            .map(Pid::from_raw)
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
    #[must_use]
    pub fn log_tail(&self) -> String {
        let bytes = fs::read(log_path(&self.home)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(LOG_LINES_SHOWN);
        lines.get(from..).unwrap_or_default().join("\n")
    }

    pub(super) fn with_log(&self, error: &anyhow::Error) -> anyhow::Error {
        let home = self.home.display();
        anyhow!(
            "{error:#}\nthe log of {home} ends with:\n{}",
            self.log_tail()
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The server's process, with a new log.
fn launch(programs: &Programs, host: &Host, home: &Path) -> Result<Running> {
    let log = File::create(log_path(home)).context("cannot make the server's log")?;
    let mut postgres = programs.command(&host.netns, home, "postgres")?;
    postgres
        .arg("-D")
        .arg(home.join("data"))
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C is for us: we stop the servers, in the right order.
        .process_group(0);
    let line = command::line(&postgres);
    let child = postgres
        .spawn()
        .with_context(|| format!("cannot run `{line}`"))?;
    Ok(Running::new(child, "postgres"))
}

fn log_path(home: &Path) -> PathBuf {
    home.join("log")
}

pub(super) fn append(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
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
