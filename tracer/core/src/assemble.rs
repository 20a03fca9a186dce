//! From a recording to its report: pure.

mod commit_warnings;
mod commits;
mod correlated;
mod latency_probe;
mod path;
mod postgres;
mod processors;
mod recovery;
mod warnings;

use tracer_ebpf::{Flow, Gap};

use crate::by_kind::sum;
use crate::clock::jiffies_to_ms;
use crate::recording::Recording;
use crate::recording::flow_history::FlowHistory;
use crate::recording::namespace::{NamespaceCounts, known_sum};
use crate::report::aggregate::{by_peer, by_role, is_listed, listed};
use crate::report::endpoint::endpoints;
use crate::report::steps::StepReport;
use crate::report::{
    ByKind, Capabilities, ChecksumErrors, ClockReport, DamagedReport, Fault, FlowReport,
    GapsReport, KernelKinds, NamespaceReport, Overhead, Report, Resets, SCHEMA, Selected, States,
    Tool, TotalsReport, Window, difference,
};

/// Makes the report.
#[must_use]
pub fn assemble(mut recording: Recording) -> Report {
    recording.assign_roles();
    put_listed_first(&mut recording.flows);
    let recoveries = recovery::by_namespace(&recording);
    recording.slow_commits = correlated::slow_commits(&recording, recoveries.as_ref());
    let (phases, findings) = correlated::correlated(&recording);
    let flows = flows(&recording);
    let (totals, gaps) = (totals(&recording), gaps(&recording));
    let commits = recording.commits.as_ref();
    let commits = commits.map(|one| commits::commits(one, &recording, recoveries.as_ref()));
    let warnings = warnings::all(&recording, &totals, &gaps, &flows, commits.as_ref());
    let (clock, end_ns) = (recording.run_clock(), recording.end_ns);
    let selected = selected(&flows);
    let (by_peer, by_role) = (by_peer(&flows), by_role(&flows));
    let (flows, unlisted) = listed(flows);
    Report {
        schema: SCHEMA.into(),
        tool: Tool::this(),
        clock: ClockReport {
            monotonic_ns: recording.clock.monotonic_ns,
            realtime: clock.utc(recording.clock.monotonic_ns),
        },
        window: Window {
            start: clock.utc(recording.start_ns),
            end: clock.utc(end_ns),
            duration_s: recording.window().seconds(),
        },
        checksum_errors: checksum_errors(&recording),
        resets: resets(&recording),
        states: states(&recording),
        namespaces: recording.namespaces.iter().map(namespace).collect(),
        overhead: overhead(&recording),
        selected,
        request: recording.settings.request,
        capabilities: Capabilities {
            hooks: recording.hooks,
            retransmit_err: recording.retransmit_err,
            socket_storage: recording.socket_storage,
            missing_fields: recording.missing,
        },
        postgres: recording
            .postgres
            .map(|record| postgres::postgres(record, clock, end_ns)),
        commits,
        processors: recording.processors.and_then(Result::ok).map(|tracks| {
            let report = |track| processors::processors(track, clock);
            tracks.iter().map(report).collect()
        }),
        host: recording.host,
        findings,
        phases,
        faults: recording
            .faults
            .into_iter()
            .map(|fault| Fault::new(fault, &recording.clock))
            .collect(),
        totals,
        by_peer,
        by_role,
        flows,
        unlisted,
        gaps,
        warnings,
    }
}

/// Findings point at flows by their place in the report.
fn put_listed_first(flows: &mut Vec<FlowHistory>) {
    let all = std::mem::take(flows).into_iter().enumerate();
    let (listed, others): (Vec<_>, Vec<_>) =
        all.partition(|(place, flow)| is_listed(*place, flow.kind()));
    flows.extend(listed.into_iter().chain(others).map(|(_, flow)| flow));
}

fn selected(flows: &[FlowReport]) -> Selected {
    Selected {
        segments: flows.iter().map(|flow| flow.segments).sum(),
        events: flows.iter().map(|flow| flow.events).sum(),
        bytes: flows.iter().map(|flow| flow.bytes).sum(),
    }
}

fn checksum_errors(recording: &Recording) -> ChecksumErrors {
    let clock = recording.run_clock();
    let series = recording.bad_checksums.iter().flatten();
    let counted = recording.is_attached("tcp_bad_csum");
    ChecksumErrors {
        selected: counted.then_some(recording.totals().selected_bad_checksums),
        kernel_in_csum_errors: recording.kernel_bad_checksums(),
        series: series
            .map(|step| DamagedReport {
                time: clock.utc(step.at_ns),
                offset_s: clock.end_s(step.at_ns),
                selected: step.segments,
                by_peer: step.by_peer.clone(),
            })
            .collect(),
    }
}

