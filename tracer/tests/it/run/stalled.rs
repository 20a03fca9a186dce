//! Readers that stand still, leave or never come, and disks that are full: none of it
//! holds up the count, the end, or the undoing of a fault.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::Stdio,
    time::Duration,
};

use anyhow::Result;
use nix::{fcntl::OFlag, sys::signal::Signal};
use xtask::testbed::{
    netns::{Host, Net, Netns},
    wait,
};

use crate::contract;
use crate::support::{
    outlet::{Outlet, fifo, full_pipe, terminal},
    pair,
    report::Report,
    tool::Tool,
};

const LIMIT: Duration = Duration::from_secs(60);
/// Enough for more events than a pipe holds.
const CONNECTIONS: usize = 300;

fn talk(from: &Host, listener: &std::net::TcpListener, times: usize) -> Result<()> {
    for _ in 0..times {
        let (mut client, _server) = pair::connect(from, listener)?;
        client.write_all(b"hello")?;
    }
    Ok(())
}

fn null() -> Stdio {
    Stdio::null()
}

/// Connections were counted, and their events are said to be missing.
fn check_missing(report: &Report, cause: &str) {
    report.check();
    assert!(report.states.opened > 0);
    assert!(report.gaps.unwritten_events > 0);
    assert_eq!(report.totals.lost_events, Some(0));
    assert!(report.warned("could not be written to --events"));
    assert!(report.warned(cause), "{cause}: {:?}", report.warnings);
}

#[test]
fn a_fifo_that_nobody_reads_holds_up_nothing() {
    let net = Net::pair("nofifo", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let listener = pair::listen(to, to.v4.into()).unwrap();
    for signal in [None, Some(Signal::SIGTERM)] {
        let folder = tempfile::tempdir().unwrap();
        let path = fifo(folder.path()).unwrap();
        let mut arguments = vec!["--all", "--events", path.to_str().unwrap()];
        if signal.is_none() {
            arguments.extend(["--duration", "2"]);
        }
        let tool = Tool::start(&from.netns, &arguments).unwrap();
        talk(from, &listener, 3).unwrap();
        if let Some(signal) = signal {
            tool.signal(signal).unwrap();
        }
        let ended = tool.ended().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("--events"), "{}", ended.stderr);
        // The summary says it, too.
        assert!(ended.stdout.contains("could not be written to --events"));
        check_missing(&ended.written().unwrap(), "nothing was taken");
    }
}

