//! Connection strings that cannot be meant.

use crate::postgres::connection::dsn::DsnError;

/// A DSN that cannot be meant, or not be honoured.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TargetError {
    /// It cannot be read.
    #[error("--pg: {0}")]
    Dsn(#[from] DsnError),
    /// A keyword that does not exist.
    #[error(
        "--pg: there is no setting `{0}`; libpq's are known, such as host, port, user, dbname, sslmode"
    )]
    Unknown(String),
    /// Likewise, where the word may be part of a password.
    #[error(
        "--pg: one of its settings does not exist; a password with spaces is written in single quotes"
    )]
    UnknownHidden,
    /// A setting that exists and is not supported.
    #[error("--pg: tracer cannot honour {0}, and does not connect without it")]
    Unsupported(&'static str),
    /// A value that is none.
    #[error("--pg: {key} `{value}` {what}")]
    Value {
        /// Keyword.
        key: &'static str,
        /// What was given; never of a password.
        value: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Lists of different lengths.
    #[error("--pg: {0} has another number of entries than the list of hosts")]
    Counts(&'static str),
    /// No user name.
    #[error("--pg: no user was named, and this process's own has no name; add user=NAME")]
    NoUser,
    /// A service that is not there.
    #[error("--pg: service `{name}` is in none of the service files ({looked})")]
    Service {
        /// Its name.
        name: String,
        /// Where it was looked for.
        looked: String,
    },
    /// A service file that cannot be read.
    #[error("--pg: the service file {path} cannot be read: {error}")]
    ServiceFile {
        /// Which.
        path: String,
        /// What the system says.
        error: String,
    },
    /// A line of it that libpq refuses, or that tracer cannot honour.
    #[error("--pg: line {number} of the service file {path} {what}")]
    ServiceLine {
        /// Which file.
        path: String,
        /// Counted from 1.
        number: usize,
        /// What is wrong with the line.
        what: &'static str,
    },
    /// No certificate to check with.
    #[error(
        "--pg: sslmode={mode} needs root certificates, and {path} does not exist; name a file with sslrootcert, or check less with sslmode=require"
    )]
    NoRoot {
        /// `verify-ca` or `verify-full`.
        mode: &'static str,
        /// Where they were looked for.
        path: String,
    },
}

impl TargetError {
    pub(super) fn value(key: &'static str, value: &str, what: &'static str) -> Self {
        let value = value.to_owned();
        Self::Value { key, value, what }
    }
}
