//! Which faults there are, and what was left of some.

use std::io;
use std::path::PathBuf;

use serde::Serialize;
use tracer_core::report::whereabouts::Whereabouts;

use crate::inject::Record;
use crate::inject::guard::state_file::{self, Content};

/// All that is known on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Statuses {
    /// Every fault, by network namespace and interface.
    pub faults: Vec<Status>,
    /// Records that this version cannot read.
    pub unreadable: Vec<Unreadable>,
}

/// A fault that is known on this host, in whatever network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// What is known of it.
    #[serde(flatten)]
    pub record: Record,
    /// Whether its guard or its tool lives. If not, it is not undone: [`crate::inject::clean`] does.
    pub active: bool,
    /// What became of its interface.
    pub interface_now: Whereabouts,
}

/// A record that this version cannot read, such as a later version's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// Its file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
    /// Whether its guard lives.
    pub active: bool,
}

/// Reads every record. Changes nothing.
///
/// # Errors
/// If the records cannot be read.
pub fn status() -> io::Result<Statuses> {
    let mut found = Statuses::default();
    for left in state_file::all()? {
        match left.content {
            Content::Record(record) => found.faults.push(Status {
                interface_now: record.origin.whereabouts(),
                record: *record,
                active: left.active,
            }),
            Content::Unreadable(reason) => found.unreadable.push(Unreadable {
                path: left.path,
                reason,
                active: left.active,
            }),
            // Nothing was changed for it.
            Content::Unfinished => {}
        }
    }
    Ok(found)
}
