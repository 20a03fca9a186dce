//! `tracer inject` and `tracer clean` at the command line.

use std::process::Stdio;

use anyhow::Result;
use serde_json::Value;
use xtask::testbed::netns::{Host, Net};

use super::helper::offloads;
use crate::support::{
    fault::{self, Fault, tracer},
    program::{PROGRAM, USAGE, assert_refused},
    rights::root_without,
};

const PEER: [&str; 4] = ["--peer", "10.0.10.3", "--duration", "5s"];

#[test]
fn every_mistake_is_one_line_and_exit_code_2() {
    // Where nothing is hit should one of them not be a mistake.
    let net = Net::pair("clibad", "ens160").unwrap();
    let refuse = |arguments: &[&str]| {
        let mut command = net.host("primary").unwrap().netns.command(PROGRAM);
        command.arg("inject").args(arguments).stdin(Stdio::null());
        command.output().unwrap()
    };
    for (arguments, words) in [
        // Percent.
        (&["corrupt=0"][..], "0% of the packets"),
        (&["corrupt=101%"], "at most 100"),
        (&["loss=-1"], "not a number"),
        (&["loss", "--percent", "many"], "\"many\""),
        (&["loss=1%", "--percent", "5"], "--percent means nothing"),
        (&["loss=1%,correlation=100"], "less than 100"),
        // Units.
        (&["loss=10ms"], "not \"ms\""),
        (&["delay=10parsecs"], "not a length of time"),
        (&["delay=20m"], "at most 10 minutes"),
        (&["rate=10mbps"], "not \"mbps\""),
        (&["rate=10"], "needs a unit"),
        (&["delay=100"], "delay=100ms or delay=100s"),
        (&["delay=100ms,jitter=20"], "jitter=20ms or"),
        (&["delay=100ms", "--jitter", "20"], "jitter=20ms or"),
        // Commas.
        (&["delay=0,5s"], "write a decimal point: 0.5s"),
        (&["delay=5ms,jitter=0,5ms"], "point: 0.5ms"),
        (&["delay=5ms", "--jitter", "0,5ms"], "point: 0.5ms"),
        (&["corrupt=12,5%"], "point: 12.5%"),
        (&["corrupt", "--percent", "12,5"], "point: 12.5"),
        (&["loss=0,1%"], "point: 0.1%"),
        (&["loss=1%", "--correlation", "2,5"], "point: 2.5"),
        (&["rate=1,5mbit"], "point: 1.5mbit"),
        (&["loss=1%", "--jitter", "5ms"], "--jitter means nothing"),
        (&["delay=5ms,jitter=6ms"], "cannot vary by more"),
        (
            &["delay=5ms,jitter=1ms", "--distribution", "bell"],
            "normal, pareto",
        ),
        // Kinds, and what goes together.
        (&["explode=5%"], "it knows: corrupt, loss"),
        (&["loss=1%", "loss=2%"], "twice"),
        (&["partition", "loss=2%"], "leaves nothing"),
        (&["partition=50%"], "takes no amount"),
        (&["reorder=5%"], "needs a delay"),
        // Engines and directions.
        (&["delay=5ms", "--engine", "bpf"], "netem can"),
        (&["delay=5ms", "--direction", "in"], "what leaves"),
        (&["corrupt=5%", "--direction", "both"], "on the peer"),
        (&["corrupt=5%", "--engine", "magic"], "'magic'"),
        (&["corrupt=5%", "--direction", "up"], "'up'"),
        (&["corrupt=5%", "--seed", "0"], "'0'"),
        // Options that exclude each other.
        (&["corrupt=5%", "--dry-run", "--json", "-"], "--dry-run"),
        (&["corrupt=5%", "--port", "70000"], "70000"),
    ] {
        assert_refused(&refuse(&[arguments, &PEER].concat()), USAGE, &[words]);
    }
    for (arguments, words) in [
        (&[][..], "FAULT"),
        (&["loss=1%"], "--duration"),
        (&["partition", "--peer", "10.0.10.3"], "--duration"),
        (&["loss=1%", "--duration", "5s"], "--peer"),
        (
            &["loss=1%", "--duration", "0", "--peer", "10.0.10.3"],
            "`0`",
        ),
        (
            &["loss=1%", "--duration", "1,5s", "--peer", "10.0.10.3"],
            "write a decimal point: `1.5s`",
        ),
        (&["loss=1%", "--duration", "5s", "--peer", "db1"], "`db1`"),
        (
            &["loss=1%", "--duration", "5s", "--peer", "10.0.10.3/24"],
            "beyond its prefix",
        ),
        (&["loss=1%", "--status"], "--status"),
        (
            &["loss=1%", "--duration", "5s", "--allow-whole-interface"],
            "--interface",
        ),
    ] {
        assert_refused(&refuse(arguments), USAGE, &[words]);
    }
}

