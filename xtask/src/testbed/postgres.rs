//! A PostgreSQL primary and its synchronous standby, in two namespaces.

mod container;
mod embedded;
mod pooler;
mod programs;
mod release;
mod server;
mod wire;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub use self::pooler::{POOLER_PORT, Pooler};
pub use self::programs::Programs;
pub(crate) use self::release::fetch;
pub use self::server::Server;
pub(crate) use self::server::{PORT, USER};
pub(crate) use self::wire::Cutter;
pub use self::wire::{Connection, Row};
use crate::testbed::netns::Host;
use crate::testbed::scratch_dir::{self, ScratchDir};
use crate::testbed::{command, wait};

/// The standby's `application_name`, and the name of its slot.
pub const STANDBY: &str = "standby";

/// How long one step of bringing replication up may take.
const STEP: Duration = Duration::from_secs(30);

/// The table that the proof and the load write to.
pub(crate) const TABLE: &str = "create table if not exists lab (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    note text)";

/// A primary and a synchronous standby whose commits were seen to wait.
#[derive(Debug)]
pub struct Pair {
    // Dropped in this order. The standby first: a primary that stops waits
    // for its standby to have everything.
    standby: Server,
    primary: Server,
    programs: Programs,
    scratch: ScratchDir,
}

impl Pair {
    /// Makes and starts both, and proves that a commit waits for the standby.
    /// They stop when this is dropped, or when the calling thread ends.
    ///
    /// # Errors
    /// When a step fails or takes too long; the error holds the log's tail.
    pub fn start(primary: &Host, standby: &Host) -> Result<Self> {
        Self::start_with(&Programs::own()?, primary, standby)
    }

    /// The same with these programs.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(programs: &Programs, primary: &Host, standby: &Host) -> Result<Self> {
        scratch_dir::remove_orphans();
        let scratch = ScratchDir::new("pg")?;
        let one = scratch.folder("primary", USER)?;
        let two = scratch.folder("standby", USER)?;

        let first = serve(programs, primary, &one, &[]).context("the primary does not start")?;
        let second = standby_of(programs, (primary, &first), standby, (STANDBY, &two))?;
        let pair = Self {
            standby: second,
            primary: first,
            programs: programs.clone(),
            scratch,
        };
        pair.make_synchronous()?;
        // Whether commits wait, another process decides than the one that we ask, and
        // it may learn of the new setting later.
        wait::until(STEP, "commits to wait for the standby", || {
            Ok(pair.do_commits_wait()?.then_some(()))
        })?;
        Ok(pair)
    }

    /// One more standby of the same primary, whose settings stay: it streams and no commit
    /// waits for it. It stops when dropped, which has to be before the pair is.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn join(&self, primary: &Host, standby: &Host, name: &str) -> Result<Server> {
        let home = self.scratch.folder(name, USER)?;
        let server = standby_of(
            &self.programs,
            (primary, &self.primary),
            standby,
            (name, &home),
        )?;
        let streams = format!(
            "select 1 from pg_stat_replication where application_name = '{name}' and state = 'streaming'"
        );
        wait::until(STEP, "one more standby to stream", || {
            Ok(self.primary.value(&streams)?.map(drop))
        })
        .map_err(|error| server.with_log(error))?;
        Ok(server)
    }

    /// The primary.
    pub fn primary(&self) -> &Server {
        &self.primary
    }

    /// The standby.
    pub fn standby(&self) -> &Server {
        &self.standby
    }

    /// The primary, to be stopped or crashed.
    pub fn primary_mut(&mut self) -> &mut Server {
        &mut self.primary
    }

    /// The standby, to be stopped or crashed.
    pub fn standby_mut(&mut self) -> &mut Server {
        &mut self.standby
    }

    /// Only now that the standby streams: until then every commit would hang.
    fn make_synchronous(&self) -> Result<()> {
        let mut sql = self.primary.connect()?;
        sql.query(&format!(
            "alter system set synchronous_standby_names = '{STANDBY}'"
        ))?;
        sql.query("select pg_reload_conf()")?;
        let state = "select state || '|' || sync_state from pg_stat_replication";
        let reached = wait::until(STEP, "the standby to be `streaming|sync`", || {
            Ok((sql.value(state)?.as_deref() == Some("streaming|sync")).then_some(()))
        });
        reached.map_err(|error| self.standby.with_log(error))
    }

    /// Shows that a commit waits for the standby, by keeping the standby from
    /// replying until the commit is seen to hang.
    ///
    /// `sync_state` alone proves nothing: a primary that once got a
    /// flush position far ahead calls its standby `sync` and waits for nothing.
    ///
    /// # Errors
    /// When a commit returned though the standby could not have replied.
    pub fn prove_commits_wait(&self) -> Result<()> {
        must_wait(self.do_commits_wait()?)
    }

    fn do_commits_wait(&self) -> Result<bool> {
        let (primary, standby) = (self.primary.socket_dir(), self.standby.socket_dir());
        do_commits_wait(primary, standby, |id| self.standby.process(id))
    }
}

