//! What the tool says of a slow commit, with each cause made for real: it must name
//! it without knowing what was done.

mod awaited;
mod network;
mod primary;
mod standby;

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use tracer_core::report::finding::Cause;
use xtask::testbed::{command::Running, netns::Host, wait};

use crate::contract;

use crate::postgres::watched::{LIMIT, Lab, Seen, Watched};
use crate::support::program::PROGRAM;

const PROBE: [&str; 2] = ["--commit-probe", "20"];
/// What is shown at every look.
const PROBE_LINE: &str = "probe: ";
/// How long something is the matter, at least, so that it is seen more than once.
const TROUBLE: Duration = Duration::from_secs(6);
/// How long nothing is, for it to be a phase.
const CALM: Duration = Duration::from_secs(5);

/// The first finding, of which everything else must bear out.
fn verdict(what: &str, seen: &Seen) -> Cause {
    let found = &seen.report.findings;
    let first = found
        .first()
        .unwrap_or_else(|| panic!("{what}: nothing was found: {}", seen.stdout));
    println!(
        "{what:<44} {:?} ({:?}): {}",
        first.cause, first.confidence, first.text
    );
    for finding in found {
        assert!(!finding.evidence.is_empty(), "{finding:?}");
        contract::assert_points_at(&seen.json, &finding.evidence);
    }
    let told = seen.stdout.find("Found: ").unwrap();
    assert!(told < seen.stdout.find("segments retransmitted").unwrap());
    assert!(seen.report.faults.is_empty());
    first.cause
}

fn begin(lab: &Lab, host: &Host) -> Watched {
    let mut tool = probe(lab, host);
    tool.await_line(&["streaming sync"]);
    assert_eq!(lab.psql("show synchronous_standby_names"), "standby");
    tool
}

/// Watches, and commits.
fn probe(lab: &Lab, host: &Host) -> Watched {
    // By the socket file, also from the standby's host: what is asked and committed
    // does not itself go over the network that is broken.
    let folder = lab.pair.primary().socket_dir().display();
    let dsn = format!("host={folder} user=postgres");
    let mut tool = Watched::start(host, &dsn, &PROBE);
    tool.await_line(&["probe: 2 commits"]);
    tool
}

/// Breaks what passes between the host and the other.
fn inject(host: &Host, fault: &str, peer: &str) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let mut command = host.netns.command(PROGRAM);
    command
        .args(["inject", fault, "--peer", peer, "--quiet"])
        .args(["--duration", "60s", "--allow-ssh-peer", "--ready-file"])
        .arg(&ready)
        .stdin(Stdio::null());
    let child: Child = command.spawn().unwrap();
    let running = Running::new(child, "tracer inject");
    wait::until(LIMIT, "the fault", || Ok(ready.exists().then_some(()))).unwrap();
    running
}

fn end(fault: Running) {
    fault.interrupt().unwrap();
    assert!(fault.wait(Some(LIMIT)).unwrap().success());
}

/// Until it has been seen again and again, for as long.
fn await_lines(tool: &mut Watched, words: &[&str], long: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < long {
        tool.await_line(words);
    }
}

/// Until commits have been held up again and again.
fn await_trouble(tool: &mut Watched, words: &[&str]) {
    await_lines(tool, words, TROUBLE);
}
