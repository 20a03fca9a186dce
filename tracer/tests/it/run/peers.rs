//! What is the matter with a peer is found without any database.

use std::net::IpAddr;

use tracer_core::report::finding::{Cause, Confidence};
use xtask::testbed::{knocks::Knocking, netns::Net, wait};

use crate::support::{
    kernel::Counters,
    listeners::prepare,
    report::Report,
    storm::{LIMIT, NARROW, WIDE, drain, push_until},
    tool::Tool,
    traffic::{Load, Sink},
};

const CONNECTIONS: usize = 40;

/// Connections whose SYN is retransmitted twice and more; then they are answered, or not.
fn unanswered(tag: &str, at_last: bool) -> Report {
    let net = Net::pair(tag, "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let listeners = prepare(from, to, CONNECTIONS).unwrap();
    let target = listeners[0].0.local_addr().unwrap();
    let before = Counters::read(&from.netns).unwrap();
    let tool = Tool::start(&from.netns, &["--all"]).unwrap();
    net.plug("standby", false).unwrap();
    let held = Knocking::start(from, target, CONNECTIONS).unwrap();
    wait::until(LIMIT, "SYNs to be retransmitted", || {
        let grown = Counters::read(&from.netns)?.since(before);
        Ok((grown.syn >= 2 * CONNECTIONS as u64).then_some(()))
    })
    .unwrap();
    if at_last {
        net.plug("standby", true).unwrap();
        wait::until(LIMIT, "every socket to be connected", || {
            let connected = from.netns.counter("Tcp", "CurrEstab")?;
            Ok((connected >= CONNECTIONS as u64).then_some(()))
        })
        .unwrap();
        drop(held);
        wait::until(LIMIT, "every socket to be closed", || {
            Ok((from.netns.counter("Tcp", "CurrEstab")? == 0).then_some(()))
        })
        .unwrap();
        return tool.finish().unwrap();
    }
    let report = tool.finish().unwrap();
    drop(held);
    report
}

#[test]
fn a_service_that_does_not_answer_is_one_line() {
    let report = unanswered("mute", false);
    let [finding] = report.findings.as_slice() else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(finding.cause, Cause::PeerNotAnswering);
    assert_eq!(finding.confidence, Confidence::High);
    assert!(
        finding
            .text
            .contains(&format!("does not answer: {CONNECTIONS} connections"))
    );
    assert_eq!(finding.size.segments, Some(report.totals.segments));
}

/// Nothing is left of these connections but that they were answered.
#[test]
fn a_service_that_answers_at_last_is_not_one_that_does_not() {
    let report = unanswered("late", true);
    assert!(report.totals.segments >= 2 * CONNECTIONS as u64);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn a_peer_that_loses_is_told_by_the_share_of_what_is_sent() {
    let net = Net::pair("losing", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let sink = Sink::open(to, to.v4.into()).unwrap();
    let mut load = Load::connect(from, sink.address(), 8).unwrap();
    let before = Counters::read(&from.netns).unwrap();
    let sent_before = from.netns.counter("Tcp", "OutSegs").unwrap();
    let tool = Tool::start(&from.netns, &["--all"]).unwrap();
    net.shape_toward("standby", &NARROW).unwrap();
    push_until(from, &mut load, before.segments + 2_000).unwrap();
    net.shape_toward("standby", &WIDE).unwrap();
    drain(from).unwrap();
    let grown = Counters::read(&from.netns).unwrap().since(before);
    let sent = from.netns.counter("Tcp", "OutSegs").unwrap() - sent_before;
    let report = tool.finish().unwrap();
    println!("{:?}, sent {sent}, {grown:?}", report.findings);
    let [finding] = report.findings.as_slice() else {
        panic!("{:?}", report.findings);
    };
    assert_eq!(finding.cause, Cause::PeerLosing);
    assert!(finding.size.segments.unwrap() <= grown.segments);
    let words: Vec<&str> = finding.text.split_whitespace().collect();
    let told: u64 = words[1].parse().unwrap();
    // The kernel counts what it retransmits apart from what it sends.
    let all = sent + grown.segments;
    assert!(told.abs_diff(all) * 20 < all, "{told} of {all} segments");
    let sent = report.sent.as_ref().unwrap();
    assert_eq!(sent.get(&IpAddr::from(to.v4)), Some(&told), "{sent:?}");
}
