//! A guest's first root: busybox, our init, and the modules without which the
//! host's files cannot be seen.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::cpio::Cpio;
use super::image::Image;
use super::job::{self, Job};
use crate::command;

const INIT: &str = include_str!("init.sh");

/// What they need comes along. A kernel that has one built in needs no file.
const MODULES: [&str; 4] = ["virtio_pci", "9p", "9pnet_virtio", "overlay"];

/// The archive for that kernel and command.
pub(super) fn build(image: &Image, job: &Job) -> Result<Vec<u8>> {
    let mut cpio = Cpio::default();
    cpio.folder("bin");
    cpio.file("bin/busybox", &busybox()?);
    cpio.file("init", INIT.as_bytes());
    cpio.file("job", &job::settings(&image.release, &image.modules()));
    cpio.file("command", &job.script());
    cpio.folder("modules");
    for (number, path) in modules(image)?.iter().enumerate() {
        let path = Path::new(path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // The shell's pattern sorts by name: numbers of equal length.
        cpio.file(&format!("modules/{number:02}-{name}"), &read_module(path)?);
    }
    Ok(cpio.finish())
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
    fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
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
    let unpacker = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return fs::read(path).with_context(|| format!("cannot read {}", path.display())),
    };
    let output = Command::new(unpacker)
        .arg("-dc")
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {unpacker}"))?;
    ensure!(
        output.status.success(),
        "{unpacker} cannot unpack {}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_needs_no_file() {
        let shown = "builtin virtio\ninsmod /k/lib/modules/1/a.ko.xz \ninsmod /k/b.ko\n";
        assert_eq!(insmods(shown), ["/k/lib/modules/1/a.ko.xz", "/k/b.ko"]);
    }
}
