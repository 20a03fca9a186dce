//! System packages: what is missing, and how this system gets it.

mod need;
mod service;
mod temporary;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use self::need::BASIC;
pub(crate) use self::need::{ALERTS, CLUSTER, FUZZING, GUESTS, Needs, PICTURES, TESTS};
use self::temporary::Temporary;
use crate::testbed::command;

/// The oldest PostgreSQL that the lab's settings are written for.
const OLDEST_POSTGRES: u32 = 13;

/// Debian keeps every major version of PostgreSQL in a folder of its own here.
const POSTGRES_FOLDERS: &str = "/usr/lib/postgresql";

/// The folder of another version's programs, for a lab that is to run that one.
const OTHER_POSTGRES: &str = "TRACER_POSTGRES_BIN";

/// Read by `pg_createcluster` when a server package is configured.
const CLUSTER_DEFAULTS: &str = "/etc/postgresql-common/createcluster.d";

/// Who they run as: Debian's packages make these users.
pub(crate) const ETCD_USER: &str = "etcd";
pub(crate) const HAPROXY_USER: &str = "haproxy";
pub(crate) const PROMETHEUS_USER: &str = "prometheus";

/// Finds or installs the packages of the lab; one line each on standard output.
pub(crate) fn ensure() -> Result<()> {
    if nix::unistd::geteuid().is_root() {
        service::remove_orphan()?;
        temporary::remove_orphan(&no_cluster_file())?;
    }
    let mut missing: Vec<&str> = Vec::new();
    for need in BASIC {
        match need.thing.found() {
            Some(found) => println!("found      {found} ({})", need.why),
            None => missing.extend(need.packages()),
        }
    }
    let postgres = postgres_bin();
    let wants_postgres = postgres.is_err();
    if let Ok(folder) = postgres {
        println!("found      {} (the lab's database)", folder.display());
    } else {
        // The metapackages know this release's major version; pgbench and the
        // extensions come with the server package or with contrib.
        missing.extend(["postgresql", "postgresql-contrib"]);
    }
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let _quiet = wants_postgres.then(no_cluster).transpose()?;
    install(&missing)
}

/// Finds or installs these; says so only when something is missing. No service is started
/// or enabled by that.
pub(crate) fn ensure_also(needs: &Needs) -> Result<()> {
    let missing = needs.missing();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {} ({})", missing.join(" "), needs.how);
    if needs.services.is_empty() {
        return install(&missing);
    }
    service::install_without(needs.services, &missing)
}

pub(crate) fn program(name: &str) -> Result<PathBuf> {
    command::find(name).with_context(|| {
        format!("there is no {name} here: `cargo xtask lab` or `cargo xtask test` installs it")
    })
}

/// Installs packages with apt; prints one line for each.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if command::find("apt-get").is_none() {
        bail!(
            "missing on this system: {list} (names of Debian's packages; this system has no \
             apt-get). Install what carries these names here, then run this again"
        );
    }
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "missing: {list}. Installing needs root: run \
             `sudo apt-get install --no-install-recommends {list}`, then this again"
        );
    }
    apt(&["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)?;
    for package in packages {
        println!("installed  package {package}");
    }
    Ok(())
}

/// Whether apt can get the package; false without apt.
pub(crate) fn is_available(package: &str) -> bool {
    let Ok(policy) = command::output(Command::new("apt-cache").args(["policy", package])) else {
        return false;
    };
    has_candidate(&policy)
}

/// Refreshes apt's lists, which a fresh container comes without.
pub(crate) fn refresh() -> Result<()> {
    apt(&["update"])
}

fn has_candidate(policy: &str) -> bool {
    policy
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate:"))
        .any(|version| version.trim() != "(none)")
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive")
        .args(["--quiet", "--option", "DPkg::Lock::Timeout=300"])
        .args(arguments);
    command::output(&mut apt).map(|_| ())
}

/// The folder with the server programs of the newest PostgreSQL here.
pub(crate) fn postgres_bin() -> Result<PathBuf> {
    if let Some(bin) = std::env::var_os(OTHER_POSTGRES).map(PathBuf::from) {
        ensure!(
            is_server(&bin),
            "{OTHER_POSTGRES}: there is no PostgreSQL server in {}",
            bin.display()
        );
        return Ok(bin);
    }
    let folders = fs::read_dir(POSTGRES_FOLDERS)
        .with_context(|| format!("no PostgreSQL server: cannot read {POSTGRES_FOLDERS}"))?;
    folders
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let major: u32 = path.file_name()?.to_str()?.parse().ok()?;
            Some((major, path.join("bin")))
        })
        .filter(|(major, bin)| *major >= OLDEST_POSTGRES && is_server(bin))
        .max()
        .map(|(_, bin)| bin)
        .with_context(|| {
            format!("no PostgreSQL server of version {OLDEST_POSTGRES} or later under {POSTGRES_FOLDERS}: run `cargo xtask setup`")
        })
}

/// The folder with this machine's programs of that major version.
pub(crate) fn postgres_bin_of(major: u32) -> Option<PathBuf> {
    let bin = Path::new(POSTGRES_FOLDERS)
        .join(major.to_string())
        .join("bin");
    is_server(&bin).then_some(bin)
}

fn is_server(bin: &Path) -> bool {
    ["postgres", "initdb", "pg_basebackup", "pgbench"]
        .iter()
        .all(|program| bin.join(program).exists())
}

fn no_cluster_file() -> PathBuf {
    Path::new(CLUSTER_DEFAULTS).join("tracer-setup.conf")
}

/// While its value lives, a PostgreSQL server package that gets installed neither makes a
/// database cluster of its own nor starts one. Nothing stays behind.
fn no_cluster() -> Result<Option<Temporary>> {
    // Not root, or another system: `install` says so in better words.
    if !nix::unistd::geteuid().is_root() || command::find("apt-get").is_none() {
        return Ok(None);
    }
    let text = format!(
        "# {}: while packages are set up\ncreate_main_cluster = false\n",
        temporary::mark()
    );
    Temporary::write(&no_cluster_file(), &text).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_is_a_version() {
        assert!(has_candidate(
            "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0\n"
        ));
        assert!(!has_candidate(
            "x:\n  Installed: (none)\n  Candidate: (none)\n"
        ));
        assert!(!has_candidate(""));
    }
}
