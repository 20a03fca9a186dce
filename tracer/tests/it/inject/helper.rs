//! What every test of the fault needs.

use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tracer::inject::{
    ActiveFault, Allow, Counts, EngineChoice, FaultRequest, Faults, GuardCommand, guard_main,
};
use tracer_core::report::fault::FaultReport;
use xtask::testbed::netns::Host;
use xtask::testbed::wait;

/// This test program, run again to do one thing only. More than one thread, or
/// the test runner would write into the same line as the guard.
pub(crate) const fn again(test: &str) -> [&str; 5] {
    [
        "--ignored",
        "--exact",
        test,
        "--nocapture",
        "--test-threads=2",
    ]
}

/// A fault that a minute ends at the latest; several are separated by `+`.
pub(crate) fn request(faults: &str, peer: IpAddr) -> FaultRequest {
    let faults = faults.split('+').map(|text| text.parse().unwrap());
    FaultRequest {
        faults: Faults::new(faults.collect()).unwrap(),
        engine: EngineChoice::Auto,
        direction: None,
        seed: None,
        peers: vec![peer.into()],
        ports: Vec::new(),
        interface: None,
        duration: Duration::from_secs(60),
        // The tests themselves may run in an SSH session.
        allow: Allow {
            ssh_peer: true,
            ..Allow::default()
        },
        hook: None,
        guard: GuardCommand {
            program: "/proc/self/exe".into(),
            args: again("inject::helper::process_guard")
                .map(Into::into)
                .into(),
        },
    }
}

/// The report of a fault that is one.
pub(crate) fn only(reports: Vec<FaultReport>) -> FaultReport {
    let [report] = <[FaultReport; 1]>::try_from(reports).unwrap();
    report
}

/// What a fault that is one did so far.
pub(crate) fn counts(fault: &ActiveFault) -> Result<Counts> {
    let counts = fault.counts().context("no counters")?;
    ensure!(counts.len() == 1, "{counts:?}");
    Ok(counts[0].1)
}

#[test]
#[ignore = "a process that other tests start"]
fn process_guard() {
    if std::env::args().any(|argument| argument == "--exact") {
        assert_eq!(guard_main(), ExitCode::SUCCESS);
    }
}

/// `ethtool -k`, byte for byte.
pub(crate) fn offloads(host: &Host) -> Result<String> {
    host.netns.run("ethtool", &["-k", &host.interface])
}

/// Waits until the condition holds.
pub(crate) fn settle(
    limit: Duration,
    what: &str,
    mut holds: impl FnMut() -> Result<bool>,
) -> Result<()> {
    wait::until(limit, what, || Ok(holds()?.then_some(())))
}

/// Waits until the host's counter is this, and not more.
pub(crate) fn await_counter(host: &Host, name: &str, value: u64) -> Result<()> {
    let mut last = 0;
    settle(Duration::from_secs(3), "the counter", || {
        last = host.netns.counter("Tcp", name)?;
        Ok(last >= value)
    })
    .with_context(|| format!("{name} is {last} and should be {value}"))?;
    ensure!(last == value, "{name} is {last} and should be {value}");
    Ok(())
}
