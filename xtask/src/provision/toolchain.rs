//! The compiler and linker for the kernel programs.
//!
//! Two ways work, tried in this order: rustup's nightly, which builds `core`
//! for BPF from `rust-src`; and Debian's `rustc-web`, for which `core` comes
//! prebuilt. Either needs `bpf-linker`. The answer goes to
//! `.toolchain/ebpf.env`, which `tracer/build.rs` obeys.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::provision::tool::Tool;
use crate::provision::{packages, repo};
use crate::testbed::{command, file};

const LINKER: Tool = Tool {
    name: "bpf-linker",
    version: "0.13.0",
    does: "links the kernel programs",
    by_hand: BY_HAND,
};

/// Debian's compiler and its `core` for BPF.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CORE: &str = "/usr/lib/rustlib/bpfel-unknown-none";
const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "libstd-rust-web-dev-bpf"];

const BY_HAND: &str = "the kernel programs need a compiler for BPF, and none of the two that work \
    is here. Install Rust's nightly (`rustup toolchain install nightly --component rust-src`) and \
    bpf-linker (a release from https://github.com/aya-rs/bpf-linker/releases put on PATH), or use \
    Debian 12, whose rustc-web and libstd-rust-web-dev-bpf do without; then run this again";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toolchain {
    /// The cargo to call; `None` for the one that builds the rest.
    pub(crate) cargo: Option<PathBuf>,
    /// The compiler; `None` for cargo's own.
    pub(crate) rustc: Option<PathBuf>,
    /// `bpf-linker`, an absolute path.
    pub(crate) linker: PathBuf,
    /// Whether `core` has to be built from source.
    pub(crate) build_std: bool,
}

impl Toolchain {
    pub(crate) fn render(&self) -> String {
        let path = |key: &str, path: &Option<PathBuf>| {
            let path = path.as_ref();
            path.map_or_else(String::new, |path| format!("{key}={}\n", path.display()))
        };
        format!(
            "{}{}linker={}\nbuild_std={}\n",
            path("cargo", &self.cargo),
            path("rustc", &self.rustc),
            self.linker.display(),
            u8::from(self.build_std)
        )
    }
}

/// Finds or installs a toolchain, says which, and leaves the answer for the
/// build script.
pub(crate) fn ensure() -> Result<()> {
    let (toolchain, route) = decide()?;
    println!(
        "found      {} ({})",
        toolchain.linker.display(),
        LINKER.does
    );
    println!("toolchain  {route}");
    write(&toolchain.render())
}

fn decide() -> Result<(Toolchain, &'static str)> {
    if let Some(nightly) = Nightly::find()
        && let Some(linker) = command::find(LINKER.name).or_else(|| nightly.linker())
    {
        let toolchain = Toolchain {
            cargo: Some(nightly.bin.join("cargo")),
            rustc: Some(nightly.bin.join("rustc")),
            linker,
            build_std: true,
        };
        return Ok((toolchain, "rustup's nightly, core built from rust-src"));
    }
    Ok((debian()?, "Debian's rustc-web with its prebuilt core"))
}

/// rustup's nightly with `rust-src`.
struct Nightly {
    bin: PathBuf,
}

impl Nightly {
    fn find() -> Option<Self> {
        command::find("rustup")?;
        // Without this, newer rustups would download a nightly just to answer.
        let rustc = command::output(
            Command::new("rustup")
                .env("RUSTUP_AUTO_INSTALL", "0")
                .args(["which", "--toolchain", "nightly", "rustc"]),
        )
        .ok()?;
        let bin = Path::new(rustc.trim()).parent()?.to_path_buf();
        let source = bin.parent()?.join("lib/rustlib/src/rust/library/core");
        source.is_dir().then_some(Self { bin })
    }

    /// Builds the linker against the LLVM that this system has for it.
    fn linker(&self) -> Option<PathBuf> {
        let major = llvm_major(&self.bin.join("rustc")).ok()?;
        own_linker(major).or_else(|| {
            build_linker(major, &llvm_prefix(major)?)
                .inspect_err(|error| eprintln!("warning: no linker for nightly: {error:#}"))
                .ok()
        })
    }
}

