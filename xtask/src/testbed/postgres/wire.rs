//! A connection to a server of the lab: trusted login and simple queries, with
//! a deadline on each.
//!
//! `tokio-postgres` speaks the protocol. The sockets are made here, so that
//! they belong to the namespace that the calling thread is in, and so that
//! another thread can cut them.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::sys::socket::{Shutdown, shutdown};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

/// How long the farewell to the server may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// A row: text, or `None` for NULL.
pub type Row = Vec<Option<String>>;

/// A connection to a server that trusts us.
#[derive(Debug)]
pub struct Connection {
    runtime: Runtime,
    /// `None` only while it is dropped.
    client: Option<Client>,
    /// Moves the bytes, whenever the runtime runs.
    transfer: JoinHandle<()>,
    /// The socket, beside the runtime that reads it.
    socket: OwnedFd,
    limit: Duration,
}

impl Connection {
    /// Connects over TCP, from the namespace that the calling thread is in.
    ///
    /// `limit` bounds the connecting and each answer afterwards.
    pub(crate) fn tcp(server: SocketAddr, name: &str, limit: Duration) -> Result<Self> {
        Self::tcp_as("postgres", server, name, limit)
    }

    /// The same as that role.
    ///
    /// # Errors
    /// As [`Self::tcp`].
    pub fn tcp_as(user: &str, server: SocketAddr, name: &str, limit: Duration) -> Result<Self> {
        let stream = std::net::TcpStream::connect_timeout(&server, limit)
            .with_context(|| format!("cannot connect to {server}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let socket = OwnedFd::from(stream.try_clone()?);
        let adopt = || tokio::net::TcpStream::from_std(stream);
        Self::login(socket, adopt, user, name, limit)
    }

    pub(crate) fn unix(socket: &Path, name: &str, limit: Duration) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("cannot connect to {}", socket.display()))?;
        stream.set_nonblocking(true)?;
        let socket = OwnedFd::from(stream.try_clone()?);
        let adopt = || tokio::net::UnixStream::from_std(stream);
        Self::login(socket, adopt, "postgres", name, limit)
    }

    /// `adopt` hands the socket over to the runtime, inside of it.
    fn login<S>(
        socket: OwnedFd,
        adopt: impl FnOnce() -> std::io::Result<S>,
        user: &str,
        name: &str,
        limit: Duration,
    ) -> Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start a runtime for a connection")?;
        let mut config = Config::new();
        config.user(user).dbname("postgres").application_name(name);
        let (client, transfer) = runtime.block_on(async {
            let connecting = config.connect_raw(adopt()?, NoTls);
            let (client, connection) = tokio::time::timeout(limit, connecting)
                .await
                .map_err(|_| silence(limit))?
                .map_err(|error| anyhow!("the server refused the login: {}", reason(&error)))?;
            let transfer = tokio::spawn(async move {
                // The query that was running fails with the same error.
                let _ = connection.await;
            });
            anyhow::Ok((client, transfer))
        })?;
        Ok(Self {
            runtime,
            client: Some(client),
            transfer,
            socket,
            limit,
        })
    }

    /// Runs SQL and returns the rows of the last statement in it that has any.
    ///
    /// # Errors
    /// What the server says, or when it says nothing in time. After the
    /// latter, the connection is of no use any more.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Row>> {
        let client = self.client.as_ref().context("the connection is closed")?;
        let answer = self.runtime.block_on(async {
            // Made in here: a timer needs the runtime around it.
            tokio::time::timeout(self.limit, client.simple_query(sql)).await
        });
        let messages = answer
            .map_err(|_| silence(self.limit))
            .and_then(|answer| answer.map_err(|error| anyhow!(reason(&error))))
            .with_context(|| format!("`{sql}`"))?;
        Ok(rows(&messages))
    }

    /// Runs SQL and returns the first column of its first row; `None` without
    /// rows, or for NULL.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn value(&mut self, sql: &str) -> Result<Option<String>> {
        let row = self.query(sql)?.into_iter().next();
        Ok(row.and_then(|row| row.into_iter().next().flatten()))
    }

    /// From now on, the longest to wait for an answer.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// A handle that can cut the connection from another thread.
    pub(crate) fn cutter(&self) -> Result<Cutter> {
        Ok(Cutter(self.socket.try_clone()?))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without its client, the connection says goodbye and ends; otherwise
        // the server would log an unexpected end.
        self.client = None;
        let _ = self
            .runtime
            .block_on(async { tokio::time::timeout(FAREWELL, &mut self.transfer).await });
    }
}

/// Cuts a connection, whoever waits on it.
#[derive(Debug)]
pub(crate) struct Cutter(OwnedFd);

impl Cutter {
    /// Ends the connection: a pending query fails at once.
    pub(crate) fn cut(&self) {
        let _ = shutdown(self.0.as_raw_fd(), Shutdown::Both);
    }
}

fn silence(limit: Duration) -> anyhow::Error {
    anyhow!("no answer from the server in {limit:?}")
}

/// What the server said, or else why it did not.
fn reason(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    match (error.as_db_error(), error.source()) {
        (Some(said), _) => format!("{}: {}", said.severity(), said.message()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

/// The rows of the last statement that has any.
fn rows(messages: &[SimpleQueryMessage]) -> Vec<Row> {
    let mut rows = Vec::new();
    for message in messages {
        match message {
            // A new statement's columns: its rows are the ones to return.
            SimpleQueryMessage::RowDescription(_) => rows.clear(),
            SimpleQueryMessage::Row(row) => rows.push(
                (0..row.len())
                    .map(|column| row.get(column).map(str::to_owned))
                    .collect(),
            ),
            _ => {}
        }
    }
    rows
}
