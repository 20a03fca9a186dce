//! What undoes a fault. Each thing is checked before it is touched: what is not
//! ours stays, and what is gone already is undone.

use std::io;

use serde::{Deserialize, Serialize};
use tracer_core::report::whereabouts::Whereabouts;

use crate::inject::Interface;
use crate::inject::guard::origin::Origin;
use crate::inject::handles::{FILTER_NAME, place};
use crate::kernel::ethtool;
use crate::kernel::tc::{self, Handle};

/// One thing to undo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Undo {
    /// Remove our filter.
    Filter {
        parent: Handle,
        priority: u16,
        handle: Handle,
    },
    /// Remove the place for filters, unless somebody uses it.
    Clsact,
    /// Remove our queueing discipline.
    Root { handle: Handle },
    /// Request these features of the interface again.
    Offloads(Vec<String>),
}

/// Undoes all of it where the interface is now, also after something could not be
/// undone, and verifies each. What is gone with the interface is undone. Returns what
/// became of that.
///
/// # Errors
/// What could not be undone, with the command that does.
pub(crate) fn carry_out(origin: &Origin, undo: &[Undo]) -> Result<Whereabouts, String> {
    let (whereabouts, failures) = origin.visit(|interface, whereabouts| -> Vec<String> {
        let moved = matches!(whereabouts, Whereabouts::Moved { .. });
        undo.iter()
            // Ours did not go with it, and one that is there now is somebody else's.
            .filter(|undo| !(moved && **undo == Undo::Clsact))
            .filter_map(|undo| one(interface, undo).err())
            .collect()
    });
    match failures {
        Some(failures) if !failures.is_empty() => {
            // An interface that went meanwhile took everything with it.
            let now = origin.whereabouts();
            if now.is_gone() {
                return Ok(now);
            }
            Err(failures.join("; "))
        }
        Some(_) => Ok(whereabouts),
        None => match whereabouts {
            Whereabouts::Unknown { reason } => Err(format!(
                "interface {} cannot be found again for certain: {reason}",
                origin.interface.name
            )),
            gone => Ok(gone),
        },
    }
}

fn one(interface: &Interface, undo: &Undo) -> Result<(), String> {
    let Interface { name, index } = interface;
    let (undone, what, command) = match undo {
        Undo::Filter {
            parent,
            priority,
            handle,
        } => (
            filter(*index, *parent, *priority, *handle),
            "the fault's filter",
            format!("tc filter del dev {name} parent {parent} prio {priority}"),
        ),
        Undo::Clsact => (
            clsact(*index),
            "clsact",
            format!("tc qdisc del dev {name} clsact"),
        ),
        Undo::Root { handle } => (
            root(*index, *handle),
            "the fault's queueing discipline",
            format!("tc qdisc del dev {name} root"),
        ),
        Undo::Offloads(features) => return offloads(name, features),
    };
    undone.map_err(|error| {
        format!("cannot remove {what} from {name}: {error}; do it with `{command}`")
    })
}

fn filter(interface: u32, parent: Handle, priority: u16, handle: Handle) -> io::Result<()> {
    let is_there = || -> io::Result<bool> {
        Ok(tc::filters(interface, parent)?.iter().any(|it| {
            (it.priority(), it.handle) == (priority, handle)
                && it.bpf_name().as_deref() == Some(FILTER_NAME)
        }))
    };
    if !is_there()? {
        return Ok(());
    }
    tc::delete_bpf_filter(place(interface, parent, handle), priority)?;
    gone(is_there()?)
}

fn clsact(interface: u32) -> io::Result<()> {
    let there = tc::qdiscs(interface)?
        .into_iter()
        .find(|it| it.kind == "clsact");
    let Some(there) = there else { return Ok(()) };
    for parent in [Handle::EGRESS, Handle::INGRESS] {
        // Somebody has found a use for it.
        if !tc::filters(interface, parent)?.is_empty() {
            return Ok(());
        }
    }
    tc::delete_qdisc(place(interface, Handle::CLSACT, there.handle), "clsact")
}

fn root(interface: u32, handle: Handle) -> io::Result<()> {
    let is_there = || -> io::Result<bool> {
        Ok(tc::qdiscs(interface)?
            .iter()
            .any(|it| it.parent == Handle::ROOT && it.handle == handle && it.kind == "prio"))
    };
    if !is_there()? {
        return Ok(());
    }
    // The kernel compares kind and handle once more.
    tc::delete_qdisc(place(interface, Handle::ROOT, handle), "prio")?;
    gone(is_there()?)
}

fn gone(is_there: bool) -> io::Result<()> {
    if is_there {
        return Err(io::Error::other("the kernel says that it is still there"));
    }
    Ok(())
}

fn offloads(name: &str, features: &[String]) -> Result<(), String> {
    if features.is_empty() {
        return Ok(());
    }
    let off = || -> io::Result<Vec<String>> {
        Ok(ethtool::features(name)?
            .into_iter()
            .filter(|feature| features.contains(&feature.name) && !feature.requested)
            .map(|feature| feature.name)
            .collect())
    };
    let restore = || -> io::Result<Vec<String>> {
        let left = off()?;
        if left.is_empty() {
            // Somebody has switched them on already.
            return Ok(left);
        }
        ethtool::request(name, &left, true)?;
        off()
    };
    let switch_on = || format!("`ethtool -K {name} {} on`", features.join(" on "));
    match restore() {
        Ok(missing) if missing.is_empty() => Ok(()),
        Ok(missing) => Err(format!(
            "offloads {} of {name} stay off; switch them on with {}",
            missing.join(", "),
            switch_on()
        )),
        Err(error) => Err(format!(
            "cannot switch the offloads of {name} back on: {error}; do it with {}",
            switch_on()
        )),
    }
}
