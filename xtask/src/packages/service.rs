//! Packages that bring services, installed for their programs alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::{command, install};

/// What Debian's packages ask whether they may start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// "Not allowed", in that protocol.
const REFUSE: &str = "#!/bin/sh\nexit 101\n";

/// Installs packages; those of their services that were not here before are neither
/// started now nor with the machine.
///
/// # Errors
/// As [`install`].
pub(super) fn install_without(services: &[&str], packages: &[&str]) -> Result<()> {
    let new: Vec<&str> = services
        .iter()
        .filter(|service| !is_here(service))
        .copied()
        .collect();
    let _policy = Policy::refuse()?;
    install(packages)?;
    for service in new {
        // Each tool knows of the services of its kind and fails for the other's.
        let unit = format!("{service}.service");
        for (tool, arguments) in [
            ("deb-systemd-helper", ["disable", unit.as_str()]),
            ("update-rc.d", [service, "disable"]),
        ] {
            let _ = command::output(command::named(tool).args(arguments));
        }
    }
    Ok(())
}

fn is_here(service: &str) -> bool {
    let unit = format!("/lib/systemd/system/{service}.service");
    Path::new(&unit).exists() || Path::new("/etc/init.d").join(service).exists()
}

/// While this lives, packages start no services. A policy that somebody else has
/// made stays as it is, and decides.
struct Policy {
    ours: bool,
}

impl Policy {
    fn refuse() -> Result<Self> {
        let ours = nix::unistd::geteuid().is_root() && !Path::new(POLICY).exists();
        if ours {
            let write = fs::write(POLICY, REFUSE)
                .and_then(|()| fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755)));
            write.with_context(|| format!("cannot write {POLICY}"))?;
        }
        Ok(Self { ours })
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
