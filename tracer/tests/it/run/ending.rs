//! A run that is ended in the midst of its fault.

use jiff::Timestamp;
use nix::sys::signal::Signal;
use tracer_core::report::phase::Name;
use xtask::testbed::{netns::Net, wait};

use crate::support::{
    fault,
    kernel::Counters,
    storm::{LIMIT, push_until},
    tool::Tool,
    traffic::{Load, Sink},
};

#[test]
fn what_was_sent_again_in_a_fault_that_lasts_to_the_end_belongs_to_it() {
    let net = Net::pair("amidst", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let sink = Sink::open(to, to.v4.into()).unwrap();
    let mut load = Load::connect(from, sink.address(), 16).unwrap();
    let before = Counters::read(&from.netns).unwrap();
    // One interval, that nothing ends but the end of the fault.
    let tool = Tool::start(
        &from.netns,
        &[
            "--peer",
            "10.0.10.3",
            "--interval",
            "60s",
            "--inject",
            "corrupt=50%",
            "--for",
            "60s",
        ],
    )
    .unwrap();
    wait::until(LIMIT, "the fault", || {
        Ok(fault::is_there(&from.netns)?.then_some(()))
    })
    .unwrap();
    push_until(from, &mut load, before.segments + 200).unwrap();
    // Nothing is undone before, and so the last packet cannot be hit later.
    let asked = Timestamp::now();
    tool.signal(Signal::SIGINT).unwrap();
    let ended = tool.ended().unwrap();
    let report = ended.report().unwrap();
    report.check();

    let phases = &report.phases;
    let of = |name| phases.iter().find(|phase| phase.name == name).unwrap();
    let in_fault = of(Name::Fault).figures.selected.segments;
    let recovery = of(Name::Recovery);
    let selected = &recovery.figures.selected;
    let after = selected.segments;
    println!("{in_fault} in the fault, {after} after it: {recovery:?}");
    assert!(in_fault >= 200, "{phases:?}");
    assert!(recovery.duration_s < 60.0);
    assert!(selected.per_s.is_none(), "{recovery:?}");
    assert!(selected.by_kind_per_s.is_none());
    assert!(
        ended.stdout.contains("shorter than an interval"),
        "{}",
        ended.stdout
    );
    let told: Timestamp = report.faults[0].ended.parse().unwrap();
    assert!(told.duration_since(asked).as_secs_f64() > -0.001);
    assert!(report.fault().removed);
}
