//! From a recording to its report: pure.

mod aggregates;
mod commit_warnings;
mod commits;
mod correlated;
mod exchanges;
mod flows;
mod latency_probe;
mod path;
mod postgres;
mod processors;
mod recovery;
mod stages;
mod walreceivers;
mod warnings;

use tracer_ebpf::Gap;

use crate::assemble::aggregates::Aggregates;
use crate::by_kind::sum;
use crate::recording::Recording;
use crate::recording::namespace::{NamespaceCounts, known_sum};
use crate::report::{
    ByKind, Capabilities, ChecksumErrors, ClockReport, DamagedReport, Fault, GapsReport,
    KernelKinds, NamespaceReport, Overhead, Report, Resets, SCHEMA, States, Tool, TotalsReport,
    Window, difference,
};

/// Makes the report.
#[must_use]
pub fn assemble(mut recording: Recording) -> Report {
    recording.assign_roles();
    let recoveries = recovery::by_namespace(&recording);
    recording.slow_commits = correlated::slow_commits(&recording, recoveries.as_ref());
    recording.known_servers = correlated::known_servers(&recording);
    let (phases, findings) = correlated::correlated(&recording);
    let flows = flows::listed(&recording);
    let (totals, gaps) = (totals(&recording), gaps(&recording));
    let commits = recording.commits.as_ref();
    let commits = commits.map(|one| commits::commits(one, &recording, recoveries.as_ref()));
    let warnings = warnings::all(&recording, &totals, &gaps, &flows, commits.as_ref());
    let (clock, end_ns) = (recording.run_clock(), recording.end_ns);
    let aggregates = Aggregates::of(&recording);
    Report {
        schema: SCHEMA.into(),
        tool: Tool::this(),
        clock: ClockReport {
            monotonic_ns: recording.clock.monotonic_ns,
            realtime: clock.utc(recording.clock.monotonic_ns),
            start_ns: Some(recording.start_ns),
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
        selected: aggregates.selected,
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
        by_peer: aggregates.by_peer,
        by_role: aggregates.by_role,
        sent: aggregates.sent,
        flows,
        unlisted: aggregates.unlisted,
        gaps,
        warnings,
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

fn totals(recording: &Recording) -> TotalsReport {
    let all = recording.totals();
    let of_kernel = |count: fn(&NamespaceCounts) -> Option<u64>| {
        known_sum(recording.namespaces.iter().map(count))
    };
    let kernel = of_kernel(|one| one.kernel.retrans_segs);
    TotalsReport {
        segments: sum(&all.segments),
        events: all.events(),
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
