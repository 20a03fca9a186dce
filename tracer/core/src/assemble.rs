//! From what was measured to the report: pure.

pub mod correlated;
pub mod recovery;
pub mod warnings;
use std::time::Duration;

use ipnet::IpNet;

use tracer_ebpf::{Flow, Gap, Totals};

use crate::assemble::correlated::correlated;
use crate::by_kind::sum;
use crate::clock::jiffies_to_ms;
use crate::kernel_counters::KernelCounts;
use crate::recording::bad_checksums::Damaged;
use crate::recording::flow_table::{Entry, Table};
use crate::recording::loss_recovery::Holes;
use crate::recording::programs::{Effort, Gaps, Unwritten};
use crate::recording::roles::{FlowRole, Known};
use crate::recording::{commits as recorded_commits, database, processors};
use crate::report::capabilities::HookStatus;
use crate::report::commits;
use crate::report::endpoint::endpoints;
use crate::report::fault::FaultReport;
use crate::report::path::PathReport;
use crate::report::processors::ProcessorsReport;
use crate::report::recovery::RecoveryReport;
use crate::report::request::Request;
use crate::report::{
    ByKind, Capabilities, ChecksumErrors, Clock, DamagedReport, Fault, FlowReport, GapsReport,
    Host, KernelKinds, MissingField, NamespaceReport, Overhead, Report, Resets, SCHEMA, Selected,
    States, StepReport, Tool, TotalsReport, Window, difference,
};

/// What was asked for, as far as the report depends on it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// As the report says it.
    pub request: Request,
    /// The peers that the filter keeps; empty for all.
    pub peers: Vec<IpNet>,
    /// Between two samples.
    pub interval: Duration,
    /// From when on a commit is slow.
    pub slow_commit: Duration,
    /// How long the first two phases last, where the user knows.
    pub phases: Option<(Duration, Duration)>,
    /// Whether single events were taken.
    pub events: bool,
    /// Whether the run time of the programs was measured.
    pub bpf_stats: bool,
}

/// Everything that a run leaves behind.
#[derive(Debug)]
pub struct Measured<'a> {
    /// What was asked for.
    pub asked: Asked,
    /// Where it ran.
    pub host: Host,
    /// How moments are converted.
    pub clock: crate::clock::Clock,
    /// Length of a jiffy, ns.
    pub jiffy_ns: u64,
    /// When counting began, ns of `CLOCK_MONOTONIC`.
    pub start_ns: u64,
    /// When the last reading was taken, likewise.
    pub end_ns: u64,
    /// What became of the hooks.
    pub hooks: Vec<HookStatus>,
    /// Whether the kernel shows retransmits that failed to leave.
    pub retransmit_err: bool,
    /// Fields that this kernel does not have.
    pub missing: Vec<MissingField>,
    /// Every flow.
    pub table: &'a Table,
    /// What arrived damaged from the peers.
    pub damaged: Vec<Damaged>,
    /// From which losses there was a recovery, if events were taken.
    pub holes: Holes,
    /// Every traced namespace.
    pub namespaces: Vec<NamespaceCounts>,
    /// Whether all readings were taken in quiet moments.
    pub quiet: bool,
    /// Hits that the filter would keep, by namespaces that were not traced.
    pub elsewhere: Vec<(u32, u64)>,
    /// What the programs had to give up.
    pub gaps: Gaps,
    /// What the kernel says of their runs.
    pub effort: Effort,
    /// Records that could not be understood.
    pub undecodable: u64,
    /// Of which processes nothing is known, if there are such.
    pub unseen_processes: Option<String>,
    /// What was broken on purpose.
    pub faults: Vec<FaultReport>,
    /// What was learnt of the database.
    pub postgres: Option<database::Record>,
    /// What was learnt of commits.
    pub commits: Option<recorded_commits::Record>,
    /// What servers on this host had of its processors, or why that is not known.
    pub processors: Option<Result<Vec<processors::Track>, String>>,
    /// Events that `--events` did not get.
    pub unwritten_events: Unwritten,
    /// Lines of the live view that nobody took.
    pub unwritten_lines: Unwritten,
    /// What the tool itself cost.
    pub cpu: Duration,
    /// Its largest resident memory.
    pub peak_memory_kib: u64,
    /// From its start to the first attached program.
    pub attached: Duration,
    /// From its start to the moment from which everything is counted.
    pub ready: Duration,
}

