//! No fault outlives the tool, and what is somebody else's stays as it is.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use xtask::testbed::{
    netns::{Host, Net},
    quantile::median,
    wait,
};

use super::{PEER_V4, refusal};
use crate::run::kernels::cell;
use crate::support::{
    fault::{Fault, tracer},
    program::PROGRAM,
    storm::LIMIT,
    surroundings::{self, surroundings},
};

/// What is promised of a machine that is not emulated. One round says nothing of it: another
/// program may have had the processor.
const SOON: Duration = Duration::from_secs(1);

/// The guard of a fault, by its record.
fn guard(host: &Host) -> Result<Pid> {
    let status = status(host)?;
    let pid = status["guard"].as_i64().context("no guard")?;
    Ok(Pid::from_raw(i32::try_from(pid)?))
}

/// What `--status` says of the host's one fault.
fn status(host: &Host) -> Result<Value> {
    let (_, text) = tracer(&host.netns, &["inject", "--status", "--json", "-"])?;
    let status: Value = serde_json::from_str(&text).context(text)?;
    let netns = std::fs::metadata(host.netns.path())?;
    let inode = std::os::unix::fs::MetadataExt::ino(&netns);
    let faults = status["faults"].as_array().context("no faults")?.iter();
    let mut ours = faults.filter(|fault| fault["netns"] == inode);
    Ok(ours.next().cloned().unwrap_or(Value::Null))
}

/// One fault for each place that the program can hang on here.
fn faults(host: &Host) -> Vec<&'static [&'static str]> {
    let mut faults: Vec<&[&str]> = vec![&["corrupt=50%"], &["partition"]];
    if refusal(host, &["delay=1ms"]).is_none() {
        faults.push(&["delay=10ms", "loss=5%"]);
    }
    faults
}

#[test]
fn killed_at_any_moment_it_leaves_nothing() {
    let net = Net::pair("fkill", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let before = surroundings(host).unwrap();
    let mut took = Vec::new();
    for fault in faults(host) {
        for moment in 0..4 {
            let arguments = [fault, &["--peer", PEER_V4]].concat();
            if moment == 0 {
                let running = Fault::start(&host.netns, &arguments).unwrap();
                assert_ne!(surroundings(host).unwrap(), before, "{fault:?}");
                kill(running.pid(), Signal::SIGKILL).unwrap();
            } else {
                let mut command = host.netns.command(PROGRAM);
                command.args(["inject", "--duration", "60s", "--quiet"]);
                let mut child = command.args(&arguments).spawn().unwrap();
                // While it is being made; another moment each round.
                thread::sleep(Duration::from_millis(moment * 15));
                child.kill().unwrap();
                child.wait().unwrap();
            }
            let since = Instant::now();
            wait::until(LIMIT, "the fault to be undone", || {
                let gone = surroundings(host)? == before && status(host)?.is_null();
                Ok(gone.then_some(()))
            })
            .unwrap();
            took.push(since.elapsed());
        }
    }
    let (rounds, usual) = (took.len(), median(&took).unwrap());
    let slowest = took.iter().max().unwrap();
    println!("killed {rounds} times, undone after {usual:?} and at most {slowest:?}");
    // An emulated machine takes that long to ask.
    if std::env::var_os("TRACER_TEST_SEGMENTS").is_none() {
        assert!(usual < SOON, "{took:?}");
    }
    cell::found("left by SIGKILL", "nothing");
}

#[test]
fn what_the_death_of_the_guard_leaves_is_cleaned_up() {
    let net = Net::pair("fclean", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let before = surroundings(host).unwrap();
    for fault in faults(host) {
        let arguments = [fault, &["--peer", PEER_V4]].concat();
        let running = Fault::start(&host.netns, &arguments).unwrap();
        let active = status(host).unwrap();
        assert_eq!(active["active"], true, "{active}");
        assert_eq!(active["pid"], running.pid().as_raw());
        // Cleaning up is no way to end a fault.
        let (ended, said) = tracer(&host.netns, &["clean"]).unwrap();
        assert!(ended.success() && said.contains("not touched"), "{said}");
        assert_ne!(surroundings(host).unwrap(), before);

        for pid in [guard(host).unwrap(), running.pid()] {
            kill(pid, Signal::SIGKILL).unwrap();
        }
        // The guard dies when the kernel has time for it.
        wait::until(LIMIT, "the guard's death", || {
            Ok((status(host)?["active"] == false).then_some(()))
        })
        .unwrap();
        // A link has gone by itself; all else is there.
        let links = surroundings::links(host).is_ok() && *fault == ["partition"];
        assert_eq!(surroundings(host).unwrap() == before, links, "{fault:?}");
        // A new one would not know what to restore.
        let refused = refusal(host, fault).unwrap();
        assert!(refused.contains("tracer clean"), "{refused}");
        let (ended, said) = tracer(&host.netns, &["clean"]).unwrap();
        assert!(ended.success() && said.contains("undone"), "{said}");
        assert_eq!(surroundings(host).unwrap(), before, "{said}");
        assert!(status(host).unwrap().is_null());
    }
    let (_, said) = tracer(&host.netns, &["clean"]).unwrap();
    assert!(!said.contains(&format!("{}:", host.netns.name())), "{said}");
}

#[test]
fn the_discipline_of_somebody_else_stays() {
    let net = Net::pair("fother", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    if refusal(host, &["delay=1ms"]).is_some() {
        return;
    }
    let tbf = "qdisc add dev ens160 root handle 5: tbf rate 100mbit burst 100kb limit 1mb";
    let tbf: Vec<&str> = tbf.split(' ').collect();
    host.netns.run("tc", &tbf).unwrap();
    let before = surroundings(host).unwrap();
    let refused = refusal(host, &["delay=1ms"]).unwrap();
    assert!(refused.contains("tbf 5:"), "{refused}");
    assert_eq!(surroundings(host).unwrap(), before);
    // The program alone needs no place at the root.
    assert_eq!(refusal(host, &["loss=50%"]), None);
    assert_eq!(surroundings(host).unwrap(), before);
}