/// Shows, as [`Pair::prove_commits_wait`] does, that commits on one server wait for
/// the other; of both, the folders of their socket files.
pub(crate) fn prove_commits_wait(primary: &Path, standby: &Path) -> Result<()> {
    let process = |id: &str| Ok(Pid::from_raw(id.parse()?));
    must_wait(do_commits_wait(primary, standby, process)?)
}

fn must_wait(does: bool) -> Result<()> {
    let what = "a commit did not wait for the standby, which could not reply";
    does.then_some(()).context(what)
}

/// Whether one does that is made for it; `process` finds the process that the standby
/// knows by an id.
fn do_commits_wait(
    primary: &Path,
    standby: &Path,
    process: impl FnOnce(&str) -> Result<Pid>,
) -> Result<bool> {
    let receiver = connect(standby)?
        .value("select pid from pg_stat_wal_receiver")?
        .context("the standby receives nothing")?;
    let mut sql = connect(primary)?;
    let mut commit = connect(primary)?;
    let pid = commit.value("select pg_backend_pid()")?.unwrap_or_default();
    let waits =
        format!("select 1 from pg_stat_activity where wait_event = 'SyncRep' and pid = {pid}");
    let frozen = Frozen::new(process(&receiver)?)?;
    let outcome = thread::scope(|scope| {
        let committing =
            scope.spawn(move || commit.query("insert into lab (note) values ('proof')"));
        let seen = wait::until(STEP, "a commit to wait for the standby", || {
            if committing.is_finished() {
                return Ok(Some(false));
            }
            Ok(sql.value(&waits)?.map(|_| true))
        });
        drop(frozen);
        let committed = committing.join();
        seen.map(|waited| (waited, committed))
    })?;
    match outcome {
        (waited, Ok(committed)) => committed.context("the commit failed").map(|_| waited),
        (_, Err(_)) => bail!("the thread of the commit has panicked"),
    }
}

/// A new connection over the socket file in this folder, for administration.
pub(crate) fn connect(socket_dir: &Path) -> Result<Connection> {
    Connection::unix(&socket(socket_dir), "lab", STEP)
}

/// The socket file of a server, in its folder.
pub(crate) fn socket(folder: &Path) -> PathBuf {
    folder.join(format!(".s.PGSQL.{PORT}"))
}

/// A server of its own, without a standby.
#[derive(Debug)]
pub struct Alone {
    // Dropped in this order.
    server: Server,
    _scratch: ScratchDir,
}

