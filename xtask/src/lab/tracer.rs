//! The tool under test: watching a database's host, or breaking its network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::unistd::Pid;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::cluster::Cluster;
use super::daemon;
use super::runner::Script;
use crate::provision::repo;
use crate::testbed::command::{self, Running};
use crate::testbed::file;

pub(super) const EVERYBODY: &str = "10.0.10.0/24";

/// Longer than any experiment: what is stopped before ends well, too.
const MAX_DURATION: &str = "3600s";

/// Until it counts, or has made its fault.
const STARTING: Duration = Duration::from_secs(30);

/// Until it has written what it has seen.
const ENDING: Duration = Duration::from_secs(60);

/// A running `tracer run` or `tracer inject`.
#[derive(Debug)]
pub(super) struct Tracer {
    running: Running,
    /// As one would type it, from the root of the repository.
    pub(super) line: String,
    report: PathBuf,
}

impl Tracer {
    /// Watches the host of a database, its server and its commits.
    pub(super) fn watch(
        script: &Script,
        cluster: &Cluster,
        database: &'static str,
        more: &[String],
    ) -> Result<Self> {
        let netns = &cluster.host(database)?.netns;
        // What it shows to others, it shows from where it was started.
        let mut run = if more.iter().any(|word| word == "--listen") {
            netns.command(script.program)
        } else {
            Command::new(script.program)
        };
        let dsn = format!(
            "host={} user=postgres dbname=postgres",
            cluster.socket_dir(database).display()
        );
        run.args(["run", "--netns", netns.name()])
            // By the socket file: what is asked does not go over the network.
            .args(["--pg", &dsn, "--commits", "--duration", MAX_DURATION])
            .args(more);
        Self::start(run, database, script.folder)
    }

    pub(super) fn cut_off(script: &Script, cluster: &Cluster, host: &str) -> Result<Self> {
        let mut inject = Command::new(script.program);
        inject
            .args(["inject", "partition", "--peer", EVERYBODY])
            .args(["--netns", cluster.host(host)?.netns.name()])
            .args(["--duration", MAX_DURATION]);
        Self::start(inject, &format!("fault-{host}"), script.folder)
    }

    /// Waits until it counts or hits.
    fn start(mut command: Command, name: &str, folder: &Path) -> Result<Self> {
        let line = repo::shorten(&command::line(&command));
        let report = folder.join(format!("{name}.json"));
        let ready = folder.join(format!("{name}.ready"));
        command.arg("--json").arg(&report);
        command.arg("--ready-file").arg(&ready);
        let mut running = daemon::start(&format!("tracer-{name}"), &command, folder)?;
        running.until_exists(STARTING, "tracer to be ready", &ready)?;
        let _ = fs::remove_file(ready);
        Ok(Self {
            running,
            line,
            report,
        })
    }

    pub(super) fn pid(&self) -> Pid {
        self.running.pid()
    }

    /// Ends it as Ctrl-C does, and returns what it wrote.
    pub(super) fn finish<T: DeserializeOwned>(self) -> Result<T> {
        let finished = self.running.finish(ENDING);
        finished.with_context(|| format!("`{}`", self.line))?;
        let text = file::read(&self.report).context("tracer left no report")?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{} is not what tracer writes", self.report.display()))
    }
}

/// What `tracer inject --status` knows, of which only this is of interest.
#[derive(Debug, Deserialize)]
struct Status {
    faults: Vec<Value>,
}

/// Fails when tracer knows of a fault in namespaces of this name, though all have
/// ended.
pub(super) fn no_fault_left(program: &Path, namespaces: &str) -> Result<()> {
    let text = command::output(Command::new(program).args(["inject", "--status", "--json", "-"]))?;
    let status: Status = serde_json::from_str(&text).context("tracer's status is not one")?;
    let mut left = status.faults;
    left.retain(|fault| fault.to_string().contains(namespaces));
    ensure!(left.is_empty(), "a fault was left behind: {left:?}");
    Ok(())
}
