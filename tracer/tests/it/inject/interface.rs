//! The interface of a fault is deleted, renamed, moved or replaced meanwhile.

use std::fs;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use tracer::inject::Hook;
use tracer_core::report::fault::FaultReport;
use tracer_core::report::whereabouts::Whereabouts;
use xtask::testbed::netns::{Host, Net};

use super::LIMIT;
use super::helper::{only, request, settle};
use crate::contract;
use crate::support::fault::{Fault, is_there, tracer};
use crate::support::program::PROGRAM;

const HOOKS: [Hook; 2] = [Hook::Tcx, Hook::Clsact];
const PEER: [&str; 2] = ["--peer", "10.0.10.3"];
/// Of them, a fault that damages switches off.
pub(crate) const OFF: &str = "tx-checksum-ip-generic: off";

/// Makes a fault, lets something become of its interface, and stops it.
fn during(host: &Host, to: &Host, hook: Hook, event: impl FnOnce() + Send) -> FaultReport {
    let report = host
        .netns
        .enter(|| {
            let mut fault = request("corrupt=50%", to.v4.into());
            fault.hook = Some(hook);
            let fault = fault.prepare()?.start()?;
            event();
            Ok(only(fault.stop()))
        })
        .unwrap();
    assert!(report.removed, "{report:?}");
    assert_eq!(report.left_behind, None);
    assert!(!report.offloads_changed.is_empty(), "{report:?}");
    assert!(!is_there(&host.netns).unwrap(), "{hook:?}");
    settle(LIMIT, "the guard to end", || {
        Ok(host.netns.processes()?.is_empty())
    })
    .unwrap();
    report
}

/// `ethtool -k` of any interface, without its name.
pub(crate) fn features(host: &Host, interface: &str) -> String {
    let text = host.netns.run("ethtool", &["-k", interface]).unwrap();
    text.replace(interface, "it")
}

pub(crate) fn index(host: &Host) -> u32 {
    let index = || Ok(nix::net::if_::if_nametoindex(host.interface.as_str())?);
    host.netns.enter(index).unwrap()
}