#[test]
fn an_interface_that_is_not_there_is_wrong_usage() {
    let net = Net::pair("cliface", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let arguments = ["inject", "loss=1%", "--interface", "eth7"];
    let (status, said) = tracer(&host.netns, &[&arguments[..], &PEER].concat()).unwrap();
    assert_eq!(status.code(), Some(USAGE), "{said}");
    assert!(said.contains("eth7") && said.lines().count() == 1, "{said}");
}

#[test]
fn dangers_are_refused_until_they_are_allowed() {
    let net = Net::pair("clidare", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let route = ["route", "add", "default", "via", "10.0.10.3"];
    host.netns.run("ip", &route).unwrap();
    for (peer, flag) in [
        ("10.0.10.3", "--allow-gateway"),
        ("127.0.0.1", "--allow-loopback"),
    ] {
        let fault = ["inject", "loss=1%", "--duration", "100ms", "--peer", peer];
        let (status, said) = tracer(&host.netns, &fault).unwrap();
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains("refused") && said.contains(flag), "{said}");
        let (status, said) = tracer(&host.netns, &[&fault[..], &[flag]].concat()).unwrap();
        assert!(status.success(), "{said}");
    }
    // Nobody computes the checksums of loopback.
    let fault = ["inject", "corrupt=1%", "--duration", "1s", "--peer", "::1"];
    let (status, said) =
        tracer(&host.netns, &[&fault[..], &["--allow-loopback"]].concat()).unwrap();
    assert!(
        !status.success() && said.contains("nobody computes"),
        "{said}"
    );
    // Everybody.
    let everybody = ["inject", "loss=1%", "--duration", "100ms", "--peer", "::/0"];
    let everybody = [&everybody[..], &["--interface", "ens160"]].concat();
    let (_, said) = tracer(&host.netns, &everybody).unwrap();
    assert!(said.contains("--allow-whole-interface"), "{said}");
    let flag = ["--allow-whole-interface", "--allow-gateway"];
    let (status, said) = tracer(&host.netns, &[&everybody[..], &flag].concat()).unwrap();
    assert!(status.success(), "{said}");
}

#[test]
fn a_dry_run_tells_all_and_changes_nothing() {
    let net = Net::pair("clidry", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let before = offloads(host).unwrap();
    let dry = |fault: &[&str]| {
        let arguments = [&["inject", "--dry-run"], fault, &PEER].concat();
        let (status, said) = tracer(&host.netns, &arguments).unwrap();
        assert!(status.success(), "{said}");
        said
    };
    let said = dry(&["corrupt=50%", "--port", "5432"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(lines[0].starts_with("ethtool -K ens160 tx-checksum-ip-generic off"));
    assert_eq!(
        lines[1],
        "attach program fault_out to ens160 by a TCX link (egress)"
    );
    assert_eq!(
        lines[2],
        "corrupt=50% for packets to 10.0.10.3, port 5432, for 5s"
    );
    let said = dry(&["partition"]);
    assert!(said.contains("to and from 10.0.10.3"), "{said}");
    assert_eq!(offloads(host).unwrap(), before);
    assert!(!fault::is_there(&host.netns).unwrap());
}

/// The text and the JSON of `--status`, of this host alone.
fn status(host: &Host) -> Result<(Vec<String>, Vec<Value>)> {
    let (_, text) = tracer(&host.netns, &["inject", "--status"])?;
    let ours = |line: &&str| line.contains(host.netns.name());
    let lines = text.lines().filter(ours).map(str::to_owned).collect();
    let (_, json) = tracer(&host.netns, &["inject", "--status", "--json", "-"])?;
    let json: Value = serde_json::from_str(&json)?;
    assert_eq!(json["schema"], "tracer.status/1");
    let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(host.netns.path())?);
    let faults = json["faults"].as_array().cloned().unwrap_or_default();
    let faults = faults.into_iter().filter(|fault| fault["netns"] == inode);
    Ok((lines, faults.collect()))
}

#[test]
fn a_second_fault_is_told_who_holds_the_interface() {
    let net = Net::pair("cliheld", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    assert_eq!(status(host).unwrap(), (vec![], vec![]));
    let fault = ["loss=25%", "--peer", "10.0.10.3", "--port", "5432"];
    let first = Fault::start(&host.netns, &fault).unwrap();
    let pid = first.pid().to_string();

    let (lines, faults) = status(host).unwrap();
    assert_eq!((lines.len(), faults.len()), (1, 1));
    for words in ["ens160", "loss=25% out 10.0.10.3 port 5432", &pid, "until "] {
        assert!(lines[0].contains(words), "{lines:?}");
    }
    assert_eq!(faults[0]["active"], true);
    assert_eq!(faults[0]["faults"][0], "loss=25%");
    assert_eq!(faults[0]["direction"], "out");
    assert_eq!(faults[0]["interface"]["name"], "ens160");
    for moment in ["since", "until"] {
        assert!(faults[0][moment].as_str().unwrap().ends_with('Z'));
    }

    let second = [&["inject", "corrupt=1%"][..], &PEER].concat();
    let (ended, said) = tracer(&host.netns, &second).unwrap();
    assert_eq!(ended.code(), Some(1), "{said}");
    for words in ["ens160", "loss=25%", &format!("process {pid}"), "until "] {
        assert!(said.contains(words), "{said}");
    }
    // The first one is none the worse for it.
    assert!(first.finish_one().unwrap().removed);
    assert_eq!(status(host).unwrap(), (vec![], vec![]));
}

#[test]
fn a_fault_without_packets_says_so_first() {
    let net = Net::pair("cliidle", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let fault = ["inject", "loss=50%", "--peer", "10.0.10.3"];
    let fault = [&fault[..], &["--duration", "100ms"]].concat();
    let mut command = host.netns.command(PROGRAM);
    let output = command.args(&fault).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(
        warning.contains("warning: the fault matched nothing"),
        "{warning}"
    );
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("removed"), "{said}");
}

#[test]
fn without_root_there_is_no_fault() {
    let net = Net::pair("cliuser", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let mut command = host.netns.command_as("daemon", PROGRAM);
    let arguments = [&["inject", "loss=1%"][..], &PEER].concat();
    let output = command.args(&arguments).output().unwrap();
    let line = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.contains("CAP_NET_ADMIN"), "{line}");
    assert!(line.contains("run it with sudo"), "{line}");

    // Nor is anything said of faults that cannot be seen.
    let fault = ["loss=1%", "--peer", "10.0.10.3"];
    let _running = Fault::start(&host.netns, &fault).unwrap();
    let mut command = host.netns.command_as("daemon", PROGRAM);
    let output = command.args(["inject", "--status"]).output().unwrap();
    let line = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert!(line.contains("needs root"), "{line}");
}

#[test]
fn what_is_missing_is_one_line_and_nothing_is_left() {
    let net = Net::pair("clicaps", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let before = offloads(host).unwrap();
    let ours = ["--peer", "10.0.10.3", "--duration", "1s"];
    for (dropped, fault, words) in [
        (
            &["perfmon", "sys_admin"][..],
            "corrupt=50%",
            "CAP_PERFMON is missing",
        ),
        (&["bpf", "sys_admin"], "corrupt=50%", "CAP_BPF is missing"),
        // Found out before there is a record, and before anything is tried.
        (
            &["net_admin"],
            "corrupt=50%",
            "could not undo anything: CAP_NET_ADMIN is missing",
        ),
        (
            &["net_admin"],
            "delay=10ms",
            "could not undo anything: CAP_NET_ADMIN is missing",
        ),
    ] {
        let way = root_without(dropped);
        let mut command = host.netns.command(&way[0]);
        command
            .args(&way[1..])
            .args([PROGRAM, "inject", fault, "--allow-ssh-peer"])
            .args(ours)
            .stdin(Stdio::null());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{dropped:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{dropped:?}: {said}");
        assert!(said.contains(words), "{dropped:?}: {said}");
        assert!(!fault::is_there(&host.netns).unwrap(), "{dropped:?}");
        assert_eq!(offloads(host).unwrap(), before);
    }
}