#[test]
fn a_reader_that_stops_reading_costs_events_and_not_the_undoing() {
    let net = Net::pair("stops", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let listener = pair::listen(to, to.v4.into()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = fifo(folder.path()).unwrap();
    // A reader that is there and never reads.
    let mut options = OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, OFlag::O_NONBLOCK.bits());
    let mut reader = options.read(true).open(&path).unwrap();
    let arguments = [
        "--peer",
        "10.0.10.3",
        "--events",
        path.to_str().unwrap(),
        "--inject",
        "loss=1%",
        "--for",
        "60s",
        "--interval",
        "0.1",
    ];
    let tool = Tool::start(&from.netns, &arguments).unwrap();
    talk(from, &listener, CONNECTIONS).unwrap();
    tool.signal(Signal::SIGTERM).unwrap();
    let ended = tool.ended().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let report = ended.written().unwrap();
    check_missing(&report, "nothing was taken");
    assert!(report.fault().removed);
    // What the pipe holds is whole lines, and with what is missing it is all of them.
    let mut held = String::new();
    let _ = reader.read_to_string(&mut held);
    assert!(held.ends_with('\n') && held.lines().count() > 10);
    let missing = report.gaps.unwritten_events;
    let all = held.lines().count() as u64 + missing;
    assert!(all >= 2 * CONNECTIONS as u64, "{all}");
}

#[test]
fn after_a_reader_that_left_the_next_one_has_whole_lines() {
    let net = Net::pair("leaves", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let listener = pair::listen(to, to.v4.into()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = fifo(folder.path()).unwrap();
    let arguments = [
        "--all",
        "--events",
        path.to_str().unwrap(),
        "--interval",
        "0.1",
    ];
    let tool = Tool::start(&from.netns, &arguments).unwrap();
    let mut line = String::new();
    for _ in 0..2 {
        talk(from, &listener, 3).unwrap();
        line.clear();
        let mut reader = BufReader::new(File::open(&path).unwrap());
        reader.read_line(&mut line).unwrap();
        drop(reader);
        // Until the loss is known: only then there is a next reader.
        wait::until(LIMIT, "the tool to open the FIFO again", || {
            talk(from, &listener, 1)?;
            let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK;
            let opened = nix::fcntl::open(&path, flags, nix::sys::stat::Mode::empty());
            Ok(opened.is_err().then_some(()))
        })
        .unwrap();
    }
    let last: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(last["event"].is_string(), "{last}");
    tool.signal(Signal::SIGINT).unwrap();
    let ended = tool.ended().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    ended.written().unwrap().check();
}

/// The count goes on, the loss is said when it begins and at the end.
#[test]
fn a_full_disk_costs_events_and_nothing_else() {
    let net = Net::pair("evfull", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let listener = pair::listen(to, to.v4.into()).unwrap();
    let arguments = [
        "--all",
        "--events",
        "/dev/full",
        "--interval",
        "0.1",
        "--quiet",
    ];
    let tool = Tool::start(&from.netns, &arguments).unwrap();
    talk(from, &listener, 2).unwrap();
    let said = || Ok(tool.said()?.contains("the count goes on").then_some(()));
    wait::until(LIMIT, "the loss to be said", said).unwrap();
    talk(from, &listener, 2).unwrap();
    tool.signal(Signal::SIGINT).unwrap();
    let ended = tool.ended().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.stderr.lines().count(), 2, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("--events /dev/full"),
        "{}",
        ended.stderr
    );
    let report = ended.written().unwrap();
    check_missing(&report, "No space left");
    assert!(report.states.opened >= 4);
}

/// Part of a line that had no room is taken back, so that what follows is whole.
#[test]
fn a_disk_that_is_full_for_a_while_leaves_whole_lines() {
    let net = Net::pair("evroom", "ens160").unwrap();
    let from = net.host("primary").unwrap();
    let to = net.host("standby").unwrap();
    let listener = pair::listen(to, to.v4.into()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    xtask::testbed::command::output(
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=16k", "tmpfs", place]),
    )
    .unwrap();
    let _mounted = Unmount(place.to_owned());
    let path = folder.path().join("events.jsonl");
    let fill = folder.path().join("fill");
    fs::write(&fill, [b'x'; 8 * 1024]).unwrap();
    let arguments = [
        "--all",
        "--events",
        path.to_str().unwrap(),
        "--interval",
        "0.1",
    ];
    let tool = Tool::start(&from.netns, &arguments).unwrap();
    wait::until(LIMIT, "the disk to be full", || {
        talk(from, &listener, 10)?;
        Ok(tool.said()?.contains("the count goes on").then_some(()))
    })
    .unwrap();
    // What waits is written as soon as there is room, and may fill it again.
    let before = fs::metadata(&path).unwrap().len();
    fs::remove_file(&fill).unwrap();
    wait::until(LIMIT, "more events", || {
        talk(from, &listener, 1)?;
        Ok((fs::metadata(&path)?.len() > before).then_some(()))
    })
    .unwrap();
    tool.signal(Signal::SIGINT).unwrap();
    let ended = tool.ended().unwrap();
    check_missing(&ended.written().unwrap(), "No space left");
    for line in fs::read_to_string(&path).unwrap().lines() {
        serde_json::from_str::<serde_json::Value>(line).expect(line);
    }
}

struct Unmount(String);

impl Drop for Unmount {
    fn drop(&mut self) {
        let mut command = std::process::Command::new("umount");
        let _ = xtask::testbed::command::output(command.args(["-l", &self.0]));
    }
}

fn alone(tag: &str) -> Netns {
    Netns::new(tag, "alone").unwrap()
}

const SHORT: [&str; 5] = ["--all", "--interval", "0.1", "--duration", "1"];

#[test]
fn standard_output_that_nobody_reads_holds_up_nothing() {
    let netns = alone("outfull");
    let (_reader, full) = full_pipe().unwrap();
    let ended = Outlet::start(&netns, &SHORT, full, null()).unwrap();
    let ended = ended.ended().unwrap();
    // The summary is nowhere.
    assert_eq!(ended.code, Some(1));
    ended.report.check();
    assert!(ended.report.warned("lines of the live view"));
}

#[test]
fn standard_error_that_nobody_reads_holds_up_nothing() {
    let netns = alone("errfull");
    let (_reader, full) = full_pipe().unwrap();
    // That there are no commits to split is said there.
    let arguments = [&SHORT[..], &["--commits"]].concat();
    let ended = Outlet::start(&netns, &arguments, null(), full).unwrap();
    let ended = ended.ended().unwrap();
    assert_eq!(ended.code, Some(0));
    ended.report.check();
}

#[test]
fn a_terminal_that_was_stopped_holds_up_nothing() {
    let netns = alone("ctrls");
    for signal in [None, Some(Signal::SIGTERM)] {
        let (mut user, terminal) = terminal().unwrap();
        user.write_all(b"\x13").unwrap();
        let mut arguments = SHORT.to_vec();
        if signal.is_some() {
            arguments[4] = "600";
        }
        let both = terminal.try_clone().unwrap();
        let tool = Outlet::start(&netns, &arguments, terminal, both).unwrap();
        if let Some(signal) = signal {
            tool.signal(signal).unwrap();
        }
        let ended = tool.ended().unwrap();
        assert_eq!(ended.code, Some(1));
        ended.report.check();
    }
}

#[test]
fn a_terminal_that_is_gone_is_an_end_and_no_error() {
    let netns = alone("gone");
    let (user, terminal) = terminal().unwrap();
    let both = terminal.try_clone().unwrap();
    let arguments = ["--all", "--interval", "0.1", "--duration", "600"];
    let tool = Outlet::start(&netns, &arguments, terminal, both).unwrap();
    drop(user);
    let ended = tool.ended().unwrap();
    assert_eq!(ended.code, Some(0));
    ended.report.check();
}

/// What cannot be written does not take what can with it.
#[test]
fn a_report_that_cannot_be_written_leaves_the_summary() {
    let netns = alone("sumfirst");
    let mut command = netns.command(crate::support::program::PROGRAM);
    let output = command
        .args(["run", "--all", "--duration", "0.3", "--json", "/dev/full"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let (stdout, stderr) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(stdout.contains("segments retransmitted to"), "{stdout}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("--json /dev/full"), "{stderr}");
}

/// A report that nobody takes ends with a signal, when all else is done.
#[test]
fn a_report_on_standard_output_that_nobody_takes_can_be_ended() {
    let netns = alone("jsonfull");
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let (_reader, full) = full_pipe().unwrap();
    let mut command = netns.command(crate::support::program::PROGRAM);
    command.args(["run", "--all", "--quiet", "--json", "-", "--ready-file"]);
    command.arg(&ready).stdout(full).stderr(Stdio::null());
    let running = xtask::testbed::command::Running::new(command.spawn().unwrap(), "tracer");
    wait::until(LIMIT, "tracer to count", || {
        Ok(ready.exists().then_some(()))
    })
    .unwrap();
    nix::sys::signal::kill(running.pid(), Signal::SIGTERM).unwrap();
    // It is taken back when all that has to be undone is.
    wait::until(LIMIT, "the end", || Ok((!ready.exists()).then_some(()))).unwrap();
    wait::until(LIMIT, "a signal to end it", || {
        nix::sys::signal::kill(running.pid(), Signal::SIGTERM)?;
        let state = xtask::testbed::command::state(running.pid());
        Ok(matches!(state, None | Some('Z')).then_some(()))
    })
    .unwrap();
    let status = running.wait(Some(LIMIT)).unwrap();
    assert!(!status.success());
}

/// A fault ends in time whatever its terminal does.
#[test]
fn a_fault_is_undone_though_its_terminal_was_stopped() {
    let net = Net::pair("injctrls", "ens160").unwrap();
    let from = net.host("primary").unwrap();
    let (mut user, terminal) = terminal().unwrap();
    user.write_all(b"\x13").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (json, ready) = (folder.path().join("j"), folder.path().join("r"));
    let mut command = from.netns.command(crate::support::program::PROGRAM);
    command
        .args([
            "inject",
            "loss=1%",
            "--peer",
            "10.0.10.3",
            "--duration",
            "3",
        ])
        .arg("--json")
        .arg(&json)
        .arg("--ready-file")
        .arg(&ready)
        .stdin(Stdio::null())
        .stdout(terminal.try_clone().unwrap())
        .stderr(terminal);
    let running = xtask::testbed::command::Running::new(command.spawn().unwrap(), "tracer");
    wait::until(LIMIT, "the fault", || Ok(ready.exists().then_some(()))).unwrap();
    // By itself, and with its report.
    wait::until(LIMIT, "the report", || Ok(json.exists().then_some(()))).unwrap();
    let faults = contract::faults(&fs::read(&json).unwrap()).unwrap();
    assert!(faults[0].removed, "{faults:?}");
    assert!(!ready.exists());
    // What is left is to be read by somebody who may not read: a signal ends that.
    nix::sys::signal::kill(running.pid(), Signal::SIGTERM).unwrap();
    assert!(!running.wait(Some(LIMIT)).unwrap().success());
}
