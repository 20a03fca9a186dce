//! A run in a time namespace, as a container may have one: its own monotonic clock is not
//! the one that the kernel's programs read.

use std::{fs, path::Path};

use jiff::Timestamp;
use serde_json::Value;
use xtask::testbed::netns::Net;

use crate::support::{
    kernel::Counters,
    storm::push_until,
    tool::Tool,
    traffic::{Load, Sink},
};

#[test]
fn a_clock_that_is_off_shifts_neither_events_nor_the_end_of_a_fault() {
    if !Path::new("/proc/self/ns/time").exists() {
        println!("note: this kernel has no time namespaces");
        return;
    }
    let net = Net::pair("clock", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    // Farther than the fault lasts: it would be over before it began, or not end.
    for seconds in [-30, 3600] {
        let sink = Sink::open(to, to.v4.into()).unwrap();
        let mut load = Load::connect(from, sink.address(), 8).unwrap();
        let before = Counters::read(&from.netns).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let events = folder.path().join("events.jsonl");
        let clocks = [
            format!("--monotonic={seconds}"),
            format!("--boottime={seconds}"),
        ];
        let way = ["unshare", "--time", &clocks[0], &clocks[1], "--"];
        let fault = ["--inject", "corrupt=50%", "--for", "20s"];
        let arguments = ["--peer", "10.0.10.3", "--events", events.to_str().unwrap()];
        let tool = Tool::by(&from.netns, &way, &[&arguments[..], &fault].concat()).unwrap();
        push_until(from, &mut load, before.segments + 50).unwrap();
        let report = tool.finish().unwrap();

        report.check();
        let hit = report.fault().hit.unwrap();
        assert!(hit > 0, "{seconds}: {:?}", report.fault());
        let moment = |text: &str| text.parse::<Timestamp>().unwrap();
        let window = &report.window;
        let (start, end) = (moment(&window.start), moment(&window.end));
        let text = fs::read_to_string(&events).unwrap();
        assert!(text.lines().count() > 5, "{seconds}: {text}");
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            let at = moment(event["time"].as_str().unwrap());
            assert!(start <= at && at <= end, "{seconds}: {start} {at} {end}");
        }
        let fault = &report.faults[0];
        assert!(start <= moment(&fault.started) && moment(&fault.ended) <= end);
    }
}
