//! Beside `tcpretrans.bt`, the tool of the field, on the same traffic: both
//! against the kernel's counters.

use std::{
    fs::{self, File},
    io::Write as _,
    net::IpAddr,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use tempfile::TempDir;
use xtask::testbed::{command::Running, netns::Host, wait};

use super::{
    amount::segments,
    cell,
    netem::{CALM, is_there, routed, set},
};
use crate::support::{
    exact::check_kinds,
    kernel::Counters,
    pair,
    report::Report,
    storm::{LIMIT, drain, push_until},
    tool::Tool,
    traffic::{Load, Sink},
};

const COLUMN: &str = "beside tcpretrans.bt";
const PROBED: &str = "tcp_retransmit_skb";
const FLOWS: usize = 8;

/// A running `tcpretrans.bt`, which sees every namespace.
struct Script {
    running: Running,
    folder: TempDir,
}

impl Script {
    /// Starts it and waits until it is attached, or says why it cannot be.
    fn start() -> Result<Result<Self, String>> {
        let folder = tempfile::tempdir()?;
        let file = |name| File::create(folder.path().join(name));
        let child = Command::new("bpftrace")
            .args(["-B", "line", "/usr/sbin/tcpretrans.bt"])
            .stdin(Stdio::null())
            .stdout(file("stdout")?)
            .stderr(file("stderr")?)
            .spawn()
            .context("cannot run bpftrace: install it")?;
        let mut running = Running::new(child, "bpftrace");
        let attached = wait::until(LIMIT, "bpftrace to attach", || {
            if running.ended()?.is_some() {
                return Ok(Some(false));
            }
            // It says that it traces before it does.
            let list = fs::read_to_string("/sys/kernel/debug/kprobes/list").unwrap_or_default();
            Ok(list.contains(PROBED).then_some(true))
        })?;
        if attached {
            return Ok(Ok(Self { running, folder }));
        }
        Ok(Err(fs::read_to_string(folder.path().join("stderr"))?))
    }

    /// Ctrl-C, and the lines that it has shown of this address.
    fn finish(self, address: [IpAddr; 2]) -> Result<Vec<IpAddr>> {
        kill(self.running.pid(), Signal::SIGINT)?;
        self.running.wait(Some(LIMIT))?;
        let said = fs::read_to_string(self.folder.path().join("stderr"))?;
        if said.contains("Lost") {
            bail!("bpftrace could not keep up: {said}");
        }
        let shown = fs::read_to_string(self.folder.path().join("stdout"))?;
        let local = |line: &str| -> Option<IpAddr> {
            let end = line.split_whitespace().nth(2)?;
            end.rsplit_once(':')?.0.parse().ok()
        };
        let lines = shown.lines().filter_map(local);
        Ok(lines.filter(|local| address.contains(local)).collect())
    }
}

#[test]
fn the_field_s_tool_on_the_same_traffic() {
    let script = match Script::start().unwrap() {
        Ok(script) => script,
        Err(reason) => {
            // Any other reason is to be looked at.
            assert!(
                ["kprobe", "not traceable", "net/sock.h"]
                    .iter()
                    .any(|known| reason.contains(known)),
                "{reason}"
            );
            // Without the BTF of modules, bpftrace wants the kernel's headers.
            let needs = if reason.contains("net/sock.h") {
                "headers"
            } else {
                "kprobes"
            };
            return cell::absent(COLUMN, needs);
        }
    };
    // The script sees every namespace, but nobody else has these addresses.
    let net = routed("beside", 72).unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let router = net.host("router").unwrap();
    assert!(is_there(router), "this kernel has kprobes and no netem");
    let before = Counters::read(&from.netns).unwrap();
    let tool = Tool::start(&from.netns, &["--all"]).unwrap();
    lossy(from, to, router, before).unwrap();
    void(from, to, router, before).unwrap();
    let grown = Counters::read(&from.netns).unwrap().since(before);
    let report = tool.finish().unwrap();
    let lines = script
        .finish([from.address(false), from.address(true)])
        .unwrap();

    println!("\n{}", table(&report, &grown, &lines));
    report.check();
    check_kinds(&report, &grown);
    let shown = lines.len() as u64;
    assert!(shown > 0 && shown < grown.segments);
    cell::exact(COLUMN, "", grown.segments);
    cell::fewer("tcpretrans.bt itself", shown);
}

/// Bulk over both families: calls of more than one segment.
fn lossy(from: &Host, to: &Host, router: &Host, before: Counters) -> Result<()> {
    for (ipv6, share) in [(false, 1), (true, 2)] {
        set(router, CALM)?;
        let sink = Sink::open(to, to.address(ipv6))?;
        let mut load = Load::connect(from, sink.address(), FLOWS)?;
        set(router, "delay 1ms loss 5%")?;
        push_until(from, &mut load, before.segments + share * segments() / 4)?;
        set(router, CALM)?;
        drain(from)?;
    }
    Ok(())
}

/// Requests that are probed for, and connections whose SYN-ACKs are lost.
fn void(from: &Host, to: &Host, router: &Host, before: Counters) -> Result<()> {
    let (far, near) = (
        pair::listen(to, to.v4.into())?,
        pair::listen(from, from.v4.into())?,
    );
    let (mut clients, _servers): (Vec<_>, Vec<_>) = (0..FLOWS)
        .map(|_| pair::connect(from, &far))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .unzip();
    let sure = Counters::read(&from.netns)?.since(before);
    set(router, "loss 100%")?;
    for client in &mut clients {
        client.write_all(b"request")?;
    }
    thread::scope(|scope| {
        let connecting: Vec<_> = (0..FLOWS)
            .map(|_| scope.spawn(|| pair::connect_only(to, &near)))
            .collect();
        let enough = FLOWS as u64;
        wait::until(LIMIT, "probes and SYN-ACKs", || {
            let grown = Counters::read(&from.netns)?.since(before);
            let came = grown.probes >= sure.probes + enough && grown.syn >= sure.syn + enough;
            Ok(came.then_some(()))
        })?;
        set(router, CALM)?;
        let ends = connecting.into_iter().map(|thread| thread.join().unwrap());
        let _ends = ends.collect::<Result<Vec<_>>>()?;
        drain(from).map(|_| ())
    })
}

/// Who saw what.
fn table(report: &Report, kernel: &Counters, lines: &[IpAddr]) -> String {
    let of_kind = &report.totals.by_kind;
    let of_ipv6 = report
        .flows
        .iter()
        .filter(|flow| flow.local.address.is_ipv6())
        .map(|flow| flow.segments)
        .sum::<u64>();
    let lines_of_ipv6 = lines.iter().filter(|address| address.is_ipv6()).count() as u64;
    let none = "-".to_owned();
    let rows = [
        (
            "calls",
            none.clone(),
            report.totals.events.to_string(),
            lines.len().to_string(),
        ),
        (
            "segments",
            kernel.segments.to_string(),
            report.totals.segments.to_string(),
            none.clone(),
        ),
        (
            "of IPv6",
            none.clone(),
            of_ipv6.to_string(),
            format!("{lines_of_ipv6} calls"),
        ),
        (
            "tail loss probes",
            format!("<= {}", kernel.probes),
            of_kind.tlp.to_string(),
            none.clone(),
        ),
        (
            "timeouts",
            kernel.timeouts.to_string(),
            of_kind.rto.to_string(),
            none.clone(),
        ),
        (
            "SYN-ACK",
            kernel.syn.to_string(),
            of_kind.synack.to_string(),
            none,
        ),
    ];
    let mut text = format!(
        "{:<18}{:>12}{:>12}{:>16}\n",
        "", "kernel", "tracer", "tcpretrans.bt"
    );
    for (what, kernel, tracer, script) in rows {
        text += &format!("{what:<18}{kernel:>12}{tracer:>12}{script:>16}\n");
    }
    text
}
