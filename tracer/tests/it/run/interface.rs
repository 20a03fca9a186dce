//! The interface of a run's fault goes, or is called something else, in the midst of it.

use anyhow::Result;
use tracer_core::report::whereabouts::Whereabouts;
use xtask::testbed::{
    netns::{Host, Net},
    wait,
};

use crate::support::{fault, report::Report, storm::LIMIT, tool::Tool};

/// A run with a fault, during which something becomes of the fault's interface.
fn during(host: &Host, event: &str) -> Result<(Report, String)> {
    let tool = Tool::start(
        &host.netns,
        &[
            "--peer",
            "10.0.10.3",
            "--inject",
            "corrupt=50%",
            "--for",
            "60s",
        ],
    )?;
    wait::until(LIMIT, "the fault", || {
        Ok(fault::is_there(&host.netns)?.then_some(()))
    })?;
    host.netns.ip(event)?;
    tool.signal(nix::sys::signal::Signal::SIGINT)?;
    let ended = tool.ended()?;
    let report = ended.report()?;
    assert!(!fault::is_there(&host.netns)?);
    wait::until(LIMIT, "every process to end", || {
        Ok(host.netns.processes()?.is_empty().then_some(()))
    })?;
    assert!(!ended.stdout.contains("NOT wholly"), "{}", ended.stdout);
    assert!(!ended.stderr.contains("ethtool"), "{}", ended.stderr);
    report.check();
    Ok((report, ended.stdout))
}

#[test]
fn a_fault_goes_with_its_interface() {
    let net = Net::pair("rgone", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let (report, said) = during(host, "link delete ens160\n").unwrap();
    let fault = report.fault();
    assert!(fault.removed);
    assert_eq!(fault.interface_now, Some(Whereabouts::Gone));
    assert_eq!(fault.left_behind, None);
    assert_eq!(fault.qdiscs_after, None);
    assert!(said.contains("ens160 is gone"), "{said}");
}

#[test]
fn a_fault_is_undone_on_an_interface_with_another_name() {
    let net = Net::pair("rname", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let features = |name: &str| {
        let text = host.netns.run("ethtool", &["-k", name]).unwrap();
        text.replace(name, "it")
    };
    let before = features("ens160");
    let rename = "link set ens160 down\nlink set ens160 name lan0\nlink set lan0 up\n";
    let (report, said) = during(host, rename).unwrap();
    let fault = report.fault();
    assert!(fault.removed);
    let name = "lan0".to_owned();
    assert_eq!(fault.interface_now, Some(Whereabouts::Renamed { name }));
    assert_eq!(features("lan0"), before);
    assert!(said.contains("ens160 is called lan0 now"), "{said}");
}