#[test]
fn what_was_on_an_interface_that_is_deleted_is_gone() {
    for hook in HOOKS {
        let net = Net::pair(&format!("idel{}", hook.name()), "ens160").unwrap();
        let (host, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
        let report = during(host, to, hook, || {
            host.netns.ip("link delete ens160\n").unwrap();
        });
        assert_eq!(report.interface_now, Some(Whereabouts::Gone));
        assert_eq!(report.qdiscs_after, None);
        let warning = report.interface_warning().unwrap();
        assert!(warning.contains("interface ens160 is gone"), "{warning}");
        assert!(report.summary().ends_with("gone with its interface"));
    }
}

#[test]
fn an_interface_that_has_its_index_is_not_touched() {
    for hook in HOOKS {
        let net = Net::pair(&format!("irep{}", hook.name()), "ens160").unwrap();
        let (host, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
        let index = index(host);
        let report = during(host, to, hook, || {
            host.netns
                .ip(&format!(
                    "link delete ens160\n\
                     link add eth7 index {index} type veth peer name eth8\n\
                     link set eth7 up\n"
                ))
                .unwrap();
            // Its owner wants them off.
            let off = ["-K", "eth7", "tx", "off", "tso", "off", "gso", "off"];
            host.netns.run("ethtool", &off).unwrap();
        });
        let name = "eth7".to_owned();
        assert_eq!(report.interface_now, Some(Whereabouts::Replaced { name }));
        let now = features(host, "eth7");
        assert!(
            now.contains(OFF) && now.contains("generic-segmentation-offload: off"),
            "{now}"
        );
        let warning = report.interface_warning().unwrap();
        assert!(
            warning.contains("eth7") && warning.contains("not touched"),
            "{warning}"
        );
    }
}

#[test]
fn an_interface_that_is_renamed_is_followed() {
    for hook in HOOKS {
        let net = Net::pair(&format!("iren{}", hook.name()), "ens160").unwrap();
        let (host, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
        let before = features(host, "ens160");
        let mut other = String::new();
        let report = during(host, to, hook, || {
            // Another one takes its name, and keeps what it is.
            host.netns
                .ip(
                    "link set ens160 down\nlink set ens160 name lan0\nlink set lan0 up\n\
                     link add ens160 type veth peer name eth8\n",
                )
                .unwrap();
            host.netns
                .run("ethtool", &["-K", "ens160", "gso", "off"])
                .unwrap();
            other = features(host, "ens160");
        });
        let name = "lan0".to_owned();
        assert_eq!(report.interface_now, Some(Whereabouts::Renamed { name }));
        assert_eq!(features(host, "lan0"), before);
        assert_eq!(features(host, "ens160"), other);
        assert_eq!(report.interface, "ens160");
        let warning = report.interface_warning().unwrap();
        assert!(warning.contains("ens160 is called lan0 now"), "{warning}");
    }
}

#[test]
fn an_interface_that_is_moved_is_followed() {
    // Where its index is free, and where it is not and the name neither.
    for (hook, taken) in HOOKS
        .into_iter()
        .flat_map(|hook| [(hook, false), (hook, true)])
    {
        let net = Net::pair(&format!("imov{}{taken}", hook.name()), "ens160").unwrap();
        let (host, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
        let before = features(host, "ens160");
        let elsewhere =
            xtask::testbed::netns::Netns::new(&format!("imow{}{taken}", hook.name()), "new")
                .unwrap();
        if taken {
            let lines = format!("link add taken index {} type bridge\n", index(host));
            elsewhere.ip(&lines).unwrap();
        }
        let report = during(host, to, hook, || {
            let lines = format!("link set ens160 netns {}\n", elsewhere.name());
            host.netns.ip(&lines).unwrap();
        });
        let Some(Whereabouts::Moved { name, netns, .. }) = &report.interface_now else {
            panic!("{report:?}");
        };
        let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(elsewhere.path()).unwrap());
        assert_eq!((name.as_str(), u64::from(*netns)), ("ens160", inode));
        let now = elsewhere.run("ethtool", &["-k", "ens160"]).unwrap();
        assert_eq!(now.replace("ens160", "it"), before);
        let shown = elsewhere
            .run("tc", &["filter", "show", "dev", "ens160", "egress"])
            .unwrap();
        assert!(!shown.contains("tracer"), "{shown}");
        let warning = report.interface_warning().unwrap();
        assert!(warning.contains(elsewhere.name()), "{warning}");
    }
}

#[test]
fn a_fault_whose_time_is_up_ends_without_its_interface() {
    let net = Net::pair("iend", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let mut command = host.netns.command(PROGRAM);
    command
        .args(["inject", "corrupt=50%", "--duration", "2s"])
        .args(PEER)
        .arg("--json")
        .arg(file("report.json"))
        .arg("--ready-file")
        .arg(file("ready"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped());
    let child = command.spawn().unwrap();
    settle(LIMIT, "the fault", || Ok(file("ready").exists())).unwrap();
    host.netns.ip("link delete ens160\n").unwrap();
    let (_, text) = tracer(&host.netns, &["inject", "--status"]).unwrap();
    let ours: Vec<&str> = text
        .lines()
        .filter(|it| it.contains(host.netns.name()))
        .collect();
    assert!(
        ours[0].contains("until") && ours[0].contains("ens160 is gone"),
        "{text}"
    );
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("interface ens160 is gone"), "{said}");
    assert!(!said.contains("ethtool"), "{said}");
    let faults = contract::faults(&fs::read(file("report.json")).unwrap()).unwrap();
    let fault = &faults[0];
    assert!(fault.removed, "{fault:?}");
    assert_eq!(fault.interface_now, Some(Whereabouts::Gone), "{fault:?}");
    assert!(!is_there(&host.netns).unwrap());
    settle(LIMIT, "the guard to end", || {
        Ok(host.netns.processes()?.is_empty())
    })
    .unwrap();
}

#[test]
fn a_guard_whose_interface_is_gone_leaves_nothing_of_a_tool_that_is_killed() {
    let net = Net::pair("ikill", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let fault = Fault::start(&host.netns, &[&["corrupt=50%"], &PEER[..]].concat()).unwrap();
    host.netns.ip("link delete ens160\n").unwrap();
    assert!(is_there(&host.netns).unwrap());
    kill(fault.pid(), Signal::SIGKILL).unwrap();
    settle(LIMIT, "the record to go", || Ok(!is_there(&host.netns)?)).unwrap();
    settle(LIMIT, "the guard to end", || {
        Ok(host.netns.processes()?.is_empty())
    })
    .unwrap();
}

#[test]
fn an_interface_that_is_moved_out_of_sight_is_not_called_gone() {
    let net = Net::pair("ihide", "ens160").unwrap();
    let (host, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    // That of a thread is not its process's, and has no name.
    let (tell, told) = std::sync::mpsc::channel();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        tell.send(nix::unistd::gettid()).unwrap();
        // Until `stop` is dropped.
        let _ = stopped.recv();
    });
    let tid = told.recv().unwrap();
    let report = host
        .netns
        .enter(|| {
            let fault = request("corrupt=50%", to.v4.into()).prepare()?.start()?;
            host.netns.ip(&format!("link set ens160 netns {tid}\n"))?;
            Ok(only(fault.stop()))
        })
        .unwrap();
    drop(stop);
    thread.join().unwrap();
    assert!(!report.removed, "{report:?}");
    assert!(matches!(
        report.interface_now,
        Some(Whereabouts::Unknown { .. })
    ));
    let left = report.left_behind.unwrap();
    assert!(
        left.contains("moved to a network namespace that has neither"),
        "{left}"
    );
    assert!(!is_there(&host.netns).unwrap());
}
