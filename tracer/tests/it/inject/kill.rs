//! The tool is killed while it holds a fault: nothing of it stays.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracer::inject::Hook;
use xtask::testbed::netns::{Host, Net};

use super::helper::{again, request, settle};
use crate::support::fault;
use crate::support::surroundings::{links as links_of, surroundings};

const HOLDING: &str = "holding";
const ROUNDS: u64 = 100;
/// Where the program hangs, round by round.
const HOOKS: [Hook; 2] = [Hook::Tcx, Hook::Clsact];
/// What is promised.
const SOON: Duration = Duration::from_secs(1);

#[test]
#[ignore = "a process that other tests start"]
fn process_holder() {
    let Some(peer) = std::env::var("TRACER_TEST_PEER").ok() else {
        return;
    };
    let mut fault = request("corrupt=100%", peer.parse().unwrap());
    let hook = std::env::var("TRACER_TEST_HOOK").unwrap();
    fault.hook = HOOKS.into_iter().find(|known| known.name() == hook);
    let fault = fault.prepare().unwrap().start().unwrap();
    println!("\n{HOLDING}");
    thread::sleep(Duration::from_secs(30));
    drop(fault);
}

fn hold(from: &Host, to: &Host, hook: Hook) -> Result<Child> {
    let program = std::env::current_exe()?;
    let child = from
        .netns
        .command(program)
        .args(again("inject::kill::process_holder"))
        .env("TRACER_TEST_PEER", to.v4.to_string())
        .env("TRACER_TEST_HOOK", hook.name())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(child)
}

fn await_holding(child: &mut Child) -> Result<()> {
    let stdout = child.stdout.take().context("no output")?;
    for line in BufReader::new(stdout).lines() {
        if line? == HOLDING {
            return Ok(());
        }
    }
    anyhow::bail!("the process ended without a fault")
}

/// All as before, and no process or record left, within a second.
fn gone(from: &Host, before: &str) -> Result<Duration> {
    let since = Instant::now();
    settle(SOON, "the fault to be undone", || {
        Ok(surroundings(from)? == before && !fault::is_there(&from.netns)?)
    })?;
    let took = since.elapsed();
    settle(SOON, "the guard to end", || Ok(processes(from)?.is_empty()))?;
    Ok(took)
}

fn processes(host: &Host) -> Result<Vec<i32>> {
    let list = host
        .netns
        .run("ip", &["netns", "pids", host.netns.name()])?;
    // `ip` itself runs inside.
    let all: Vec<i32> = list.lines().filter_map(|pid| pid.parse().ok()).collect();
    Ok(all
        .into_iter()
        .filter(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|name| name.trim() != "ip" && !name.is_empty())
        })
        .collect())
}

#[test]
fn killed_at_any_moment_it_leaves_nothing() {
    let net = Net::pair("kill", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let before = surroundings(from).unwrap();
    let mut slowest = Duration::ZERO;
    let mut held = 0;
    for round in 0..ROUNDS {
        let hook = HOOKS[usize::try_from(round / 2 % 2).unwrap()];
        let mut child = hold(from, to, hook).unwrap();
        if round % 2 == 0 {
            // While the fault is being made; a different moment each round.
            thread::sleep(Duration::from_millis(round));
        } else {
            await_holding(&mut child).unwrap();
            assert_ne!(surroundings(from).unwrap(), before);
            let links = if hook == Hook::Tcx { 1 } else { 0 };
            assert_eq!(links_of(from).unwrap().len(), links);
            held += 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        slowest = slowest.max(gone(from, &before).unwrap());
    }
    assert_eq!(held, ROUNDS / 2);
    println!("killed {ROUNDS} times, slowest undo {slowest:?}");
}

#[test]
fn the_guard_outlives_signals_meant_for_the_tool() {
    let net = Net::pair("signal", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let before = surroundings(from).unwrap();
    let mut child = hold(from, to, Hook::Tcx).unwrap();
    await_holding(&mut child).unwrap();
    let holder = i32::try_from(child.id()).unwrap();
    let guards: Vec<i32> = processes(from)
        .unwrap()
        .into_iter()
        .filter(|pid| *pid != holder)
        .collect();
    let [guard] = guards[..] else {
        panic!("not one guard: {guards:?}")
    };
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        kill(Pid::from_raw(guard), signal).unwrap();
    }
    let status = std::fs::read_to_string(format!("/proc/{guard}/stat")).unwrap();
    let session: i32 = status
        .rsplit_once(')')
        .and_then(|(_, fields)| fields.split_whitespace().nth(3)?.parse().ok())
        .unwrap();
    assert_eq!(session, guard, "a session of its own");
    let descriptors = std::fs::read_dir(format!("/proc/{guard}/fd"))
        .unwrap()
        .count();
    assert_eq!(descriptors, 4, "the standard three and the record");
    assert_ne!(surroundings(from).unwrap(), before);
    child.kill().unwrap();
    child.wait().unwrap();
    gone(from, &before).unwrap();
}
