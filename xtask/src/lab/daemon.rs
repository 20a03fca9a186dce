//! A server program of the lab, with a log file to itself.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::testbed::command::{self, Running};

/// Starts it; what it says goes to `NAME.log`, behind what it said before.
pub(super) fn start(name: &str, command: &Command, logs: &Path) -> Result<Running> {
    let mut command = in_a_session(command);
    command.current_dir("/");
    Running::start_appending(&mut command, name, &logs.join(format!("{name}.log")))
}

/// The same, in a session to itself as a service has: Linux shares a processor out among
/// sessions first, and in ours a server would go short beside what asks it, and what looks
/// on beside both. And Ctrl-C is for us: what runs in the lab ends with it. Of our
/// environment it has `PATH`.
fn in_a_session(command: &Command) -> Command {
    let mut alone = command::named("setsid");
    alone.arg(command.get_program()).args(command.get_args());
    alone
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)));
    let own = command.get_envs();
    alone.envs(own.filter_map(|(name, value)| Some((name, value?))));
    alone
}
