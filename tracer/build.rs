//! Builds the kernel programs and puts them where `include_bytes!` finds them.
//!
//! Which compiler and linker to use is `cargo xtask setup`'s decision; it
//! leaves the answer in `.toolchain/ebpf.env`, and this script only obeys.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const TARGET: &str = "bpfel-unknown-none";
const PROFILE: &str = "ebpf";
const OBJECTS: [&str; 4] = ["tracer-ebpf", "typed", "fault", "commit"];

fn main() {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let root = manifest.parent().map(Path::to_path_buf).unwrap_or_default();
    let answer = root.join(".toolchain/ebpf.env");
    for path in ["tracer-ebpf/src", "tracer-ebpf/Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    println!("cargo::rerun-if-changed={}", answer.display());

    let text = match fs::read_to_string(&answer) {
        Ok(text) => text,
        Err(error) => fail(&format!(
            "cannot read {}: {error}; the kernel programs need a BPF toolchain: run `cargo xtask setup` once",
            answer.display()
        )),
    };
    build(&root, &parse(&text));
}

/// `key=value` lines: `cargo`, `rustc` (both optional: paths), `linker` (path),
/// `build_std` (0 or 1).
fn parse(text: &str) -> HashMap<&str, &str> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .collect()
}

fn build(root: &Path, toolchain: &HashMap<&str, &str>) {
    let out = PathBuf::from(variable("OUT_DIR"));
    // Aya has the same name for whose registers the programs will see.
    let architecture = variable("CARGO_CFG_TARGET_ARCH");
    let Some(linker) = toolchain.get("linker") else {
        fail("`.toolchain/ebpf.env` names no linker: run `cargo xtask setup` again")
    };
    let mut cargo = Command::new(toolchain.get("cargo").copied().unwrap_or("cargo"));
    cargo.current_dir(root.join("tracer-ebpf"));
    // The settings of this build are not meant for that one: another compiler,
    // another target, no lints' cap and no coverage or sanitizer flags.
    for name in [
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
        "RUSTDOC",
        "RUSTUP_TOOLCHAIN",
        "CARGO_BUILD_TARGET",
    ] {
        cargo.env_remove(name);
    }
    match toolchain.get("rustc") {
        Some(rustc) => cargo.env("RUSTC", rustc),
        None => cargo.env_remove("RUSTC"),
    };
    cargo
        .env("RUSTC_BOOTSTRAP", "1")
        // Neither DWARF nor BTF: no program needs it, and it makes the object ten
        // times as large.
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            format!(
                "-Clinker={linker}\u{1f}-Cdebuginfo=0\u{1f}--cfg=bpf_target_arch=\"{architecture}\""
            ),
        )
        .args([
            "build",
            "--profile",
            PROFILE,
            "--quiet",
            "--package",
            "tracer-ebpf",
            "--features",
            "programs",
            "--bins",
        ])
        .args(["--target", TARGET])
        .arg("--target-dir")
        .arg(out.join("ebpf"));
    if toolchain.get("build_std") == Some(&"1") {
        cargo.args(["-Zbuild-std=core"]);
    }
    match cargo.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!(
            "building the kernel programs failed ({status}); its errors stand above"
        )),
        Err(error) => fail(&format!(
            "cannot run cargo for the kernel programs: {error}"
        )),
    }
    for object in OBJECTS {
        let from = out.join("ebpf").join(TARGET).join(PROFILE).join(object);
        let to = out.join(format!("{object}.o"));
        if let Err(error) = fs::copy(&from, &to) {
            fail(&format!("cannot copy {}: {error}", from.display()));
        }
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("cargo did not set {name}")))
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    std::process::exit(1)
}
