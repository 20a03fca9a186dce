//! A network interface of this network namespace.

use std::io;

use nix::net::if_::if_nametoindex;
use serde::{Deserialize, Serialize};

use crate::inject::error::InjectError;
use crate::kernel::ethtool::{self, Feature};
use crate::kernel::link;

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
    pub(crate) fn by_name(name: &str) -> io::Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            index: if_nametoindex(name)?,
        })
    }

    /// The interface with this index, if there is one.
    pub(crate) fn by_index(index: u32) -> io::Result<Self> {
        let there = link::by_index(index)?;
        let there = there.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
        Ok(Self {
            name: there.name,
            index,
        })
    }

    /// The interface that the user named.
    pub(crate) fn named(name: &str) -> Result<Self, InjectError> {
        Self::by_name(name).map_err(|error| InjectError::Interface {
            name: name.to_owned(),
            error,
        })
    }

    /// What `ethtool -k` shows of it.
    pub(crate) fn features(&self) -> Result<Vec<Feature>, InjectError> {
        ethtool::features(&self.name).map_err(|error| InjectError::Offloads {
            doing: "read",
            interface: self.name.clone(),
            error,
        })
    }
}
