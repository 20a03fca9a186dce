//! An apt with a state of its own, for suites that this machine does not use.
//! The machine's own lists, caches and sources stay as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::matrix::{Archive, Kernel};
use super::package;
use crate::command;

/// Debian's keys, of older and newer releases than the machine's, too.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The state of one suite.
pub(super) struct Apt {
    configuration: PathBuf,
}

impl Apt {
    /// Makes the state in `folder`, and refreshes its lists.
    pub(super) fn prepare(folder: &Path, kernel: Kernel) -> Result<Self> {
        let folder = folder.join(kernel.suite);
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        write(
            &folder.join("sources.list"),
            &source(&site(kernel.archive)?, kernel.suite),
        )?;
        let configuration = folder.join("apt.conf");
        write(&configuration, &configure(&folder))?;
        let apt = Self { configuration };
        command::output(apt.command("apt-get").arg("update"))
            .with_context(|| format!("cannot read what {} has", kernel.suite))?;
        Ok(apt)
    }

    /// The newest kernel of the line, as `uname -r` prints it.
    pub(super) fn newest(&self, kernel: Kernel) -> Result<String> {
        let pattern = format!("^linux-image-{}\\.", kernel.name.replace('.', "\\."));
        let mut search = self.command("apt-cache");
        let found = command::output(search.args(["search", "--names-only", &pattern]))?;
        package::newest(&found, kernel.name).with_context(|| {
            format!(
                "{} has no kernel {} any more: another suite may, for the table in \
                 xtask/src/vm/matrix.rs",
                kernel.suite, kernel.name
            )
        })
    }

    /// Fetches the packages of that release into `folder`.
    pub(super) fn download(&self, release: &str, folder: &Path) -> Result<Vec<PathBuf>> {
        let image = format!("linux-image-{release}");
        let mut parts = package::parts(&self.show(&image)?, release);
        // Of a kernel that has been superseded, the archive may have let go of
        // the small ones; what is needed will be missed where it is needed.
        parts.retain(|part| *part == image || self.show(part).is_ok_and(|shown| !shown.is_empty()));
        let mut download = self.command("apt-get");
        download.arg("download").args(&parts).current_dir(folder);
        command::output(&mut download)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                files.push(path);
            }
        }
        ensure!(
            files.len() == parts.len(),
            "apt was to fetch {}, and left {} files",
            parts.join(" "),
            files.len()
        );
        Ok(files)
    }

    fn show(&self, package: &str) -> Result<String> {
        let mut show = self.command("apt-cache");
        command::output(show.args(["--no-all-versions", "show", package]))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(&self.configuration).arg("--quiet");
        command
    }
}

/// Where the machine's own apt gets Debian from.
fn site(archive: Archive) -> Result<String> {
    let targets = command::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(SITE) $(RELEASE)",
        "Created-By: Packages",
    ]))
    .context("guest kernels come from Debian's archives, by apt")?;
    let site = package::site(&targets, archive).map(str::to_owned);
    site.context(
        "cannot tell where to get Debian's kernels: this machine's apt sources hold no release \
         of Debian together with its security updates",
    )
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
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
