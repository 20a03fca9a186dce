//! A kernel's files, fetched once and kept.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::matrix::Kernel;
use super::{folder, package};
use crate::provision::apt::{self, Apt};
use crate::provision::cache;
use crate::testbed::{command, file};

#[derive(Debug)]
pub(super) struct Image {
    /// As `uname -r` prints it.
    pub(super) release: String,
    folder: PathBuf,
}

impl Image {
    /// The kernel from the cache; or the newest of its line, fetched, when it
    /// is not there or `update` asks to look.
    pub(super) fn get(kernel: Kernel, update: bool) -> Result<Self> {
        let folder = folder().join(kernel.name);
        file::make_folder(&folder)?;
        let _alone = cache::lock(&folder)?;
        let cached = Self::cached(&folder)?;
        if !update && let Some(image) = cached {
            return Ok(image);
        }
        eprintln!("kernel     {}: looking in {}", kernel.name, kernel.suite);
        let state = folder.join("apt").join(kernel.suite);
        let apt = Apt::prepare(&state, &[(kernel.archive, kernel.suite)])?;
        let release = newest(&apt, kernel)?;
        if let Some(image) = cached.filter(|image| image.release == release) {
            return Ok(image);
        }
        eprintln!("kernel     {}: fetching {release}", kernel.name);
        let image = Self::fetch(&apt, release, &folder)
            .with_context(|| format!("cannot fetch kernel {}", kernel.name))?;
        image.remove_others(&folder)?;
        Ok(image)
    }

    /// The kernel to give to the machine.
    pub(super) fn vmlinuz(&self) -> PathBuf {
        self.folder.join(format!("boot/vmlinuz-{}", self.release))
    }

    /// The modules, with the files that `modprobe` needs.
    pub(super) fn modules(&self) -> PathBuf {
        self.folder.join("lib/modules").join(&self.release)
    }

    /// Below which `lib/modules/` is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn cached(folder: &Path) -> Result<Option<Self>> {
        let images = file::entries(folder)?.into_iter().filter_map(|folder| {
            let release = folder.file_name()?.to_str()?.to_owned();
            Some(Self { release, folder })
        });
        let mut whole = images.filter(|image| image.vmlinuz().exists());
        Ok(whole.next())
    }

    fn fetch(apt: &Apt, release: String, folder: &Path) -> Result<Self> {
        let packages = cache::scratch(&super::folder(), "packages")?;
        let unpacked = cache::scratch(&super::folder(), "kernel")?;
        let files = apt.download(&parts(apt, &release)?, packages.path())?;
        apt::unpack(&files, unpacked.path())?;
        let lib = unpacked.path().join("lib");
        if !lib.exists() {
            // Newer packages put the modules only where `/lib` is a link to.
            symlink("usr/lib", &lib).with_context(|| format!("cannot make {}", lib.display()))?;
        }
        let image = Self {
            folder: unpacked.path().to_path_buf(),
            release,
        };
        image.place_vmlinuz()?;
        let mut depmod = Command::new(command::find("depmod").context("there is no depmod")?);
        depmod.arg("-b").arg(&image.folder).arg(&image.release);
        command::output(&mut depmod)?;
        // Under its name it is whole, or not there.
        let folder = folder.join(&image.release);
        fs::rename(&image.folder, &folder)
            .with_context(|| format!("cannot keep {}", folder.display()))?;
        Ok(Self { folder, ..image })
    }

    /// Newer packages have the kernel among its modules, to be copied from there.
    fn place_vmlinuz(&self) -> Result<()> {
        let place = self.vmlinuz();
        if place.exists() {
            return Ok(());
        }
        let boot = self.folder.join("boot");
        file::make_folder(&boot)?;
        fs::rename(self.modules().join("vmlinuz"), &place)
            .with_context(|| format!("the packages of {} hold no vmlinuz", self.release))
    }

    /// A line of kernels keeps one: they are large.
    fn remove_others(&self, folder: &Path) -> Result<()> {
        for path in file::entries(folder)? {
            if path != self.folder && path.join("boot").is_dir() {
                file::remove_folder(&path)?;
            }
        }
        Ok(())
    }
}

/// The newest kernel of the line, as `uname -r` prints it.
fn newest(apt: &Apt, kernel: Kernel) -> Result<String> {
    let pattern = format!("^linux-image-{}\\.", kernel.name.replace('.', "\\."));
    package::newest(&apt.search(&pattern)?, kernel.name).with_context(|| {
        format!(
            "{} has no kernel {} any more: another suite may, for the table in \
             xtask/src/task/vm/matrix.rs",
            kernel.suite, kernel.name
        )
    })
}

fn parts(apt: &Apt, release: &str) -> Result<Vec<String>> {
    let image = format!("linux-image-{release}");
    let mut parts = package::parts(&apt.show(&image)?, release);
    // Of a kernel that has been superseded, the archive may have let go of
    // the small ones; what is needed will be missed where it is needed.
    parts.retain(|part| *part == image || apt.show(part).is_ok_and(|shown| !shown.is_empty()));
    Ok(parts)
}
