//! What this machine can do of what may happen to the tool.

use std::process::Command;

use anyhow::Result;

use super::memory::Group;
use super::plan::Abilities;
use crate::testbed::command;
use crate::testbed::netns::Netns;

/// The furthest that a clock is set back, s: it cannot be before the machine's start.
const BACK: i64 = -300;

impl Abilities {
    /// Finds out by trying, and says what is left out, and why.
    pub(super) fn find() -> Result<Self> {
        let clocks = own_clocks(BACK);
        let memory = Group::new(64).map(drop);
        let netem = netem()?;
        for (missing, what) in [
            (clocks.as_ref().err(), "clocks that are off"),
            (memory.as_ref().err(), "control groups with little memory"),
            (netem.as_ref().err(), "faults that delay"),
        ] {
            if let Some(error) = missing {
                println!("left out: {what}: {error:#}");
            }
        }
        Ok(Self {
            clocks: clocks.is_ok(),
            memory: memory.is_ok(),
            netem: netem.is_ok(),
        })
    }
}

fn own_clocks(seconds: i64) -> Result<()> {
    let mut command = Command::new("unshare");
    command.args(clock_options(seconds)).args(["--", "true"]);
    command::output(&mut command).map(drop)
}

/// Options of `unshare` for clocks that are so many seconds off.
pub(super) fn clock_options(seconds: i64) -> [String; 3] {
    [
        "--time".to_owned(),
        format!("--monotonic={seconds}"),
        format!("--boottime={seconds}"),
    ]
}

fn netem() -> Result<Result<()>> {
    let netns = Netns::new("torture", "netem")?;
    let added = netns.run(
        "tc",
        &["qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"],
    );
    Ok(added.map(drop))
}
