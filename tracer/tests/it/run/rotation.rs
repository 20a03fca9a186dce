//! `--events` under logrotate, and what SIGHUP means.

use std::{fs, io::Write as _, path::Path, process::Command, time::Duration};

use anyhow::Result;
use nix::sys::signal::Signal;
use xtask::testbed::{
    netns::{Host, Net, Netns},
    wait,
};

use crate::support::{
    outlet::{Outlet, terminal},
    pair,
    program::PROGRAM,
    report::Report,
    tool::Tool,
};

const LIMIT: Duration = Duration::from_secs(60);
const TALKS: usize = 5;

fn talk(from: &Host, listener: &std::net::TcpListener) -> Result<()> {
    for _ in 0..TALKS {
        let (mut client, _server) = pair::connect(from, listener)?;
        client.write_all(b"hello")?;
    }
    Ok(())
}

/// Until so many connections are told of in the file.
fn opened(path: &Path, count: usize) -> Result<()> {
    wait::until(LIMIT, "events to be written", || {
        let text = fs::read_to_string(path).unwrap_or_default();
        let opened = text.matches(r#""state":"ESTABLISHED""#).count();
        Ok((opened >= count).then_some(()))
    })
}

/// The report of these files, in this order.
fn replayed(files: [&Path; 2]) -> Report {
    let mut command = Command::new(PROGRAM);
    let output = command.arg("replay").args(files).args(["--json", "-"]);
    let output = output.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    Report::read(&output.stdout).unwrap()
}

/// Both of logrotate's ways: no event is missing, and none is there twice.
fn is_rotated(tag: &str, rotate: impl Fn(&Tool, &Path, &Path)) {
    let net = Net::pair(tag, "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let listener = pair::listen(to, to.v4.into()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let now = folder.path().join("events.jsonl");
    let old = folder.path().join("events.jsonl.1");
    let arguments = [
        "--all",
        "--interval",
        "0.1",
        "--events",
        now.to_str().unwrap(),
    ];
    let tool = Tool::start(&from.netns, &arguments).unwrap();
    talk(from, &listener).unwrap();
    // Each connection opens at one end only here: the other is another namespace's.
    opened(&now, TALKS).unwrap();
    rotate(&tool, &now, &old);
    talk(from, &listener).unwrap();
    opened(&now, TALKS).unwrap();
    tool.signal(Signal::SIGTERM).unwrap();
    let ended = tool.ended().unwrap();
    let report = ended.report().unwrap();
    report.check();
    assert_eq!(report.gaps.unwritten_events, 0);
    assert!(!fs::read(&now).unwrap().contains(&0));
    let again = replayed([&now, &old]);
    let counts = |of: &Report| (of.states.opened, of.states.closed, of.totals.segments);
    assert_eq!(counts(&again), counts(&report));
    assert_eq!(again.states.opened, 2 * TALKS as u64);
}

#[test]
fn a_file_that_is_copied_and_emptied_has_no_hole() {
    is_rotated("copytrunc", |_, now, old| {
        fs::copy(now, old).unwrap();
        fs::OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(now)
            .unwrap();
    });
}

#[test]
fn a_file_that_is_renamed_is_opened_anew_at_sighup() {
    is_rotated("renamed", |tool, now, old| {
        fs::rename(now, old).unwrap();
        tool.signal(Signal::SIGHUP).unwrap();
        wait::until(LIMIT, "the new file", || Ok(now.exists().then_some(()))).unwrap();
    });
}

/// Under `nohup`, the end of the terminal is none of the run.
#[test]
fn a_hangup_that_was_ignored_stays_ignored() {
    let netns = Netns::new("nohup", "alone").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (stdout, ready) = (folder.path().join("out"), folder.path().join("ready"));
    let json = folder.path().join("report.json");
    let mut command = netns.command("sh");
    command
        .args([
            "-c",
            "trap '' HUP; exec \"$0\" \"$@\"",
            PROGRAM,
            "run",
            "--all",
        ])
        .args(["--interval", "0.1", "--ready-file"])
        .arg(&ready)
        .arg("--json")
        .arg(&json)
        .stdout(fs::File::create(&stdout).unwrap());
    let running = xtask::testbed::command::Running::new(command.spawn().unwrap(), "tracer");
    wait::until(LIMIT, "tracer to count", || {
        Ok(ready.exists().then_some(()))
    })
    .unwrap();
    nix::sys::signal::kill(running.pid(), Signal::SIGHUP).unwrap();
    let lines = || fs::read_to_string(&stdout).map(|text| text.lines().count());
    let before = lines().unwrap();
    wait::until(LIMIT, "the run to go on", || {
        Ok((lines()? > before + 3).then_some(()))
    })
    .unwrap();
    assert!(!json.exists());
    running.interrupt().unwrap();
    assert!(running.wait(Some(LIMIT)).unwrap().success());
    assert!(json.exists());
}

/// Without a file to open anew, it is the end, as ever.
#[test]
fn a_hangup_without_events_is_the_end() {
    let netns = Netns::new("hangup", "alone").unwrap();
    let null = std::process::Stdio::null;
    let tool = Outlet::start(&netns, &["--all"], null(), null()).unwrap();
    tool.signal(Signal::SIGHUP).unwrap();
    let ended = tool.ended().unwrap();
    assert_eq!(ended.code, Some(0));
    ended.report.check();
}

/// Also where there is one: whose terminal is gone has nobody to rotate files.
#[test]
fn a_terminal_that_goes_is_the_end_also_with_events() {
    let netns = Netns::new("ttygone", "alone").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events.jsonl");
    let arguments = ["--all", "--events", events.to_str().unwrap()];
    let (user, terminal) = terminal().unwrap();
    let tool = Outlet::start_on(&netns, terminal, &arguments).unwrap();
    // With its terminal there, it is for the file.
    fs::rename(&events, folder.path().join("old")).unwrap();
    tool.signal(Signal::SIGHUP).unwrap();
    wait::until(LIMIT, "the new file", || Ok(events.exists().then_some(()))).unwrap();
    drop(user);
    let ended = tool.ended().unwrap();
    assert_eq!(ended.code, Some(0));
    ended.report.check();
}
