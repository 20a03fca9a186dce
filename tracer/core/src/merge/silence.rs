//! When nothing arrived at a primary from its standby, and what reached the standby meanwhile.

use std::net::IpAddr;

use crate::interval::Span;
use crate::merge::waited::ns;
use crate::report::role::Kind;
use crate::report::{DamagedReport, FlowReport, Report};

/// The longest time in which nothing arrived from a standby, by the readings of its connection.
pub(crate) fn longest(primary: &Report) -> Option<Span> {
    let flows = primary.flows.iter();
    let walsenders = flows.filter(|flow| flow.role.kind == Kind::Walsender);
    let silences = walsenders.filter_map(of_flow);
    silences.max_by_key(|span| span.length_ns())
}

fn of_flow(flow: &FlowReport) -> Option<Span> {
    let readings = &flow.path.as_ref()?.series;
    let runs = readings.chunk_by(|a, b| a.segs_in.is_some() && a.segs_in == b.segs_in);
    let spans = runs.filter_map(|run| match run {
        [first, .., last] => Some(Span {
            from_ns: ns(first.offset_s),
            to_ns: ns(last.offset_s),
        }),
        _ => None,
    });
    spans.max_by_key(|span| span.length_ns())
}

/// Whether segments of the primary's arrived with a bad checksum at the standby's host in a span,
/// which is on the clock of its own report.
pub(crate) fn corrupted_segment_arrived(standby: &Report, span: Span) -> bool {
    let flows = standby.flows.iter();
    let walreceivers = flows.filter(|flow| flow.role.kind == Kind::Walreceiver);
    let primaries: Vec<IpAddr> = walreceivers.map(|flow| flow.remote.address).collect();
    let inside = |step: &&DamagedReport| span.has(ns(step.offset_s));
    let steps = standby.checksum_errors.series.iter().filter(inside);
    let mut senders = steps.flat_map(|step| step.by_peer.iter().flatten());
    senders.any(|(sender, segments)| *segments > 0 && primaries.contains(sender))
}