fn resets(recording: &Recording) -> Resets {
    let all = recording.totals();
    let sent = recording.is_attached("tcp_send_reset");
    let received = recording.is_attached("tcp_receive_reset");
    Resets {
        sent: sent.then_some(all.resets_sent),
        received: received.then_some(all.resets_received),
        selected_sent: sent.then_some(all.selected_resets_sent),
        selected_received: received.then_some(all.selected_resets_received),
    }
}

fn states(recording: &Recording) -> States {
    let all = recording.totals();
    States {
        opened: all.opened,
        closed: all.closed,
        selected_opened: all.selected_opened,
        selected_closed: all.selected_closed,
    }
}

fn namespace(counts: &NamespaceCounts) -> NamespaceReport {
    NamespaceReport {
        netns: counts.netns,
        name: counts.name.clone(),
        segments: sum(&counts.totals.segments),
        kernel_retrans_segs: counts.kernel.retrans_segs,
        difference: difference(counts.kernel.retrans_segs, &counts.totals),
    }
}

fn overhead(recording: &Recording) -> Overhead {
    let (program_runs, program_ns_per_run) =
        commits::overhead(recording.settings.bpf_stats, &recording.effort);
    Overhead {
        program_runs,
        program_ns_per_run,
        cpu_ms: recording.cpu.as_secs_f64() * 1e3,
        peak_memory_kib: recording.peak_memory_kib,
        attached_ms: Some(recording.attached.as_secs_f64() * 1e3),
        ready_ms: Some(recording.ready.as_secs_f64() * 1e3),
    }
}

fn flows(recording: &Recording) -> Vec<FlowReport> {
    let flows = recording.flows.iter().map(|one| flow(one, recording));
    flows.chain(overflow(recording)).collect()
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
        series: history
            .series
            .iter()
            .map(|step| StepReport {
                offset_s: clock.end_s(step.at_ns),
                segments: sum(&step.segments),
                events: step.events,
                bytes: step.bytes,
                by_kind: ByKind::from(step.segments),
            })
            .collect(),
        path: path::path(&history.path, clock),
        recoveries: (history.is_replication() && recording.settings.events).then(|| {
            let holes = recording.holes.of_flow(&flow.tuple).iter();
            let report = |hole| recovery::recovery(hole, clock);
            holes.map(report).collect()
        }),
        role: history.role.clone(),
    }
}

/// What the filter kept and the flow table had no room for, as one entry, so that
/// the flows still add up.
fn overflow(recording: &Recording) -> Option<FlowReport> {
    let all = recording.totals();
    if sum(&all.overflow_segments) == 0 && all.overflow_events == 0 {
        return None;
    }
    let counters = Flow {
        segments: all.overflow_segments,
        events: all.overflow_events,
        bytes: all.overflow_bytes,
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

fn totals(recording: &Recording) -> TotalsReport {
    let all = recording.totals();
    let of_kernel = |count: fn(&NamespaceCounts) -> Option<u64>| {
        known_sum(recording.namespaces.iter().map(count))
    };
    let kernel = of_kernel(|one| one.kernel.retrans_segs);
    TotalsReport {
        segments: sum(&all.segments),
        events: all.events,
        bytes: all.bytes,
        failed_events: recording.retransmit_err.then_some(all.failed_events),
        failed_segments: sum(&all.failed_segments),
        by_kind: ByKind::from(all.segments),
        failed_by_kind: ByKind::from(all.failed_segments),
        attempts_by_kind: ByKind::from(all.attempts),
        unseen_segments: all.unseen_segments,
        kernel_retrans_segs: kernel,
        difference: difference(kernel, &all),
        quiet: recording.quiet,
        lost_events: Some(recording.gaps.count(Gap::EventsLost)),
        kernel: KernelKinds {
            loss_probes: of_kernel(|one| one.kernel.tcp_ext.loss_probes),
            timeouts: of_kernel(|one| one.kernel.tcp_ext.timeouts),
            fast_retrans: of_kernel(|one| one.kernel.tcp_ext.fast_retrans),
            slow_start_retrans: of_kernel(|one| one.kernel.tcp_ext.slow_start_retrans),
            syn_retrans: of_kernel(|one| one.kernel.tcp_ext.syn_retrans),
            retrans_fail: of_kernel(|one| one.kernel.tcp_ext.retrans_fail),
        },
    }
}

fn gaps(recording: &Recording) -> GapsReport {
    GapsReport {
        flows_full: recording.gaps.count(Gap::FlowsFull),
        sockets_full: recording.gaps.count(Gap::SocketsFull),
        namespaces_full: recording.gaps.count(Gap::NamespacesFull),
        reads_failed: recording.gaps.count(Gap::ReadFailed),
        hits_missed: recording.effort.missed,
        undecodable_events: recording.undecodable,
        unwritten_events: recording.unwritten_events.lines,
    }
}
