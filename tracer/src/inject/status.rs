//! Which faults there are, and what was left of some.

use std::io;

use serde::Serialize;

use super::{Record, record};

/// A fault that is known on this host, in whatever network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// What is known of it.
    #[serde(flatten)]
    pub record: Record,
    /// Whether its guard lives. If not, it is not undone: [`super::clean`] does.
    pub active: bool,
}

/// Every fault, by network namespace and interface.
///
/// # Errors
/// If the records cannot be read.
pub fn status() -> io::Result<Vec<Status>> {
    let statuses = record::all()?.into_iter().map(|left| Status {
        active: left.held.is_none(),
        record: left.record,
    });
    Ok(statuses.collect())
}