fn debian() -> Result<Toolchain> {
    let rustc = Path::new(DEBIAN_RUSTC);
    if !rustc.exists() || !Path::new(DEBIAN_CORE).exists() {
        if !packages::is_available(DEBIAN_PACKAGES[1]) {
            // A fresh container has no lists to find it in.
            let refreshed = packages::refresh();
            if refreshed.is_err() || !packages::is_available(DEBIAN_PACKAGES[1]) {
                bail!(BY_HAND);
            }
        }
        packages::install(&DEBIAN_PACKAGES)?;
    }
    println!("found      {DEBIAN_RUSTC} (compiles the kernel programs)");
    let major = llvm_major(rustc)?;
    let linker = match own_linker(major) {
        Some(linker) => linker,
        None => debian_linker(major)?,
    };
    Ok(Toolchain {
        cargo: None,
        rustc: Some(rustc.to_path_buf()),
        linker,
        build_std: false,
    })
}

fn debian_linker(major: u32) -> Result<PathBuf> {
    let llvm = format!("llvm-{major}-dev");
    let needs = [llvm.as_str(), "zlib1g-dev", "libzstd-dev", "libxml2-dev"];
    let missing: Vec<&str> = needs
        .into_iter()
        .filter(|name| !is_installed(name))
        .collect();
    if !missing.is_empty() {
        packages::install(&missing)?;
    }
    let prefix =
        llvm_prefix(major).with_context(|| format!("package {llvm} brought no llvm-config"))?;
    build_linker(major, &prefix)
}

/// The linker that an earlier set-up built, if it knows the bitcode of a compiler with
/// this LLVM.
fn own_linker(major: u32) -> Option<PathBuf> {
    LINKER.installed(Some(&llvm_feature(major)))
}

fn llvm_feature(major: u32) -> String {
    format!("llvm-{major}")
}

fn is_installed(package: &str) -> bool {
    command::output(Command::new("dpkg-query").args(["--show", "--showformat=${Status}", package]))
        .is_ok_and(|status| status.ends_with(" installed"))
}

/// Where LLVM of this major version stands with its headers.
fn llvm_prefix(major: u32) -> Option<PathBuf> {
    let prefix = PathBuf::from(format!("/usr/lib/llvm-{major}"));
    let complete =
        prefix.join("bin/llvm-config").exists() && prefix.join("include/llvm-c").exists();
    complete.then_some(prefix)
}

fn llvm_major(rustc: &Path) -> Result<u32> {
    let version = command::output(Command::new(rustc).arg("-vV"))?;
    parse_llvm_major(&version)
        .with_context(|| format!("{} -vV names no LLVM version:\n{version}", rustc.display()))
}

fn parse_llvm_major(version: &str) -> Option<u32> {
    let line = version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version:"))?;
    line.trim().split('.').next()?.parse().ok()
}

fn build_linker(major: u32, llvm: &Path) -> Result<PathBuf> {
    println!("building   {LINKER} for LLVM {major}, once (about a minute) …");
    LINKER.install(|cargo| {
        cargo.env("LLVM_PREFIX", llvm).args([
            "--no-default-features",
            "--features",
            &llvm_feature(major),
        ]);
    })
}

/// Writes only what changed: the build script runs again when the file does.
fn write(text: &str) -> Result<()> {
    let path = repo::toolchain_dir().join("ebpf.env");
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    file::make_folder(&repo::toolchain_dir())?;
    file::write(&path, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_only_what_is_chosen() {
        let debian = Toolchain {
            cargo: None,
            rustc: Some(PathBuf::from("/usr/bin/rustc")),
            linker: PathBuf::from("/x/bpf-linker"),
            build_std: false,
        };
        assert_eq!(
            debian.render(),
            "rustc=/usr/bin/rustc\nlinker=/x/bpf-linker\nbuild_std=0\n"
        );
        let nightly = Toolchain {
            cargo: Some(PathBuf::from("/n/cargo")),
            rustc: Some(PathBuf::from("/n/rustc")),
            build_std: true,
            ..debian
        };
        assert_eq!(
            nightly.render(),
            "cargo=/n/cargo\nrustc=/n/rustc\nlinker=/x/bpf-linker\nbuild_std=1\n"
        );
    }

    #[test]
    fn the_compiler_tells_its_llvm() {
        assert_eq!(
            parse_llvm_major("rustc 1.96.0\nLLVM version: 22.1.8\n"),
            Some(22)
        );
        assert_eq!(parse_llvm_major("rustc 1.96.0\n"), None);
    }
}
