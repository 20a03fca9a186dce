//! PostgreSQL of other releases of Debian: fetched once, unpacked with all that it
//! needs to run, and never installed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use super::embedded;
use crate::provision::apt::{self, Apt, Archive};
use crate::provision::cache;
use crate::testbed::file;

/// The major versions that the tests run on, and the release that has each.
const RELEASES: [(u32, &str); 3] = [(13, "bullseye"), (15, "bookworm"), (17, "trixie")];

/// What brings the server up in a root of its own, beside the server itself: a shell
/// for `initdb`, and what the container's start runs.
const MORE: [&str; 4] = ["dash", "mount", "util-linux", "tzdata"];

/// Found in the root only when all of it was unpacked.
const WHOLE: &str = "whole";

#[derive(Debug, Clone)]
pub(super) struct Release {
    folder: PathBuf,
    major: u32,
}

impl Release {
    /// Every major version that there is a release for.
    pub(super) fn majors() -> [u32; RELEASES.len()] {
        RELEASES.map(|(major, _)| major)
    }

    /// The release with this major version: from the cache, or fetched.
    pub(super) fn get(major: u32) -> Result<Self> {
        let suite = RELEASES.iter().find(|(known, _)| *known == major);
        let (_, suite) = suite.with_context(|| {
            format!("no release of Debian is known for PostgreSQL {major}: there is a table in xtask/src/postgres/release.rs")
        })?;
        let place = cache::folder("postgres");
        let folder = place.join(major.to_string());
        file::make_folder(&folder)?;
        let _alone = cache::lock(&folder)?;
        let release = Self { folder, major };
        if !release.folder.join(WHOLE).exists() {
            cache::remove_orphans(&place)?;
            eprintln!("postgres   {major}: fetching from {suite}");
            release.fetch(&place, suite).map_err(|error| {
                let why = in_one_line(&format!("{error:#}"));
                anyhow!("PostgreSQL {major} cannot be had from Debian's {suite}, which may have left the archive: {why}")
            })?;
        }
        Ok(release)
    }

    pub(super) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// An empty folder to mount something on.
    pub(super) fn stage(&self) -> PathBuf {
        self.folder.join("stage")
    }

    /// The folder with its programs, as seen below its root.
    pub(super) fn bin(&self) -> PathBuf {
        PathBuf::from(format!("/usr/lib/postgresql/{}/bin", self.major))
    }

    fn fetch(&self, place: &Path, suite: &str) -> Result<()> {
        let state = cache::scratch(place, "apt")?;
        let security = format!("{suite}-security");
        let suites = [(Archive::Main, suite), (Archive::Security, &security)];
        let apt = Apt::prepare(state.path(), &suites)?;
        let server = format!("postgresql-{}", self.major);
        let wanted: Vec<&str> = [&[server.as_str()], &MORE[..]].concat();
        let packages = needed(&apt.dependencies(&wanted)?, &wanted);

        let (debs, root) = (
            cache::scratch(place, "packages")?,
            cache::scratch(place, "root")?,
        );
        let files = apt.download(&packages, debs.path())?;
        apt::unpack(&files, root.path())?;
        complete(root.path())?;
        for folder in [self.root(), self.stage()] {
            if folder.exists() {
                file::remove_folder(&folder)?;
            }
        }
        fs::rename(root.path(), self.root()).context("cannot keep what was unpacked")?;
        fs::create_dir(self.stage()).context("cannot make the folder to mount on")?;
        fs::write(self.folder.join(WHOLE), packages.join("\n")).context("cannot keep the list")
    }
}

/// Newer releases have everything below `/usr`, and the links to it in a package that
/// also has much else.
fn complete(root: &Path) -> Result<()> {
    for name in ["bin", "lib", "lib64", "sbin"] {
        let (link, target) = (root.join(name), Path::new("usr").join(name));
        if !link.exists() {
            symlink(target, &link).with_context(|| format!("cannot make {}", link.display()))?;
        }
    }
    Ok(())
}

/// What has to be unpacked for these packages, out of the answer of `apt-cache
/// depends --recurse`: with libraries, and without what only configures a system.
fn needed(depends: &str, wanted: &[&str]) -> Vec<String> {
    let mut graph: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut package = "";
    for line in depends.lines() {
        match line.strip_prefix(' ') {
            None => {
                package = line.trim();
                graph.entry(package).or_default();
            }
            Some(line) => {
                let line = line.trim_start_matches([' ', '|']);
                if let Some((kind, other)) = line.split_once(": ")
                    && matches!(kind, "Depends" | "PreDepends")
                {
                    graph.entry(package).or_default().push(other);
                }
            }
        }
    }
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let mut open: Vec<&str> = wanted.to_vec();
    while let Some(package) = open.pop() {
        // A name in angle brackets is none of a package's, but of several.
        if package.starts_with('<') || !found.insert(package) {
            continue;
        }
        let of_it = graph.get(package).into_iter().flatten();
        open.extend(of_it.filter(|other| is_needed(other)));
    }
    found.into_iter().map(str::to_owned).collect()
}

/// Without its compiler, which is half of it all, a server only does not compile
/// queries.
fn is_needed(package: &str) -> bool {
    let kinds = ["lib", "zlib", "postgresql-client-"];
    kinds.iter().any(|kind| package.starts_with(kind)) && !package.starts_with("libllvm")
}

/// Of what apt says, the errors; or everything, in one line.
fn in_one_line(text: &str) -> String {
    let errors: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("E: "))
        .collect();
    let lines = if errors.is_empty() {
        text.lines().collect()
    } else {
        errors
    };
    lines.join(" ")
}

/// Fetches what the tests run on and this machine does not have; a line on each.
/// What cannot be had is named, and is an error of the tests that want it.
pub(crate) fn fetch() {
    let majors = Release::majors().into_iter().chain(embedded::majors());
    for major in majors {
        match super::Programs::of(major) {
            Ok(programs) => println!("found      {programs}"),
            Err(error) => println!("missing    {error:#}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPENDS: &str = "postgresql-17\n \
        |Depends: locales\n  Depends: postgresql-client-17\n  Depends: postgresql-common\n  \
        Depends: libllvm19\n  Depends: zlib1g\n  Depends: <debconf-2.0>\n    cdebconf\n\
        postgresql-client-17\n  Depends: libpq5\n\
        postgresql-common\n  Depends: libperl5\n\
        libpq5\n  Depends: libc6\nlibc6\n  Depends: libgcc-s1\n\
        libgcc-s1\n  Depends: libc6\ndash\n  PreDepends: libc6\n";

    #[test]
    fn a_server_needs_libraries_and_nothing_that_sets_it_up() {
        assert_eq!(
            needed(DEPENDS, &["postgresql-17", "dash"]),
            [
                "dash",
                "libc6",
                "libgcc-s1",
                "libpq5",
                "postgresql-17",
                "postgresql-client-17",
                "zlib1g"
            ]
        );
    }

    #[test]
    fn of_an_error_of_apts_the_reason_is_shown() {
        let said = "`apt-get update` failed: Ign:1\nE: no Release file\nN: a note";
        assert_eq!(in_one_line(said), "E: no Release file");
        assert_eq!(in_one_line("a\nb"), "a b");
    }
}
