//! Every command that a page shows is run, and says what it is to say; or it is named here
//! with the reason why not.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;
use xtask::testbed::command::Running;
use xtask::testbed::netns::Host;
use xtask::testbed::wait;

use crate::contract;
use crate::postgres::watched::Lab;
use crate::support::pages::{pages, words};
use crate::support::program::{PROGRAM, data, printed};

/// What a fault says that the running kernel has nothing for.
const NO_NETEM: &str = "this kernel has none; `tracer check` says which faults work here";
const LIMIT: Duration = Duration::from_secs(60);

/// Where a command is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// By anybody, beside files that were recorded.
    Desk,
    /// By root, on the primary at 10.0.10.2.
    Primary,
    /// By root, on its standby at 10.0.10.3.
    Standby,
}

use Place::{Desk, Primary, Standby};

/// A line of a page, where it is run, and what it prints or writes.
const RUN: &[(&str, Place, &str)] = &[
    ("sudo tracer check", Primary, "`tracer run` can work here."),
    (
        "sudo tracer run --peer 10.0.10.3",
        Primary,
        "segments retransmitted to 10.0.10.3/32 in ",
    ),
    (
        "sudo tracer run --peer 10.0.10.2",
        Standby,
        "segments retransmitted to 10.0.10.2/32 in ",
    ),
    (
        "sudo tracer run --peer 10.0.10.0/24 --port 5432 --duration 60s --json run.json",
        Primary,
        "segments retransmitted to 10.0.10.0/24, port 5432 in ",
    ),
    (
        "sudo tracer run --peer fd00:10::2 --events events.jsonl",
        Standby,
        "segments retransmitted to fd00:10::2/128 in ",
    ),
    (
        "sudo tracer run --all",
        Primary,
        "segments retransmitted to every peer in ",
    ),
    (
        "sudo tracer run --all --netns all",
        Primary,
        "segments retransmitted to every peer in ",
    ),
    (
        "sudo tracer run --peer 10.0.10.2 --netns db2",
        Primary,
        "segments retransmitted to 10.0.10.2/32 in ",
    ),
    (
        "sudo tracer run --peer 10.0.10.3 --commits",
        Primary,
        "Commits of PostgreSQL",
    ),
    (
        "sudo tracer run --peer 10.0.10.3 --pg \"host=10.0.10.2 dbname=app user=monitor\"",
        Primary,
        ": primary on timeline 1, ",
    ),
    (
        "sudo tracer run --peer 10.0.10.3 --pg \"host=10.0.10.2 user=monitor dbname=app\"",
        Primary,
        ": primary on timeline 1, ",
    ),
    (
        "sudo tracer run --peer 10.0.10.3 --pg \"host=10.0.10.2 user=monitor dbname=app\" --commits --json run.json",
        Primary,
        "Commits of PostgreSQL",
    ),
    (
        "sudo tracer run --all --pg \"host=10.0.10.2 dbname=app user=monitor\" --commit-probe 10",
        Primary,
        "probe's commits: ",
    ),
    (
        "sudo tracer run --all --pg \"host=10.0.10.2 dbname=app user=monitor\" --commit-probe 10 --phases 30s,60s",
        Primary,
        "Recovery, ",
    ),
    (
        "sudo tracer run --all --pg \"host=10.0.10.2 dbname=app user=monitor\" --listen 127.0.0.1:9187",
        Primary,
        ": primary on timeline 1, ",
    ),
    (
        "sudo tracer run --all --pg \"host=10.0.10.2 user=monitor dbname=app\" --listen 127.0.0.1:9187",
        Primary,
        ": primary on timeline 1, ",
    ),
    (
        "sudo tracer run --peer 10.0.10.3 --pg \"host=10.0.10.2 dbname=app user=monitor\" --commits --duration 10m --json db1.json",
        Primary,
        "Commits of PostgreSQL",
    ),
    (
        "sudo tracer run --peer 10.0.10.2 --commits --duration 10m --json db2.json",
        Standby,
        "Commits of PostgreSQL",
    ),
    (
        "sudo tracer run --all --commits --slow-commit 100ms --json run.json",
        Primary,
        "Commits of PostgreSQL",
    ),
    (
        "sudo tracer run --all --commits --compare-to run.json --json now.json",
        Primary,
        "Commits of PostgreSQL",
    ),
    (
        "sudo tracer run --peer 10.0.10.2 --inject corrupt=50% --after 10s --for 30s --duration 60s",
        Standby,
        "segments to 10.0.10.2 corrupted on ens160 in 0.3 s, removed",
    ),
    (
        "sudo tracer inject loss=5% --peer 10.0.10.3 --duration 60s --dry-run",
        Primary,
        "loss=5% for packets to 10.0.10.3, for 1s",
    ),
    (
        "sudo tracer inject delay=100ms loss=1% --peer 10.0.10.2 --duration 60s --dry-run",
        Standby,
        "delay=100ms",
    ),
    (
        "sudo tracer inject corrupt --percent 50 --peer 10.0.10.2 --duration 60s --dry-run",
        Standby,
        "corrupt=50% for packets to 10.0.10.2, for 1s",
    ),
    (
        "sudo tracer inject corrupt=50% --peer 10.0.10.2 --duration 60s",
        Standby,
        "removed",
    ),
    (
        "sudo tracer inject delay=100ms,jitter=20ms,distribution=normal loss=1% --peer 10.0.10.2 --duration 5m",
        Standby,
        "removed",
    ),
    (
        "sudo tracer inject partition --peer 10.0.10.2 --peer fd00:10::2 --duration 30s",
        Standby,
        "removed",
    ),
    (
        "sudo tracer inject loss=30%,correlation=60% --seed 7 --peer 10.0.10.0/24 --port 5432 --duration 60s",
        Standby,
        "removed",
    ),
    ("sudo tracer inject --status", Primary, "no fault of tracer"),
    ("sudo tracer clean", Primary, "nothing"),
    ("tracer report run.json", Desk, "What was found"),
    (
        "tracer report run.json -o report.html",
        Desk,
        "<!doctype html>",
    ),
    (
        "tracer report run.json -o report.md",
        Desk,
        "## What was found",
    ),
    ("tracer explain run.json", Desk, "wait for a standby"),
    (
        "tracer explain run.json --slowest 5 -o slow.md",
        Desk,
        "## WAL position",
    ),
    (
        "tracer compare before.json after.json",
        Desk,
        "How sure that is",
    ),
    (
        "tracer compare before.json after.json --fail-if \"commits.p99 > +20%\" -o compared.html",
        Desk,
        "may be met, but that is within the uncertainty",
    ),
    (
        "tracer merge db1.json db2.json -o both.json",
        Desk,
        "tracer.merge/2",
    ),
    (
        "tracer report both.json -o both.html",
        Desk,
        "<!doctype html>",
    ),
    (
        "tracer replay events.jsonl --json again.json",
        Desk,
        "34 segments retransmitted to every peer",
    ),
];

