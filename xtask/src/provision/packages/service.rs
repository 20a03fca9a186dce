//! Packages that bring services, installed for their programs alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::temporary::{self, Temporary};
use super::{command, install};

/// What Debian's packages ask whether they may start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// "Not allowed", in that protocol; and whose word that is.
fn refusal(mark: &str) -> String {
    format!("#!/bin/sh\n# {mark}: while packages are set up\nexit 101\n")
}

/// Installs packages; those of their services that were not here before are neither
/// started now nor with the machine.
pub(super) fn install_without(services: &[&str], packages: &[&str]) -> Result<()> {
    let new: Vec<&str> = services
        .iter()
        .filter(|service| !is_here(service))
        .copied()
        .collect();
    let policy = refuse(Path::new(POLICY))?;
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
    drop(policy);
    Ok(())
}

/// Removes the policy of a run that was killed: it would keep all services from starting
/// for good.
pub(super) fn remove_orphan() -> Result<()> {
    temporary::remove_orphan(Path::new(POLICY))
}

fn is_here(service: &str) -> bool {
    let unit = format!("/lib/systemd/system/{service}.service");
    Path::new(&unit).exists() || Path::new("/etc/init.d").join(service).exists()
}

/// While its value lives, packages start no services. A policy that somebody else has
/// made stays as it is, and decides.
fn refuse(path: &Path) -> Result<Option<Temporary>> {
    // Who is not root installs nothing; `install` says so in better words.
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    temporary::remove_orphan(path)?;
    if path.exists() {
        return Ok(None);
    }
    let policy = Temporary::write(path, &refusal(&temporary::mark()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} a program", path.display()))?;
    Ok(Some(policy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_of_a_run_that_was_killed_is_not_somebody_else_s_as_root() {
        crate::testbed::netns::require_root().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy-rc.d");
        fs::write(&path, refusal("tracer-setup-4194305-file")).unwrap();
        let ours = refuse(&path).unwrap();
        assert!(ours.is_some() && path.exists());
        let status = std::process::Command::new("sh")
            .arg(&path)
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(101));
        drop(ours);
        assert!(!path.exists());
        fs::write(&path, "#!/bin/sh\nexit 101\n").unwrap();
        assert!(refuse(&path).unwrap().is_none());
        assert!(path.exists());
    }
}
