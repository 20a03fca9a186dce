//! Whose socket it is.

use serde::{Deserialize, Serialize};

/// Names under which servers are packaged. They only decide where the file cannot: when
/// it may not be looked at, or exports nothing.
const SERVERS: [&[u8]; 4] = [
    b"postgres",
    b"postmaster",
    b"edb-postgres",
    b"edb-postmaster",
];

/// The process that owns a socket.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Process {
    /// Process id as this tool sees it.
    pub pid: u32,
    /// Name of the executable, at most 15 bytes.
    pub comm: String,
    /// What a PostgreSQL process says it is, such as `postgres: walreceiver`;
    /// `null` for other programs, whose arguments may hold secrets.
    pub title: Option<String>,
    /// What it runs, if that is one of those that connections are recognised by.
    #[serde(skip)]
    pub program: Option<Program>,
    /// Its id in its own PID namespace, as its server knows it; `None` if it has ended.
    #[serde(skip)]
    pub own_pid: Option<u32>,
}

/// A program that connections are recognised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The server.
    Postgres,
    /// `pg_receivewal`.
    PgReceivewal,
    /// Patroni.
    Patroni,
    /// etcd.
    Etcd,
}

impl Program {
    /// By the name alone: of a process that has ended, or may not be looked into.
    #[must_use]
    pub fn by_name(name: &[u8]) -> Option<Self> {
        match name {
            b"pg_receivewal" => Some(Self::PgReceivewal),
            b"patroni" => Some(Self::Patroni),
            b"etcd" => Some(Self::Etcd),
            name if SERVERS.contains(&name) => Some(Self::Postgres),
            _ => None,
        }
    }
}

/// A process in a few words.
pub(crate) fn words(process: Option<&Process>) -> String {
    match process {
        None => "-".to_owned(),
        Some(Process {
            pid, comm, title, ..
        }) => match title {
            Some(title) => format!("{title} [{pid}]"),
            None => format!("{comm} [{pid}]"),
        },
    }
}