/// What is written on a page, and what stands for it here: nobody waits for so long, and
/// the standby's namespace has a name of its own.
const FOR: [(&str, &str); 8] = [
    ("--duration 60s", "--duration 1s"),
    ("--duration 30s", "--duration 1s"),
    ("--duration 5m", "--duration 1s"),
    ("--duration 10m", "--duration 1s"),
    ("--after 10s", "--after 200ms"),
    ("--for 30s", "--for 300ms"),
    ("--phases 30s,60s", "--phases 200ms,500ms"),
    ("--netns db2", "--netns STANDBY"),
];

/// What is shown and not run, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("cargo xtask setup", "it installs packages"),
    (
        "cargo build --release",
        "it takes minutes, and the lab and the demo do it",
    ),
    (
        "sudo install -m 755 target/release/tracer /usr/local/bin/",
        "it changes this machine",
    ),
    (
        "cargo xtask demo",
        "it builds a release, and takes a minute of the machine",
    ),
    (
        "cargo xtask lab up",
        "it needs Patroni, etcd and HAProxy, and leaves a cluster running",
    ),
    (
        "cargo test -p tracer-core",
        "it is a part of what runs this",
    ),
    ("cargo xtask check", "it runs this"),
    ("cargo xtask test", "it runs this"),
];

/// Every line that some page shows.
fn shown() -> BTreeSet<String> {
    pages().iter().flat_map(|page| page.commands()).collect()
}

#[test]
fn every_command_that_is_shown_is_run_or_it_is_said_why_not() {
    let run = RUN.iter().map(|(line, _, _)| *line);
    let known: Vec<&str> = run.chain(NOT_RUN.iter().map(|(line, _)| *line)).collect();
    let unique: BTreeSet<String> = known.iter().map(|line| (*line).to_owned()).collect();
    assert_eq!(unique.len(), known.len(), "a line is there twice");
    let shown = shown();
    let missing: Vec<_> = shown.difference(&unique).collect();
    assert!(missing.is_empty(), "shown, and not run: {missing:#?}");
    let gone: Vec<_> = unique.difference(&shown).collect();
    assert!(gone.is_empty(), "no page shows: {gone:#?}");
    for (written, _) in FOR {
        let is_there = shown.iter().any(|line| line.contains(written));
        assert!(is_there, "no page shows {written}");
    }
}

