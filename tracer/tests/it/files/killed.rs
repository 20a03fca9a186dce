//! Commands that are killed before they have written anything.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::ensure;
use nix::{
    fcntl::OFlag,
    sys::{
        signal::{Signal, kill},
        stat::Mode,
    },
    unistd::{Pid, mkfifo},
};
use xtask::testbed::wait;

use crate::support::program::{PROGRAM, data, text};

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn nothing_is_left_and_what_was_there_still_is() {
    let inputs = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let input = text(&inputs.path().join("fifo"));
    mkfifo(&*input, Mode::S_IRWXU).unwrap();
    let output = text(&folder.path().join("out.txt"));
    let other = data("db2.json");
    for before in [None, Some("old")] {
        if let Some(before) = before {
            fs::write(&output, before).unwrap();
        }
        for arguments in [
            &["report", &input, "--output", &output][..],
            &["merge", &input, &other, "--output", &output],
            &["replay", &input, "--json", &output],
        ] {
            for signal in [
                Signal::SIGTERM,
                Signal::SIGINT,
                Signal::SIGHUP,
                Signal::SIGKILL,
            ] {
                let mut command = Command::new(PROGRAM);
                command.args(arguments).stdin(Stdio::null());
                let mut child = command.spawn().unwrap();
                // Opens when it is read from: the output is open by then.
                let held = wait::until(LIMIT, "tracer to read", || {
                    ensure!(child.try_wait()?.is_none(), "it ended");
                    let mut options = OpenOptions::new();
                    options.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
                    Ok(options.open(&input).ok())
                })
                .unwrap();
                kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
                child.wait().unwrap();
                drop(held);
                let left: Vec<_> = fs::read_dir(folder.path())
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name())
                    .filter(|name| name != "out.txt")
                    .collect();
                assert!(left.is_empty(), "{arguments:?} {signal}: {left:?}");
                assert_eq!(fs::read_to_string(&output).ok().as_deref(), before);
            }
        }
    }
}