impl Alone {
    /// Makes and starts it, with these settings beside the lab's own. It stops when
    /// this is dropped, or when the calling thread ends.
    ///
    /// # Errors
    /// When a step fails or takes too long; the error holds the log's tail.
    pub fn start(host: &Host, more: &[(&'static str, &str)]) -> Result<Self> {
        Self::start_with(&Programs::own()?, host, more)
    }

    /// The same with these programs.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(
        programs: &Programs,
        host: &Host,
        more: &[(&'static str, &str)],
    ) -> Result<Self> {
        scratch_dir::remove_orphans();
        let scratch = ScratchDir::new("pg")?;
        let folder = scratch.folder("alone", USER)?;
        Ok(Self {
            server: serve(programs, host, &folder, more).context("the server does not start")?,
            _scratch: scratch,
        })
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The server, to be stopped or crashed.
    pub fn server_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

/// A process that stands still as long as this lives.
#[derive(Debug)]
pub struct Frozen(Pid);

impl Frozen {
    /// Stops it, and waits until it has stopped: a busy machine takes its time, in
    /// which the process may still answer.
    ///
    /// # Errors
    /// When it cannot be stopped.
    pub fn new(pid: Pid) -> Result<Self> {
        kill(pid, Signal::SIGSTOP).with_context(|| format!("cannot stop process {pid}"))?;
        let frozen = Self(pid);
        wait::until(STEP, "a process to stand still", || {
            let state = command::state(pid).context("it has ended")?;
            Ok((state == 'T').then_some(()))
        })?;
        Ok(frozen)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

/// Small, and silent on what the lab does not ask about. Everything that
/// decides how a commit waits keeps its default.
const SETTINGS: [(&str, &str); 9] = [
    ("shared_buffers", "16MB"),
    ("max_connections", "400"),
    ("max_wal_senders", "4"),
    ("max_replication_slots", "4"),
    ("wal_level", "replica"),
    ("min_wal_size", "32MB"),
    ("max_wal_size", "256MB"),
    ("logging_collector", "off"),
    ("log_line_prefix", "%m [%p] %a "),
];

/// Makes and starts a server in this folder, with the lab's table.
fn serve(
    programs: &Programs,
    host: &Host,
    home: &Path,
    more: &[(&'static str, &str)],
) -> Result<Server> {
    server::init(programs, host, home).context("cannot make its database")?;
    let settings = SETTINGS.iter().chain(more);
    let settings: Vec<_> = settings
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    let mut server = Server::start(programs, host, home, &settings)?;
    server.wait_ready()?;
    server.connect()?.query(TABLE)?;
    Ok(server)
}

/// Makes and starts a standby of this primary, of this name and in this folder.
fn standby_of(
    programs: &Programs,
    (host, primary): (&Host, &Server),
    standby: &Host,
    (name, home): (&str, &Path),
) -> Result<Server> {
    let copied = match programs.has_clients {
        true => copy(programs, host, standby, (name, home)),
        false => embedded::copy(primary, name, &home.join("data")),
    };
    copied.map_err(|error| primary.with_log(error))?;
    server::append(&home.join("data").join("standby.signal"), "")?;
    let address = host.v4;
    let conninfo = format!("host={address} port={PORT} user={USER} application_name={name}");
    let settings = [
        ("primary_conninfo", conninfo),
        ("primary_slot_name", name.to_owned()),
    ];
    let mut server = Server::start(programs, standby, home, &settings)?;
    server
        .wait_ready()
        .with_context(|| format!("the standby {name} does not start"))?;
    Ok(server)
}

/// Copies the primary's data, from inside the standby's namespace.
fn copy(
    programs: &Programs,
    primary: &Host,
    standby: &Host,
    (name, home): (&str, &Path),
) -> Result<()> {
    let data = home.join("data");
    let mut basebackup = programs.command(&standby.netns, home, "pg_basebackup")?;
    basebackup
        .args(["--host", &primary.v4.to_string(), "--username=postgres"])
        .args(["--checkpoint=fast", "--wal-method=stream", "--no-sync"])
        .args(["--create-slot", "--slot", name])
        .arg("-D")
        .arg(&data)
        .current_dir(home);
    let copied = command::output(&mut basebackup).context("cannot copy the primary");
    copied.map(drop)
}