/// The files that the pages' commands begin with, as runs left them.
fn recorded() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (name, from) in [
        ("run.json", "db1.json"),
        ("before.json", "stages.json"),
        ("after.json", "stages.json"),
        ("db1.json", "db1.json"),
        ("db2.json", "db2.json"),
        ("events.jsonl", "db2.jsonl"),
    ] {
        fs::copy(data(from), path(name)).unwrap();
    }
    let both = printed(&["merge", &data("db1.json"), &data("db2.json")]);
    fs::write(path("both.json"), both).unwrap();
    folder
}

/// The program's arguments of a line of a page.
fn arguments(line: &str, standby: &str) -> Vec<String> {
    let line = line.strip_prefix("sudo ").unwrap_or(line);
    let line = FOR.iter().fold(line.to_owned(), |line, (written, here)| {
        line.replace(written, &here.replace("STANDBY", standby))
    });
    let words = words(&line);
    assert_eq!(words[0], "tracer");
    words[1..].to_vec()
}

/// It ended well, and what is expected is in what it said or in a file that is named
/// behind an option.
fn check(status: ExitStatus, folder: &Path, arguments: &[String], expected: &str) -> Result<()> {
    let read = |name: &str| fs::read_to_string(folder.join(name));
    let mut said = read("stdout")? + &read("stderr")?;
    // Only netem delays, and not every kernel has it.
    let is_delay = arguments.iter().any(|word| word.starts_with("delay="));
    if is_delay && status.code() == Some(1) && said.contains(NO_NETEM) {
        return Ok(());
    }
    ensure!(status.code() == Some(0), "{status}: {said}");
    for pair in arguments.windows(2) {
        if ["-o", "--json", "--events"].contains(&pair[0].as_str()) {
            said += &read(&pair[1])?;
        }
        if pair[0] == "--json" {
            contract::read(read(&pair[1])?.as_bytes())?;
        }
    }
    ensure!(said.contains(expected), "no {expected:?} in {said}");
    Ok(())
}

fn run_at_desk(line: &str, expected: &str) -> Result<()> {
    let folder = recorded();
    let file = |name: &str| File::create(folder.path().join(name));
    let arguments = arguments(line, "");
    let mut tracer = Command::new(PROGRAM);
    tracer.args(&arguments).current_dir(folder.path());
    tracer.stdout(file("stdout")?).stderr(file("stderr")?);
    let status = tracer.stdin(Stdio::null()).status()?;
    check(status, folder.path(), &arguments, expected)
}

/// Runs it on the host to its end; what has none is ended with Ctrl-C, once it has shown
/// something. It sees no faults but its own: `clean` would undo what other tests left.
fn run_on(host: &Host, line: &str, standby: &str, expected: &str) -> Result<()> {
    let folder = recorded();
    let file = |name: &str| File::create(folder.path().join(name));
    let arguments = arguments(line, standby);
    let is_endless = arguments[0] == "run" && !arguments.iter().any(|word| word == "--duration");
    let apart = "mkdir -p /run/tracer && mount -t tmpfs none /run/tracer && exec \"$@\"";
    let mut command = host.netns.command("unshare");
    command
        .args(["--mount", "--", "sh", "-c", apart, "sh", PROGRAM])
        .args(&arguments)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(file("stdout")?)
        .stderr(file("stderr")?);
    let mut running = Running::new(command.spawn()?, "tracer");
    if is_endless {
        let shown = folder.path().join("stdout");
        wait::until(LIMIT, "two intervals to be shown", || {
            let lines = fs::read_to_string(&shown)?.lines().count();
            Ok((running.ended()?.is_some() || lines >= 2).then_some(()))
        })?;
        // One that has ended by itself says why.
        if running.ended()?.is_none() {
            running.interrupt()?;
        }
    }
    let status = running.wait(Some(LIMIT))?;
    check(status, folder.path(), &arguments, expected)
}

/// Runs every line of these places; all that went wrong is told at once.
fn run_all(run: impl Fn(&str, Place, &str) -> Option<Result<()>>) {
    let mut wrong = Vec::new();
    for (line, place, expected) in RUN {
        if let Some(Err(error)) = run(line, *place, expected) {
            wrong.push(format!("{line}\n  {error:#}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_is_shown_of_files_does_what_it_says() {
    run_all(|line, place, expected| (place == Desk).then(|| run_at_desk(line, expected)));
}

#[test]
fn what_is_shown_of_hosts_does_what_it_says_as_root() {
    let lab = Lab::start("docs");
    lab.psql("create database app");
    lab.psql("create role monitor login in role pg_monitor");
    let standby = lab.standby().netns.name();
    run_all(|line, place, expected| {
        let host = match place {
            Desk => return None,
            Primary => lab.primary(),
            Standby => lab.standby(),
        };
        Some(run_on(host, line, standby, expected))
    });
}
