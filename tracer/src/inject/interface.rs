//! A network interface of this network namespace.

use std::{ffi::CString, io};

use nix::net::if_::{if_indextoname, if_nametoindex};
use serde::{Deserialize, Serialize};

/// An interface by the number that stays and the name that people use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Name, at most 15 bytes.
    pub name: String,
    /// Index, unique in its network namespace.
    pub index: u32,
}

impl Interface {
    /// The interface with this name, if there is one.
    pub(super) fn by_name(name: &str) -> io::Result<Self> {
        let name = name.to_owned();
        let index = if_nametoindex(name.as_str())?;
        Ok(Self { name, index })
    }

    /// The interface with this index, if there is one.
    pub(super) fn by_index(index: u32) -> io::Result<Self> {
        let name = if_indextoname(index)?;
        Ok(Self {
            name: text(&name),
            index,
        })
    }
}

fn text(name: &CString) -> String {
    name.to_string_lossy().into_owned()
}
