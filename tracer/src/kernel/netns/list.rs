//! Which network namespaces there are.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::kernel::descriptors::is_exhausted;
use crate::kernel::netns::{NAMED, Netns, NetnsError, inode_of};

/// The network namespaces that can be found: the calling thread's first, then
/// those that `ip netns` named, then those that some process is in. Each is there
/// once.
///
/// What is missing: namespaces of processes that may not be looked at (without
/// root, or with `hidepid`) and those kept by nothing but a socket, a thread or a
/// bind mount elsewhere.
///
/// # Errors
/// When `/proc` is not mounted, or when there are more than this process may have open:
/// some of them are not all of them.
pub(crate) fn all() -> Result<Vec<Netns>, NetnsError> {
    let current = Netns::current()?;
    let mut known = HashSet::from([current.inode()]);
    let mut list = vec![current];
    for name in names(NAMED)? {
        // What vanished meanwhile, or is a left-over, is not there.
        if let Some(found) = there(Netns::open(&name))? {
            if known.insert(found.inode()) {
                list.push(found);
            } else if let Some(same) = list.iter_mut().find(|n| n.inode() == found.inode()) {
                same.name.get_or_insert(name);
            }
        }
    }
    for process in names("/proc")? {
        if !process.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let path = Path::new("/proc").join(process).join("ns/net");
        // Reading the link first spares opening what is known, which is most.
        let inode = fs::read_link(&path)
            .ok()
            .and_then(|link| inode_of(link.to_str()?));
        if inode.is_some_and(|inode| !known.contains(&inode))
            && let Some(found) = there(Netns::at(&path))?
            && known.insert(found.inode())
        {
            list.push(found);
        }
    }
    Ok(list)
}

/// A network namespace by its name if `ip netns` gave it one, for people.
#[must_use]
pub(crate) fn shown(inode: u32) -> String {
    let named = names(NAMED).unwrap_or_default().into_iter().find(|name| {
        let found = Netns::open(name);
        found.is_ok_and(|found| found.inode() == inode)
    });
    named.unwrap_or_else(|| format!("net:[{inode}]"))
}

/// What can be opened, unless nothing more can.
fn there(opened: Result<Netns, NetnsError>) -> Result<Option<Netns>, NetnsError> {
    match opened {
        Ok(found) => Ok(Some(found)),
        Err(NetnsError::Open { path, cause }) if is_exhausted(&cause) => {
            Err(NetnsError::Open { path, cause })
        }
        Err(_) => Ok(None),
    }
}

/// Names of a directory's entries; none if it cannot be read.
fn names(directory: &str) -> Result<Vec<String>, NetnsError> {
    let entries = match fs::read_dir(directory) {
        Err(cause) if is_exhausted(&cause) => {
            let path = directory.into();
            return Err(NetnsError::Open { path, cause });
        }
        entries => entries.into_iter().flatten().flatten(),
    };
    Ok(entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect())
}
