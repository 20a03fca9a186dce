//! Undoing what a fault left behind whose guard was killed, too.

use std::io;
use std::path::Path;

use nix::net::if_::if_nameindex;
use tracer_core::report::whereabouts::Whereabouts;

use crate::inject::guard::origin::Origin;
use crate::inject::guard::state_file::{self, Content, Held};
use crate::inject::guard::undo::{self, Undo};
use crate::inject::handles::{FILTER_NAME, ROOT};
use crate::inject::{Interface, Record};
use crate::kernel::netns::{self, Netns, NetnsError};
use crate::kernel::own_thread::on_own_thread;
use crate::kernel::tc::{self, Handle};

/// What was found of a fault, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leftover {
    /// The interface, and the inode of the network namespace; [`None`] if that cannot
    /// be read.
    pub place: Option<(String, u32)>,
    /// What it is.
    pub what: String,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a leftover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is undone.
    Undone,
    /// It is undone, or there is nothing left to undo, because of what became of its
    /// interface.
    Followed(Whereabouts),
    /// It is none: its guard or its tool lives, and will undo it.
    Active {
        /// The process that makes the fault; [`None`] if this version cannot read
        /// that.
        pid: Option<u32>,
    },
    /// It is not undone, for this reason.
    Failed(String),
}

/// Why nothing could be searched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CleanError {
    #[error("cannot read the records of faults in /run/tracer: {0}")]
    Records(io::Error),
    #[error(transparent)]
    Namespaces(#[from] NetnsError),
}

/// Undoes what is left in every network namespace that can be found. Touches only
/// what is ours, and no fault whose guard or tool lives.
pub(crate) fn clean() -> Result<Vec<Leftover>, CleanError> {
    // A process counts as where its first thread is, and whoever removes a
    // namespace ends those that are in it.
    on_own_thread(visit_all).map_err(NetnsError::Thread)?
}

fn visit_all() -> Result<Vec<Leftover>, CleanError> {
    let namespaces = netns::all()?;
    let recorded = state_file::all().map_err(CleanError::Records)?;
    let mut found = Vec::new();
    for record in recorded {
        match state_file::claim(&record.path) {
            Ok((content, held)) => found.extend(carry_out(&record.path, content, held)),
            // Somebody else undid it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(CleanError::Records(error)),
        }
    }
    for namespace in &namespaces {
        match unrecorded(namespace) {
            Ok(more) => found.extend(more),
            Err(error) => log::warn!("net:[{}] was not searched: {error}", namespace.inode()),
        }
    }
    Ok(found)
}

fn carry_out(path: &Path, content: Content, held: Option<Held>) -> Option<Leftover> {
    match (content, held) {
        (Content::Record(record), held) => Some(recorded(&record, held)),
        (Content::Unreadable(reason), held) => Some(Leftover {
            place: None,
            what: path.display().to_string(),
            fate: match held {
                None => Fate::Active { pid: None },
                Some(_) => Fate::Failed(format!(
                    "this version of tracer cannot read that record ({reason}): undo it with `tracer clean` of the version that made it, or see what is off with `ethtool -k` and remove the file"
                )),
            },
        }),
        // Nothing was changed for it.
        (Content::Unfinished, Some(held)) => {
            held.release();
            None
        }
        (Content::Unfinished, None) => None,
    }
}

fn recorded(record: &Record, held: Option<Held>) -> Leftover {
    let fate = match held {
        None => Fate::Active {
            pid: Some(record.note.pid),
        },
        Some(held) => match undo::carry_out(&record.origin, &record.undo) {
            Ok(whereabouts) => {
                held.release();
                match whereabouts {
                    Whereabouts::AsBefore => Fate::Undone,
                    other => Fate::Followed(other),
                }
            }
            Err(reason) => Fate::Failed(reason),
        },
    };
    Leftover {
        place: Some((record.interface().name.clone(), record.netns())),
        what: record.note.faults.join(" + "),
        fate,
    }
}

/// What bears our marks and has no record: somebody emptied `/run`, or sees another
/// one.
fn unrecorded(namespace: &Netns) -> Result<Vec<Leftover>, NetnsError> {
    let _inside = namespace.enter()?;
    let mut found = Vec::new();
    let Ok(interfaces) = if_nameindex() else {
        return Ok(found);
    };
    for interface in &interfaces {
        let interface = Interface {
            name: interface.name().to_string_lossy().into_owned(),
            index: interface.index(),
        };
        let marks = marks(interface.index).unwrap_or_default();
        if marks.is_empty() {
            continue;
        }
        // Held while it is undone, so that no fault begins meanwhile. One that
        // lives is in its record.
        let held = match state_file::hold(namespace.inode(), &interface) {
            Ok(held) => Ok(held),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => Err(format!("it cannot be held meanwhile: {error}")),
        };
        // One that goes just now takes everything with it.
        let Ok(origin) = Origin::of(&interface) else {
            continue;
        };
        let undone = held.and_then(|_held| undo::carry_out(&origin, &marks));
        let fate = match undone {
            Ok(_) => Fate::Undone,
            Err(reason) => Fate::Failed(reason),
        };
        found.push(Leftover {
            place: Some((interface.name, namespace.inode())),
            what: "a fault without a record".to_owned(),
            fate,
        });
    }
    Ok(found)
}

/// What undoes everything on the interface that is ours by its name.
fn marks(interface: u32) -> io::Result<Vec<Undo>> {
    let mut marks = Vec::new();
    for parent in [Handle::EGRESS, Handle::INGRESS] {
        for filter in tc::filters(interface, parent)? {
            if filter.bpf_name().as_deref() == Some(FILTER_NAME) {
                marks.push(Undo::Filter {
                    parent,
                    priority: filter.priority(),
                    handle: filter.handle,
                });
            }
        }
    }
    let qdiscs = tc::qdiscs(interface)?;
    let is_ours = |qdisc: &tc::Object| {
        qdisc.parent == Handle::ROOT && qdisc.handle == ROOT && qdisc.kind == "prio"
    };
    if qdiscs.iter().any(is_ours) {
        marks.push(Undo::Root { handle: ROOT });
    }
    Ok(marks)
}
