//! Whose socket it is, however it came to be.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{ChildStdin, Stdio},
};

use anyhow::{Context as _, Result};
use xtask::testbed::{
    command::Running,
    netns::{Host, Net},
    wait,
};

use crate::support::{kernel, pair, report::Report, storm::LIMIT, tool::Tool};

/// Another process: it connects when told, and sends when told.
struct Client {
    running: Running,
    orders: ChildStdin,
}

impl Client {
    /// Bash opens the connection itself, so that the socket is its own.
    fn start(host: &Host, to: SocketAddr) -> Result<Self> {
        let script = format!(
            "read -r _; exec 3<>/dev/tcp/{}/{}; echo open; read -r _; echo data >&3; read -r _",
            to.ip(),
            to.port()
        );
        let mut child = host
            .netns
            .command("bash")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take().context("no standard input")?;
        let answers = child.stdout.take().context("no standard output")?;
        let mut client = Self {
            running: Running::new(child, "bash"),
            orders,
        };
        client.order()?;
        let mut line = String::new();
        BufReader::new(answers).read_line(&mut line)?;
        anyhow::ensure!(line == "open\n", "bash says {line}");
        Ok(client)
    }

    fn order(&mut self) -> Result<()> {
        Ok(self.orders.write_all(b"go\n")?)
    }
}

/// Lets what is sent be lost, until it was sent again.
fn lose(net: &Net, role: &str, sender: &Host, send: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = kernel::segments(&sender.netns)?;
    net.plug(role, false)?;
    send()?;
    wait::until(LIMIT, "a retransmit", || {
        Ok((kernel::segments(&sender.netns)? > before).then_some(()))
    })?;
    net.plug(role, true)
}

fn check(report: &Report, pid: u32, comm: &str) {
    report.check();
    let [flow] = &report.flows[..] else {
        panic!("{} flows", report.flows.len())
    };
    assert!(flow.segments > 0);
    let process = flow.process.as_ref().unwrap();
    assert_eq!((process.pid, process.comm.as_str()), (pid, comm));
}

fn connected(tag: &str, before: bool) {
    let net = Net::pair(tag, "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let listener = pair::listen(to, to.v4.into()).unwrap();
    let address = listener.local_addr().unwrap();
    let client = || Client::start(from, address).unwrap();
    let tool = || Tool::start(&from.netns, &["--peer", "10.0.10.3"]).unwrap();
    let (tool, mut client) = if before {
        let client = client();
        (tool(), client)
    } else {
        let tool = tool();
        (tool, client())
    };
    lose(&net, "standby", from, || client.order()).unwrap();
    let report = tool.finish().unwrap();
    check(
        &report,
        client.running.pid().as_raw().unsigned_abs(),
        "bash",
    );
}

#[test]
fn of_a_connection_made_during_the_run() {
    connected("ownnew", false);
}

#[test]
fn of_a_connection_that_is_older_than_the_run() {
    connected("ownold", true);
}

#[test]
fn of_an_accepted_connection() {
    let net = Net::pair("ownacc", "ens160").unwrap();
    let (client, server) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let listener = pair::listen(server, server.v4.into()).unwrap();
    let tool = Tool::start(&server.netns, &["--peer", "10.0.10.2"]).unwrap();
    let (_connected, mut accepted) = pair::connect(client, &listener).unwrap();
    lose(&net, "primary", server, || {
        Ok(accepted.write_all(b"answer")?)
    })
    .unwrap();
    let report = tool.finish().unwrap();
    let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
    check(&report, std::process::id(), comm.trim_end());
}
