//! A run that is killed at any moment, and links that somebody planted in its way.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, lchown, symlink},
    process::{Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use xtask::testbed::{netns::Net, wait};

use crate::support::program::{PROGRAM, names};

const LIMIT: Duration = Duration::from_secs(60);
const STRANGER: u32 = 65_534;

/// From its first descriptor to the file that says that it counts: each time a little later.
#[test]
fn whenever_it_is_killed_it_leaves_no_file_that_nobody_asked_for() {
    let net = Net::pair("killrun", "ens160").unwrap();
    let netns = &net.host("primary").unwrap().netns;
    let folder = tempfile::tempdir().unwrap();
    let path = |name| folder.path().join(name);
    let mut early = 0;
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL] {
        for open in (4..40).step_by(3) {
            let mut command = netns.command(PROGRAM);
            command.args(["run", "--all", "--duration", "60s", "--json"]);
            command
                .arg(path("run.json"))
                .arg("--ready-file")
                .arg(path("ready"));
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            let descriptors = format!("/proc/{}/fd", child.id());
            wait::until(LIMIT, "tracer to get on", || {
                let reached = fs::read_dir(&descriptors)?.count() >= open;
                Ok((reached || path("ready").exists()).then_some(()))
            })
            .unwrap();
            early += u32::from(!path("ready").exists());
            kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
            child.wait().unwrap();
            for name in names(folder.path()) {
                assert!(
                    ["run.json", "ready"].contains(&&*name),
                    "{signal} {open}: {name}"
                );
            }
            assert!(
                signal == Signal::SIGKILL || !path("ready").exists(),
                "{signal} {open}"
            );
            let _ = fs::remove_file(path("ready"));
        }
        let _ = fs::remove_file(path("run.json"));
    }
    assert!(early > 6, "only {early} were killed before they counted");
}

#[test]
fn a_link_that_somebody_planted_is_not_followed() {
    let shared = tempfile::tempdir().unwrap();
    let own = tempfile::tempdir().unwrap();
    fs::set_permissions(shared.path(), Permissions::from_mode(0o1777)).unwrap();
    let precious = own.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    let (link, way) = (shared.path().join("link"), shared.path().join("way"));
    symlink(&precious, &link).unwrap();
    symlink(own.path(), &way).unwrap();
    for link in [&link, &way] {
        lchown(link, Some(STRANGER), Some(STRANGER)).unwrap();
    }
    let through = way.join("new");
    let report = concat!(env!("CARGO_MANIFEST_DIR"), "/core/tests/data/db1.json");
    for (arguments, path) in [
        (&["run", "--all", "--duration", "1s", "--json"][..], &link),
        (&["run", "--all", "--duration", "1s", "--json"], &through),
        (&["run", "--all", "--duration", "1s", "--events"], &link),
        (&["run", "--all", "--duration", "1s", "--events"], &through),
        (
            &["run", "--all", "--duration", "1s", "--ready-file"],
            &through,
        ),
        (&["report", report, "--format", "text", "--output"], &link),
    ] {
        let output = Command::new(PROGRAM)
            .args(arguments)
            .arg(path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.contains("link of user 65534's"),
            "{arguments:?}: {said}"
        );
        assert_eq!(fs::read(&precious).unwrap(), b"precious", "{arguments:?}");
        assert_eq!(names(own.path()), ["precious"], "{arguments:?}");
    }
}
