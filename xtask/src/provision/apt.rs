//! An apt with a state of its own, for suites that this machine does not use.
//! The machine's own lists, caches and sources stay as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::testbed::{command, file};

/// Debian's keys, of older and newer releases than the machine's, too.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Which of Debian's two archives has a suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Archive {
    /// Releases and backports.
    Main,
    /// Security updates: of an old release, the only one that still moves.
    Security,
}

/// The state of some suites.
pub(crate) struct Apt {
    configuration: PathBuf,
}

impl Apt {
    /// Makes the state in `folder`, and refreshes its lists.
    pub(crate) fn prepare(folder: &Path, suites: &[(Archive, &str)]) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let sources: Result<String> = suites
            .iter()
            .map(|(archive, suite)| Ok(source(&own_site(*archive)?, suite)))
            .collect();
        write(&folder.join("sources.list"), &sources?)?;
        let configuration = folder.join("apt.conf");
        write(&configuration, &configure(folder))?;
        let apt = Self { configuration };
        command::output(apt.command("apt-get").arg("update")).with_context(|| {
            let names: Vec<&str> = suites.iter().map(|(_, suite)| *suite).collect();
            format!("cannot read what {} has", names.join(" and "))
        })?;
        Ok(apt)
    }

    /// Packages whose names match the pattern, with a line on each.
    pub(crate) fn search(&self, pattern: &str) -> Result<String> {
        let mut search = self.command("apt-cache");
        command::output(search.args(["search", "--names-only", pattern]))
    }

    /// What the archive says of the newest version of a package; empty if it has none.
    pub(crate) fn show(&self, package: &str) -> Result<String> {
        let mut show = self.command("apt-cache");
        command::output(show.args(["--no-all-versions", "show", package]))
    }

    /// Everything that the packages depend on, and what that depends on.
    pub(crate) fn dependencies(&self, packages: &[&str]) -> Result<String> {
        let mut depends = self.command("apt-cache");
        depends.args(["depends", "--recurse", "--no-recommends", "--no-suggests"]);
        depends.args(["--no-conflicts", "--no-breaks", "--no-replaces"]);
        command::output(depends.arg("--no-enhances").args(packages))
    }

    /// Fetches packages into `folder`, in which no others are.
    pub(crate) fn download(&self, packages: &[String], folder: &Path) -> Result<Vec<PathBuf>> {
        let mut download = self.command("apt-get");
        download.arg("download").args(packages).current_dir(folder);
        command::output(&mut download)?;
        let mut files = file::entries(folder)?;
        files.retain(|path| path.extension().is_some_and(|it| it == "deb"));
        ensure!(
            files.len() == packages.len(),
            "apt was to fetch {}, and left {} files",
            packages.join(" "),
            files.len()
        );
        Ok(files)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(&self.configuration).arg("--quiet");
        command
    }
}

/// Puts the files of packages below `folder`, and runs nothing of theirs.
pub(crate) fn unpack(packages: &[PathBuf], folder: &Path) -> Result<()> {
    for package in packages {
        let mut unpack = Command::new("dpkg");
        unpack.arg("-x").arg(package).arg(folder);
        command::output(&mut unpack)?;
    }
    Ok(())
}

/// Where the machine's own apt gets Debian from.
fn own_site(archive: Archive) -> Result<String> {
    let targets = command::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(SITE) $(RELEASE)",
        "Created-By: Packages",
    ]))
    .context("what is not installed comes from Debian's archives, by apt")?;
    site(&targets, archive).map(str::to_owned).context(
        "cannot tell where to get Debian's packages: this machine's apt sources hold no release \
         of Debian together with its security updates",
    )
}

/// Where this machine gets Debian from: the site of that archive, out of lines
/// of `SITE RELEASE`.
///
/// Others' archives differ from Debian's in having no release of the same
/// name with `-security` behind it.
fn site(targets: &str, archive: Archive) -> Option<&str> {
    let pairs = || {
        targets
            .lines()
            .filter_map(|line| line.trim().split_once(' '))
    };
    pairs().find_map(|(security, release)| {
        let name = release.strip_suffix("-security")?;
        let (main, _) = pairs().find(|(_, release)| *release == name)?;
        Some(match archive {
            Archive::Main => main,
            Archive::Security => security,
        })
    })
}

fn source(site: &str, suite: &str) -> String {
    let keys = if Path::new(KEYRING).exists() {
        format!("[signed-by={KEYRING}] ")
    } else {
        String::new()
    };
    format!("deb {keys}{site} {suite} main\n")
}

/// Read behind the machine's own configuration, whose proxies stay in force;
/// its hooks do not, which tidy up the machine's own caches.
fn configure(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "#clear APT::Update::Pre-Invoke;\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n\
         APT::Architecture \"amd64\";\n\
         APT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::Retries \"3\";\n\
         Dir::Etc::sourcelist \"{folder}/sources.list\";\n\
         Dir::Etc::sourceparts \"/dev/null\";\n\
         Dir::Etc::preferences \"/dev/null\";\n\
         Dir::Etc::preferencesparts \"/dev/null\";\n\
         Dir::State \"{folder}\";\n\
         Dir::State::lists \"{folder}/lists\";\n\
         Dir::State::status \"/dev/null\";\n\
         Dir::Cache \"{folder}/cache\";\n\
         Dir::Cache::archives \"{folder}/cache/archives\";\n"
    )
}

fn write(path: &Path, text: &str) -> Result<()> {
    file::write(path, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_the_one_whose_release_has_security_updates() {
        let targets = "http://a.test/cloud cloud-bookworm\n\
            http://b.test/debian bookworm\n\
            http://b.test/debian bookworm-updates\n\
            http://c.test/security bookworm-security\n";
        assert_eq!(site(targets, Archive::Main), Some("http://b.test/debian"));
        assert_eq!(
            site(targets, Archive::Security),
            Some("http://c.test/security")
        );
        assert_eq!(site("http://b.test/debian sid\n", Archive::Main), None);
        assert_eq!(site("", Archive::Main), None);
    }
}
