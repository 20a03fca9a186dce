//! A guest's first root: busybox, our init, and the modules without which the
//! host's files cannot be seen.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::cpio::Cpio;
use super::image::Image;
use super::job::{self, Job};
use crate::testbed::{command, file};

const INIT: &str = include_str!("init.sh");

/// What they need comes along. A kernel that has one built in needs no file.
const MODULES: [&str; 4] = ["virtio_pci", "9p", "9pnet_virtio", "overlay"];

/// Programs that tests start by the hundred. They come along, with their
/// libraries: opening what is the host's takes some sixty questions a start, and
/// a guest half of its time to ask them.
const OFTEN: [&str; 6] = ["ip", "tc", "ss", "ethtool", "nsenter", "setpriv"];

/// The archive for that kernel and command.
pub(super) fn build(image: &Image, job: &Job) -> Result<Vec<u8>> {
    let mut cpio = Cpio::default();
    cpio.file("bin/busybox", &busybox()?);
    cpio.file("init", INIT.as_bytes());
    cpio.file("job", &job::settings(&image.release, &image.modules()));
    cpio.file("command", &job.script());
    for (number, path) in modules(image)?.iter().enumerate() {
        let path = Path::new(path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // The shell's pattern sorts by name: numbers of equal length.
        cpio.file(&format!("modules/{number:02}-{name}"), &read_module(path)?);
    }
    for path in often()? {
        cpio.file(&format!("often{}", path.display()), &file::read(&path)?);
    }
    Ok(cpio.finish())
}

/// The files that [`OFTEN`] consist of, below folders that are no links.
fn often() -> Result<BTreeSet<PathBuf>> {
    let mut paths = vec![PathBuf::from("/etc/ld.so.cache")];
    for program in OFTEN.iter().filter_map(|program| command::find(program)) {
        // One that needs no libraries is an error to `ldd`.
        let shown = command::output(Command::new("ldd").arg(&program)).unwrap_or_default();
        paths.extend(libraries(&shown).map(PathBuf::from));
        paths.push(program);
    }
    let mut real = BTreeSet::new();
    for path in paths.iter().filter(|path| path.exists()) {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            continue;
        };
        let folder = folder
            .canonicalize()
            .with_context(|| format!("cannot find {}", folder.display()))?;
        real.insert(folder.join(name));
    }
    Ok(real)
}

/// The paths in what `ldd` prints.
fn libraries(shown: &str) -> impl Iterator<Item = &str> {
    shown
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
}

fn busybox() -> Result<Vec<u8>> {
    let path = command::find("busybox").context("there is no busybox")?;
    // `ldd` succeeds with a program that needs libraries.
    if command::output(Command::new("ldd").arg(&path)).is_ok() {
        bail!(
            "{} needs libraries, which a guest's first root has not: install busybox-static",
            path.display()
        );
    }
    file::read(&path)
}

/// The files to load, in that order.
fn modules(image: &Image) -> Result<Vec<String>> {
    let modprobe = command::find("modprobe").context("there is no modprobe")?;
    let mut files = Vec::new();
    for module in MODULES {
        let mut show = Command::new(&modprobe);
        show.arg("--dirname").arg(image.folder());
        show.args(["--set-version", &image.release, "--show-depends", module]);
        for file in insmods(&command::output(&mut show)?) {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

/// The paths in what `modprobe --show-depends` prints.
fn insmods(shown: &str) -> Vec<String> {
    shown
        .lines()
        .filter_map(|line| Some(line.strip_prefix("insmod ")?.trim().to_owned()))
        .collect()
}

/// The module, unpacked: older kernels' `insmod` wants it so.
fn read_module(path: &Path) -> Result<Vec<u8>> {
    let bytes = file::read(path)?;
    let Some(output) = command::unpack(&bytes)? else {
        return Ok(bytes);
    };
    ensure!(
        output.status.success(),
        "cannot unpack {}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_known_by_their_paths() {
        let shown = "\tlinux-vdso.so.1 (0x00007ffd)\n\
            \tlibc.so.6 => /lib/x/libc.so.6 (0x00007f00)\n\
            \t/lib64/ld-linux.so.2 (0x00007f01)\n";
        let found: Vec<&str> = libraries(shown).collect();
        assert_eq!(found, ["/lib/x/libc.so.6", "/lib64/ld-linux.so.2"]);
        assert_eq!(libraries("\tstatically linked\n").count(), 0);
    }

    #[test]
    fn what_is_built_in_needs_no_file() {
        let shown = "builtin virtio\ninsmod /k/lib/modules/1/a.ko.xz \ninsmod /k/b.ko\n";
        assert_eq!(insmods(shown), ["/k/lib/modules/1/a.ko.xz", "/k/b.ko"]);
    }
}
