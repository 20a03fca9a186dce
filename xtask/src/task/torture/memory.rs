//! A control group with little memory, of either version.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::testbed::{resource_name, wait};

/// Where control groups are, and what limits memory there: version 2, where somebody has
/// given the groups below the first one that right, and version 1.
const PLACES: [(&str, &str); 3] = [
    ("/sys/fs/cgroup", "memory.max"),
    ("/sys/fs/cgroup/unified", "memory.max"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
];

/// How long the last process of a group may take to be gone.
const EMPTY: Duration = Duration::from_secs(5);

/// A control group, removed when dropped.
#[derive(Debug)]
pub(super) struct Group {
    path: PathBuf,
}

impl Group {
    /// One in which all processes together have so much memory.
    pub(super) fn new(mib: u64) -> Result<Self> {
        let name = resource_name::name("torture", "memory");
        let mut refused = anyhow::anyhow!("no control group limits memory here");
        for (place, limit) in PLACES {
            let path = Path::new(place).join(&name);
            if fs::create_dir(&path).is_err() {
                continue;
            }
            let group = Self { path };
            let limit = group.path.join(limit);
            // Where it is not there, it is not to be made.
            let open = OpenOptions::new().write(true).open(&limit);
            let bytes = (mib << 20).to_string();
            match open.and_then(|mut file| file.write_all(bytes.as_bytes())) {
                Ok(()) => return Ok(group),
                Err(error) => {
                    refused = anyhow::Error::new(error)
                        .context(format!("cannot write to {}", limit.display()));
                }
            }
        }
        Err(refused)
    }

    /// Whoever writes his process id into it belongs to it.
    pub(super) fn members(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let removed = wait::until_uninterrupted(EMPTY, "a control group to be empty", || {
            Ok(fs::remove_dir(&self.path).ok())
        });
        if let Err(error) = removed.context("a control group is left behind") {
            eprintln!("warning: {}: {error:#}", self.path.display());
        }
    }
}