/// Both counts of one namespace.
#[derive(Debug, Clone)]
pub struct NamespaceCounts {
    /// Inode.
    pub netns: u32,
    /// Its name.
    pub name: Option<String>,
    /// Ours, with what was found at the end.
    pub totals: Totals,
    /// The kernel's.
    pub kernel: KernelCounts,
}

/// Makes the report.
#[must_use]
pub fn assemble(measured: Measured<'_>) -> Report {
    let mut warnings = Vec::new();
    // Whether the fault did what was asked comes before what was seen of it.
    warnings.extend(crate::report::fault::told::warnings(&measured.faults));
    let flows = flows(&measured);
    let selected = Selected {
        segments: flows.iter().map(|flow| flow.segments).sum(),
        events: flows.iter().map(|flow| flow.events).sum(),
        bytes: flows.iter().map(|flow| flow.bytes).sum(),
    };
    let recoveries = recovery::by_namespace(&measured, &flows);
    let (phases, findings) = correlated(
        &measured,
        &flows,
        recoveries.as_ref(),
        measured
            .hooks
            .iter()
            .any(|hook| hook.name == "tcp_bad_csum" && hook.attached),
    );
    let totals = totals(&measured);
    let gaps = gaps(&measured);
    warnings::add(&mut warnings, &measured, &totals, &gaps, &flows);
    warnings.extend(
        measured
            .postgres
            .iter()
            .flat_map(|one| one.warnings.clone()),
    );
    let commits = measured.commits.as_ref().map(|record| {
        let run = commits::Run {
            clock: &measured.clock,
            start_ns: measured.start_ns,
            recoveries: recoveries.as_ref(),
            stats: measured.asked.bpf_stats,
        };
        commits::assemble(record, &run)
    });
    let of_commits = commits.as_ref().map(crate::render::commits::warnings);
    warnings.extend(of_commits.unwrap_or_default());
    if let Some(Err(reason)) = &measured.processors {
        warnings.push(reason.clone());
    }
    let all = sum_of(&measured.namespaces);
    let attached = |name| {
        measured
            .hooks
            .iter()
            .any(|hook| hook.name == name && hook.attached)
    };
    let measured_by = |name, count| attached(name).then_some(count);
    let window_s = (measured.end_ns - measured.start_ns) as f64 / 1e9;
    Report {
        schema: SCHEMA.into(),
        tool: Tool::this(),
        clock: Clock {
            monotonic_ns: measured.clock.monotonic_ns,
            realtime: measured.clock.utc(measured.clock.monotonic_ns),
        },
        window: Window {
            start: measured.clock.utc(measured.start_ns),
            end: measured.clock.utc(measured.end_ns),
            duration_s: window_s,
        },
        request: measured.asked.request,
        capabilities: Capabilities {
            hooks: measured.hooks.clone(),
            retransmit_err: measured.retransmit_err,
            missing_fields: measured.missing,
        },
        checksum_errors: ChecksumErrors {
            selected: measured_by("tcp_bad_csum", all.selected_bad_checksums),
            kernel_in_csum_errors: known_sum(
                measured.namespaces.iter().map(|n| n.kernel.in_csum_errors),
            ),
            series: measured
                .damaged
                .iter()
                .map(|step| DamagedReport {
                    time: measured.clock.utc(step.at_ns),
                    offset_s: step.at_ns.saturating_sub(measured.start_ns) as f64 / 1e9,
                    selected: step.segments,
                    by_peer: step.by_peer.clone(),
                })
                .collect(),
        },
        resets: Resets {
            sent: measured_by("tcp_send_reset", all.resets_sent),
            received: measured_by("tcp_receive_reset", all.resets_received),
            selected_sent: measured_by("tcp_send_reset", all.selected_resets_sent),
            selected_received: measured_by("tcp_receive_reset", all.selected_resets_received),
        },
        states: States {
            opened: all.opened,
            closed: all.closed,
            selected_opened: all.selected_opened,
            selected_closed: all.selected_closed,
        },
        namespaces: measured
            .namespaces
            .iter()
            .map(|namespace| NamespaceReport {
                netns: namespace.netns,
                name: namespace.name.clone(),
                segments: sum(&namespace.totals.segments),
                kernel_retrans_segs: namespace.kernel.retrans_segs,
                difference: difference(namespace.kernel.retrans_segs, &namespace.totals),
            })
            .collect(),
        overhead: Overhead {
            program_runs: measured.asked.bpf_stats.then_some(measured.effort.runs),
            program_ns_per_run: (measured.asked.bpf_stats && measured.effort.runs > 0)
                .then(|| measured.effort.ns as f64 / measured.effort.runs as f64),
            cpu_ms: measured.cpu.as_secs_f64() * 1e3,
            peak_memory_kib: measured.peak_memory_kib,
            attached_ms: Some(measured.attached.as_secs_f64() * 1e3),
            ready_ms: Some(measured.ready.as_secs_f64() * 1e3),
        },
        postgres: measured.postgres.map(|record| {
            let (start, end) = (measured.start_ns, measured.end_ns);
            crate::report::postgres::assemble(record, &measured.clock, start, end)
        }),
        commits,
        processors: measured.processors.and_then(Result::ok).map(|tracks| {
            let report = |track| ProcessorsReport::new(track, &measured.clock, measured.start_ns);
            tracks.iter().map(report).collect()
        }),
        host: measured.host,
        findings,
        phases,
        faults: measured
            .faults
            .into_iter()
            .map(|fault| Fault::new(fault, &measured.clock))
            .collect(),
        totals,
        selected,
        flows,
        gaps,
        warnings,
    }
}

