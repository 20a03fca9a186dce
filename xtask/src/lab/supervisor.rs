//! A cluster that stands until it is taken down: a process in the background owns
//! it, so that nobody takes it for the leftovers of a crash.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cluster::{BALANCER, Cluster, DATABASES, ETCD, HOSTS};
use super::timing::Timing;
use super::{etcd, haproxy, leftover, patroni};
use crate::lab::staging::{self, Staging};
use crate::provision::repo;
use crate::testbed::command::Running;
use crate::testbed::netns::{self, Host};
use crate::testbed::{interrupt, resource_name, scratch_dir, wait};

/// Part of the names of all that belongs to a cluster that stands.
const TAG: &str = "lab";

/// What the process in the background is started as.
pub(crate) const COMMAND: &str = "supervise";

/// Until the cluster is up. Its own steps have deadlines, too.
const STARTING: Duration = Duration::from_secs(180);

/// Until it is down.
const ENDING: Duration = Duration::from_secs(60);

const READY: &str = "ready";

const LOGS: &str = "up";

/// Starts a cluster and leaves it running.
pub(crate) fn up(timing: &Timing) -> Result<()> {
    if let Some(pid) = standing() {
        bail!("there is a lab already (supervised by process {pid}): `cargo xtask lab down` first");
    }
    leftover::remove()?;
    let begun = Instant::now();
    let staging = Staging::make(LOGS)?;
    let logs = staging.path();
    // Out of this terminal's reach: what ends there shall not end the lab.
    let mut supervisor = Command::new("setsid");
    supervisor
        .arg(std::env::current_exe().context("this program has no path")?)
        .args(["lab", COMMAND])
        .args(timing.options().split_whitespace());
    let log = logs.join("supervisor.log");
    let mut supervisor = Running::start_logged(&mut supervisor, "the lab's supervisor", &log)?;
    supervisor.until_exists(STARTING, "the lab to be up", &logs.join(READY))?;
    println!("the lab is up after {:.1} s", begun.elapsed().as_secs_f64());
    status()?;
    // It is to outlive this program.
    std::mem::forget(supervisor);
    Ok(())
}

/// Owns a cluster until it gets a signal to end.
pub(crate) fn supervise(timing: &Timing) -> Result<()> {
    let logs = staging::folder().join(LOGS);
    let cluster = Cluster::start(TAG, timing, false, &logs)?;
    cluster.prove_commits_wait()?;
    fs::write(logs.join(READY), "").context("cannot say that the lab is up")?;
    while interrupt::caught().is_none() {
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(cluster);
    Ok(())
}

/// Takes down the cluster that stands, and whatever crashed runs have left.
pub(crate) fn down() -> Result<()> {
    netns::require_root()?;
    let standing = standing();
    if let Some(pid) = standing {
        // Gone in the meantime is as good.
        let _ = kill(pid, Signal::SIGINT);
        let gone = || Ok((!is_supervisor(pid)).then_some(()));
        if wait::until(ENDING, "the lab's supervisor to end", gone).is_err() {
            interrupt::check()?;
            let _ = kill(pid, Signal::SIGKILL);
            wait::until(ENDING, "the lab's supervisor to be gone", gone)?;
        }
        println!("the lab is down");
    }
    let removed = leftover::remove()?;
    for name in &removed {
        println!("removed    {name}, left by a run that has died");
    }
    if standing.is_none() && removed.is_empty() {
        println!("there is no lab");
    }
    Ok(())
}

pub(crate) fn status() -> Result<()> {
    netns::require_root()?;
    let Some(pid) = standing() else {
        println!("there is no lab: `cargo xtask lab up` makes one");
        return Ok(());
    };
    for (name, number) in HOSTS {
        let host = Host::borrowed(&resource_name::name_of(TAG, pid.as_raw(), name), number)?;
        println!(
            "{name:<7} {:<11} {:<24} {}",
            host.v4,
            host.netns.name(),
            words(name, &host).join("; ")
        );
    }
    if let Some(scratch) = scratch(pid) {
        println!(
            "psql    psql -h {}/db1 -U postgres postgres",
            scratch.display()
        );
    }
    let logs = staging::folder().join(LOGS);
    println!("logs    {}", repo::shorten(&logs.display().to_string()));
    Ok(())
}

/// What the programs of a host say of themselves.
fn words(name: &str, host: &Host) -> Vec<String> {
    let mut words = Vec::new();
    if DATABASES.contains(&name) {
        words.push(match patroni::ask(host) {
            Ok(member) => member.to_string(),
            Err(error) => format!("{error:#}"),
        });
    }
    for (member, _) in ETCD.iter().filter(|(_, on)| *on == name) {
        words.push(match etcd::is_healthy(host) {
            Ok(true) => format!("{member} has a leader"),
            Ok(false) => format!("{member} has no leader"),
            Err(error) => format!("{member}: {error:#}"),
        });
    }
    if name == BALANCER {
        for (port, what) in haproxy::PORTS {
            words.push(match haproxy::up(host, port) {
                Ok(up) => format!("port {port} leads to the {what}: {}", up.join(" ")),
                Err(error) => format!("{error:#}"),
            });
        }
    }
    words
}

fn standing() -> Option<Pid> {
    netns::names().iter().find_map(|name| {
        let pid = Pid::from_raw(resource_name::of(name)?.cast_signed());
        let ours = name.starts_with(&format!("{}{TAG}-", resource_name::PREFIX));
        (ours && is_supervisor(pid)).then_some(pid)
    })
}

/// Whether this process is one, and not one that has got its id since.
fn is_supervisor(pid: Pid) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    words
        .windows(2)
        .any(|pair| pair == [b"lab".as_slice(), COMMAND.as_bytes()])
}

fn scratch(pid: Pid) -> Option<PathBuf> {
    let prefix = resource_name::name_of(TAG, pid.as_raw(), scratch_dir::ROLE);
    let entries = fs::read_dir(std::env::temp_dir()).ok()?;
    entries
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
}
