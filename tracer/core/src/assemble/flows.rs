//! The flows that the report lists.

use tracer_ebpf::{Flow, RetransmitKind};

use crate::assemble::{path, recovery};
use crate::by_kind::sum;
use crate::clock::{RunClock, jiffies_to_ms};
use crate::recording::Recording;
use crate::recording::flow_history::FlowHistory;
use crate::recording::flow_interval::FlowInterval;
use crate::report::endpoint::endpoints;
use crate::report::steps::StepReport;
use crate::report::{ByKind, FlowReport};

/// Each of them, and what the filter kept and the flow table had no room for as one more.
pub(super) fn listed(recording: &Recording) -> Vec<FlowReport> {
    let flows = recording.flows.iter().map(|one| flow(one, recording));
    flows.chain(overflow(recording)).collect()
}

/// What was retransmitted in an interval.
pub(super) fn step(step: &FlowInterval, clock: RunClock) -> StepReport {
    StepReport {
        offset_s: clock.end_s(step.at_ns),
        segments: sum(&step.segments),
        events: step.events,
        bytes: step.bytes,
        by_kind: ByKind::from(step.segments),
    }
}

/// What the flow table had no room for: segments by kind, calls and bytes; `None` if it had
/// room for all.
pub(super) fn without_room(
    recording: &Recording,
) -> Option<([u64; RetransmitKind::COUNT], u64, u64)> {
    let all = recording.totals();
    let is_any = sum(&all.overflow_segments) > 0 || all.overflow_events > 0;
    is_any.then_some((
        all.overflow_segments,
        all.overflow_events,
        all.overflow_bytes,
    ))
}

fn flow(history: &FlowHistory, recording: &Recording) -> FlowReport {
    let flow = &history.counters;
    let (local, remote) = endpoints(&flow.tuple);
    let read = history.has_readings();
    let clock = recording.run_clock();
    let time = |ns: u64| (ns != 0).then(|| clock.utc(ns));
    FlowReport {
        local,
        remote,
        netns: Some(flow.tuple.netns),
        process: history.process.clone(),
        segments: sum(&flow.segments),
        events: flow.events,
        bytes: flow.bytes,
        failed_events: recording.retransmit_err.then_some(flow.failed_events),
        failed_segments: flow.failed_segments,
        by_kind: ByKind::from(flow.segments),
        fin: flow.fin,
        resets_sent: flow.resets_sent,
        resets_received: flow.resets_received,
        // Before the first answer there is none.
        srtt_us: read.then_some(flow.srtt_us).filter(|us| *us > 0),
        rto_ms: read.then(|| jiffies_to_ms(flow.rto, recording.jiffy_ns)),
        rto_max_ms: history.rto_max_ms,
        backoff_max: history.backoff_max,
        cwnd: read.then_some(flow.cwnd),
        first: time(flow.first_ns),
        last: time(flow.last_ns),
        closed: time(flow.closed_ns),
        series: history.series.iter().map(|one| step(&one, clock)).collect(),
        path: path::path(&history.path, clock),
        recoveries: (history.is_replication() && recording.settings.events).then(|| {
            let holes = recording.holes.of_flow(&flow.tuple).iter();
            let report = |hole| recovery::recovery(hole, clock);
            holes.map(report).collect()
        }),
        role: history.role.clone(),
    }
}

/// That as one entry, so that the flows still add up.
fn overflow(recording: &Recording) -> Option<FlowReport> {
    let (segments, events, bytes) = without_room(recording)?;
    let counters = Flow {
        segments,
        events,
        bytes,
        ..Flow::default()
    };
    let nowhere = endpoints(&counters.tuple).0.socket();
    let together = FlowHistory {
        counters,
        ..FlowHistory::between(nowhere, nowhere)
    };
    Some(FlowReport {
        netns: None,
        failed_events: None,
        ..flow(&together, recording)
    })
}