fn flows(measured: &Measured<'_>) -> Vec<FlowReport> {
    let known = measured
        .postgres
        .as_ref()
        .map_or_else(Known::default, database::Record::known);
    let mut flows: Vec<_> = measured
        .table
        .sorted()
        .into_iter()
        .map(|entry| flow(entry, measured, &known))
        .collect();
    flows.extend(overflow(measured));
    flows
}

fn flow(entry: &Entry, measured: &Measured<'_>, known: &Known) -> FlowReport {
    let Flow { tuple, .. } = entry.flow;
    let (local, remote) = endpoints(&tuple);
    let flow = &entry.flow;
    // Readings exist only if there was a hit on a socket; SYN-ACKs have none.
    let read = flow.rto != 0 || flow.cwnd != 0;
    let ms = |jiffies| jiffies_to_ms(jiffies, measured.jiffy_ns);
    let time = |ns: u64| (ns != 0).then(|| measured.clock.utc(ns));
    let process = entry.process.as_ref();
    let role = known.role(local.socket(), remote.socket(), process);
    FlowReport {
        local,
        remote,
        netns: Some(tuple.netns),
        process: process.cloned(),
        segments: sum(&flow.segments),
        events: flow.events,
        bytes: flow.bytes,
        failed_events: measured.retransmit_err.then_some(flow.failed_events),
        failed_segments: flow.failed_segments,
        by_kind: ByKind::from(flow.segments),
        fin: flow.fin,
        resets_sent: flow.resets_sent,
        resets_received: flow.resets_received,
        srtt_us: read.then_some(flow.srtt_us),
        rto_ms: read.then(|| ms(flow.rto)),
        rto_max_ms: read.then(|| ms(flow.rto_max)),
        backoff_max: read.then_some(flow.backoff_max),
        cwnd: read.then_some(flow.cwnd),
        first: time(flow.first_ns),
        last: time(flow.last_ns),
        closed: time(flow.closed_ns),
        series: entry
            .series
            .iter()
            .map(|step| StepReport {
                time: measured.clock.utc(step.at_ns),
                offset_s: step.at_ns.saturating_sub(measured.start_ns) as f64 / 1e9,
                segments: sum(&step.segments),
                events: step.events,
                bytes: step.bytes,
                by_kind: ByKind::from(step.segments),
            })
            .collect(),
        path: PathReport::new(entry.path.readings(), &measured.clock, measured.start_ns),
        recoveries: (role.kind.is_replication() && measured.asked.events).then(|| {
            let holes = measured.holes.of_flow(&tuple).iter();
            let report = |hole| RecoveryReport::new(hole, &measured.clock, measured.start_ns);
            holes.map(report).collect()
        }),
        role,
    }
}

