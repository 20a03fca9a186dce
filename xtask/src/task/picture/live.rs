//! The live view of a real run: a primary, its synchronous standby and a client in network
//! namespaces, a network that loses segments, and tracer in a terminal of fixed size.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::screen::{COLUMNS, ROWS};
use crate::provision::packages;
use crate::testbed::load::{Load, Plan, WRITE};
use crate::testbed::netns::{self, Host, Net};
use crate::testbed::postgres::Pair;
use crate::testbed::{command, wait};

/// Of the primary's segments to the standby.
const LOSS: &str = "loss=40%";

/// How long tracer runs if nobody ends it before.
const DURATION: &str = "120s";
/// How long it may take until all that the picture is to show was seen.
const SEEN: Duration = Duration::from_secs(90);
/// How long tracer may take to end, and to undo the fault.
const ENDING: Duration = Duration::from_secs(30);

/// What is on the screen while commits wait for segments that were lost, with its colours
/// as escape sequences.
pub(super) fn capture(tracer: &Path) -> Result<String> {
    netns::require_root().context("the live view is that of a real run")?;
    let net = Net::pair_and_client("picture")?;
    let (primary, standby) = (net.host("primary")?, net.host("standby")?);
    let pair = Pair::start(primary, standby).context("cannot start PostgreSQL")?;
    let client = &net.host("client")?.netns;
    let plan = Plan::open(WRITE, 20.0, 4);
    let _load = Load::start(client, pair.primary().address(), plan)?;

    let run = tracer_run(tracer, &pair, primary, standby);
    let terminal = Terminal::open(&run)?;
    let screen = wait::until(SEEN, "commits that wait for lost segments", || {
        let screen = terminal.screen()?;
        ensure!(terminal.is_running()?, "tracer ended early:\n{screen}");
        Ok(shows_all(&screen).then_some(screen))
    })?;
    terminal.interrupt()?;
    Ok(screen)
}

fn tracer_run(tracer: &Path, pair: &Pair, primary: &Host, standby: &Host) -> Command {
    let socket = pair.primary().socket_dir().display();
    let mut run = Command::new(tracer);
    run.args(["run", "--peer", &standby.v4.to_string()])
        .args(["--netns", primary.netns.name()])
        .arg("--pg")
        .arg(format!("host={socket} user=postgres dbname=postgres"))
        .args(["--commit-probe", "10"])
        .args(["--inject", LOSS, "--interface", &primary.interface])
        .args(["--after", "5s", "--duration", DURATION]);
    run
}

/// Whether the screen has all that a newcomer should see: a fault, retransmits of more than
/// one kind, and backends that wait.
fn shows_all(screen: &str) -> bool {
    let waits = screen.contains("waiting for a standby") && !screen.contains(" 0 waiting");
    waits
        && ["fault:", "rto ", "tlp ", "commits"]
            .iter()
            .all(|word| screen.contains(word))
}

/// tmux, which keeps what a program's output makes of a screen. Whatever runs in it ends with it.
struct Terminal {
    folder: TempDir,
    tmux: PathBuf,
}

impl Terminal {
    fn open(run: &Command) -> Result<Self> {
        let terminal = Self {
            folder: TempDir::new().context("cannot make a folder for the terminal")?,
            tmux: packages::program("tmux")?,
        };
        let mut open = terminal.command();
        open.args(["new-session", "-d", "-x", &COLUMNS.to_string()])
            .args(["-y", &ROWS.to_string()])
            .arg(run.get_program())
            .args(run.get_args())
            // A line of tmux's own would be part of the picture.
            .args([";", "set-option", "status", "off"])
            .args([";", "set-option", "remain-on-exit", "on"]);
        command::output(&mut open).context("cannot open a terminal")?;
        Ok(terminal)
    }

    fn command(&self) -> Command {
        let mut tmux = Command::new(&self.tmux);
        tmux.arg("-S")
            .arg(self.folder.path().join("socket"))
            .args(["-f", "/dev/null"]);
        tmux
    }

    fn screen(&self) -> Result<String> {
        command::output(self.command().args(["capture-pane", "-e", "-p"]))
    }

    fn is_running(&self) -> Result<bool> {
        let mut ask = self.command();
        let dead = command::output(ask.args(["display-message", "-p", "#{pane_dead}"]))?;
        Ok(dead.trim() != "1")
    }

    /// Ctrl-C, and waits until the program has ended.
    fn interrupt(&self) -> Result<()> {
        command::output(self.command().args(["send-keys", "C-c"]))?;
        wait::until(ENDING, "tracer to end", || {
            Ok((!self.is_running()?).then_some(()))
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Whoever still runs in it hears SIGHUP.
        let _ = command::output(self.command().arg("kill-server"));
    }
}
