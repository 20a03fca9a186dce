//! What a connection is for, as the report says it.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::report::process::{self, Process};
use crate::text;

/// What a connection is for.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A server sends its log: this end is the primary's.
    Walsender,
    /// A standby receives WAL: this end is the standby's.
    Walreceiver,
    /// A client of PostgreSQL, seen from either end.
    Client,
    /// Patroni.
    Patroni,
    /// etcd.
    Etcd,
    /// Another process of PostgreSQL.
    PostgresOther,
    /// Anything else, or not known.
    #[default]
    Other,
}

impl fmt::Display for Kind {
    /// As the report's JSON names it.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(to)
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Walsender,
        Self::Walreceiver,
        Self::Client,
        Self::Patroni,
        Self::Etcd,
        Self::PostgresOther,
        Self::Other,
    ];

    /// Whether a server's log is sent or received.
    #[must_use]
    pub fn is_replication(self) -> bool {
        matches!(self, Self::Walsender | Self::Walreceiver)
    }
}

/// How a role is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToldBy {
    /// The server's own views (`--pg`).
    Postgres,
    /// The process at this end.
    Process,
    /// A port by which it usually goes: a guess.
    Port,
}

/// What a connection is for, and how that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowRole {
    /// What it is for.
    #[serde(rename = "role")]
    pub kind: Kind,
    /// Of replication: the standby's name, as the server knows it.
    pub standby: Option<String>,
    /// How that is known; `null` where nothing is.
    #[serde(rename = "role_told_by")]
    pub told_by: Option<ToldBy>,
}

impl FlowRole {
    /// In a few words, such as `replication to db2`; `None` where nothing is known.
    pub(crate) fn words(&self, remote: IpAddr) -> Option<String> {
        let words = match self.kind {
            Kind::Walsender => {
                let to = self.standby.as_deref().map(text::name);
                format!(
                    "replication to {}",
                    to.unwrap_or_else(|| remote.to_string())
                )
            }
            Kind::Walreceiver => format!("replication from {remote}"),
            Kind::Client => "client of PostgreSQL".to_owned(),
            Kind::Patroni => "Patroni".to_owned(),
            Kind::Etcd => "etcd".to_owned(),
            Kind::PostgresOther => "PostgreSQL".to_owned(),
            Kind::Other => return None,
        };
        Some(match self.told_by {
            Some(ToldBy::Port) => format!("{words}, by its port"),
            _ => words,
        })
    }

    /// The same of replication alone.
    #[must_use]
    pub fn replication(&self, remote: IpAddr) -> Option<String> {
        match self.kind {
            Kind::Walsender | Kind::Walreceiver => self.words(remote),
            _ => None,
        }
    }

    /// Role and process in a few words: what a process calls itself is left out
    /// where the role says it better.
    #[must_use]
    pub fn with_process(&self, remote: IpAddr, process: Option<&Process>) -> String {
        let own = || process::words(process);
        match (self.words(remote), self.kind, process) {
            (Some(words), Kind::Walsender | Kind::Walreceiver, Some(process)) => {
                format!("{words} [{}]", process.pid)
            }
            (Some(words), _, None) => words,
            (Some(words), Kind::Client, Some(process)) if process.title.is_none() => {
                format!("{words}: {}", own())
            }
            _ => own(),
        }
    }
}