/// What the filter kept and the flow table had no room for, as one entry, so that
/// the flows still add up.
fn overflow(measured: &Measured<'_>) -> Option<FlowReport> {
    let all = sum_of(&measured.namespaces);
    if sum(&all.overflow_segments) == 0 && all.overflow_events == 0 {
        return None;
    }
    let (local, remote) = endpoints(&tracer_ebpf::Tuple::default());
    Some(FlowReport {
        local,
        remote,
        netns: None,
        process: None,
        role: FlowRole::default(),
        segments: sum(&all.overflow_segments),
        events: all.overflow_events,
        bytes: all.overflow_bytes,
        failed_events: None,
        failed_segments: 0,
        by_kind: ByKind::from(all.overflow_segments),
        fin: 0,
        resets_sent: 0,
        resets_received: 0,
        srtt_us: None,
        rto_ms: None,
        rto_max_ms: None,
        backoff_max: None,
        cwnd: None,
        first: None,
        last: None,
        closed: None,
        series: Vec::new(),
        path: None,
        recoveries: None,
    })
}

fn totals(measured: &Measured<'_>) -> TotalsReport {
    let all = sum_of(&measured.namespaces);
    let kernel = known_sum(
        measured
            .namespaces
            .iter()
            .map(|namespace| namespace.kernel.retrans_segs),
    );
    let kinds = measured
        .namespaces
        .iter()
        .map(|namespace| KernelKinds::from_counters(&namespace.kernel.tcp_ext))
        .reduce(|sum, one| sum.plus(&one));
    TotalsReport {
        segments: sum(&all.segments),
        events: all.events,
        bytes: all.bytes,
        failed_events: measured.retransmit_err.then_some(all.failed_events),
        failed_segments: sum(&all.failed_segments),
        by_kind: ByKind::from(all.segments),
        failed_by_kind: ByKind::from(all.failed_segments),
        attempts_by_kind: ByKind::from(all.attempts),
        unseen_segments: all.unseen_segments,
        kernel_retrans_segs: kernel,
        difference: difference(kernel, &all),
        quiet: measured.quiet,
        lost_events: Some(measured.gaps.count(Gap::EventsLost)),
        kernel: kinds.unwrap_or_default(),
    }
}

fn gaps(measured: &Measured<'_>) -> GapsReport {
    GapsReport {
        flows_full: measured.gaps.count(Gap::FlowsFull),
        sockets_full: measured.gaps.count(Gap::SocketsFull),
        namespaces_full: measured.gaps.count(Gap::NamespacesFull),
        reads_failed: measured.gaps.count(Gap::ReadFailed),
        hits_missed: measured.effort.missed,
        undecodable_events: measured.undecodable,
        unwritten_events: measured.unwritten_events.lines,
    }
}

pub(crate) fn sum_of(namespaces: &[NamespaceCounts]) -> Totals {
    namespaces.iter().fold(Totals::default(), |sum, namespace| {
        sum.plus(&namespace.totals)
    })
}

/// The sum, if every part is known; of nothing, nothing is.
pub(crate) fn known_sum(parts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    parts.reduce(|sum, one| Some(sum? + one?)).flatten()
}

#[cfg(test)]
mod tests {
    use super::known_sum;

    #[test]
    fn a_sum_is_known_if_all_of_it_is_and_there_is_any() {
        for (parts, expected) in [
            (&[][..], None),
            (&[Some(1), None], None),
            (&[None, Some(1)], None),
            (&[Some(1), Some(2)], Some(3)),
        ] {
            assert_eq!(known_sum(parts.iter().copied()), expected, "{parts:?}");
        }
    }
}
