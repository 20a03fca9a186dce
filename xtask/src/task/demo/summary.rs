//! The demo's outcome, as a person reads it.

use std::time::Duration;

use anyhow::{Result, ensure};
use tracer_core::report::percent::Percent;
use tracer_core::report::{Fault, FlowReport, Report};
use tracer_ebpf::RetransmitKind;

use crate::lab::format;
use crate::testbed::load::phase::Phases;
use crate::testbed::load::record::{Figures, Record};

fn words(kind: RetransmitKind) -> &'static str {
    match kind {
        RetransmitKind::Rto => "retransmission timeout: no answer in time",
        RetransmitKind::Tlp => "tail loss probe: sent before the timeout, to learn sooner",
        RetransmitKind::Fast => "fast retransmit: acknowledgements showed a gap",
        RetransmitKind::Rack => "RACK's timer: a later segment had arrived long before",
        RetransmitKind::SlowStart => "what followed a timeout",
        RetransmitKind::Syn => "a connection's first segment",
        RetransmitKind::SynAck => "the answer to it",
        RetransmitKind::Other => "the kernel counted it without showing why",
    }
}

/// `checksum_errors` is what the receiver's TCP counted during the run.
pub(super) fn render(
    report: &Report,
    records: &[Record],
    phases: &Phases,
    checksum_errors: u64,
) -> String {
    let parts = [
        ("What was broken on purpose", fault(report, checksum_errors)),
        ("Who retransmitted, and why", flows(report)),
        ("Is the count right?", kernel(report)),
        ("What the clients saw", clients(records, phases)),
    ];
    let mut text = String::new();
    for (title, lines) in parts {
        text += &format!("\n{title}\n");
        for line in lines {
            text += &(format!("  {line}").trim_end().to_owned() + "\n");
        }
    }
    text
}

/// Fails if the run contradicts what tracer promises.
pub(super) fn verify(report: &Report, checksum_errors: u64) -> Result<()> {
    let difference = report.totals.difference;
    ensure!(
        difference == Some(0),
        "tracer's count differs from the kernel's by {difference:?}"
    );
    let fault = report.faults.first().map(|made| &made.fault);
    let hit = fault.and_then(|fault| fault.hit).unwrap_or_default();
    ensure!(hit > 0, "no segment got a bad checksum: nothing was shown");
    ensure!(
        hit == checksum_errors,
        "{hit} segments got a bad checksum, and the receiver discarded {checksum_errors}"
    );
    ensure!(
        fault.is_some_and(|fault| fault.removed),
        "the fault is not known to be removed"
    );
    Ok(())
}

fn fault(report: &Report, checksum_errors: u64) -> Vec<String> {
    let Some(Fault { fault, .. }) = report.faults.first() else {
        return vec!["nothing".to_owned()];
    };
    let agree = if fault.hit == Some(checksum_errors) {
        "as many: each arrived, and was discarded"
    } else {
        "NOT as many"
    };
    vec![
        format!(
            "the TCP checksum of {} of {} segments to {} ({} %, asked for {} %)",
            known(fault.hit),
            known(fault.seen),
            known(fault.peers.first()),
            known(fault.delivered_percent.map(|it| format!("{it:.1}"))),
            known(fault.percent.map(Percent::get)),
        ),
        format!("the receiver's kernel counted {checksum_errors} wrong checksums: {agree}"),
        if fault.removed {
            "removed; the interface's offloads are as they were".to_owned()
        } else {
            format!("NOT removed: {}", known(fault.left_behind.as_ref()))
        },
    ]
}

fn flows(report: &Report) -> Vec<String> {
    let hit = format::flows(report);
    if hit.is_empty() {
        return vec!["nobody: no flow retransmitted anything".to_owned()];
    }
    hit.into_iter().flat_map(describe).collect()
}

fn describe(flow: &FlowReport) -> Vec<String> {
    // PostgreSQL's processes say in their titles which of them they are.
    let owner = flow.process.as_ref().map(|process| {
        let name = process.title.as_ref().unwrap_or(&process.comm);
        (name, process.pid)
    });
    let mut lines = Vec::new();
    if owner.is_some_and(|(name, _)| name.contains("walreceiver")) {
        lines.push(
            "the standby: its replies, \"flushed up to here\", for which commits wait".to_owned(),
        );
    }
    let process = owner
        .map(|(name, pid)| format!("   {name}, pid {pid}"))
        .unwrap_or_default();
    lines.push(format!("{} > {}{process}", flow.local, flow.remote));
    lines.push(format!("{:>6} segments, of these", flow.segments));
    let kinds = format::kinds(&flow.by_kind).into_iter();
    lines.extend(
        kinds.map(|(kind, count)| format!("{count:>6} {:<11} {}", kind.name(), words(kind))),
    );
    if let (Some(longest), Some(doubled @ 1..)) = (flow.rto_max_ms, flow.backoff_max) {
        lines.push(format!(
            "its timeout doubled {doubled} times in a row, up to {}: each time, all that waits for it waited longer",
            format::milliseconds(longest)
        ));
    }
    lines
}

fn kernel(report: &Report) -> Vec<String> {
    let totals = &report.totals;
    vec![format!(
        "tracer counted {}, the kernel's own RetransSegs grew by {}: difference {}",
        totals.segments,
        known(totals.kernel_retrans_segs),
        known(totals.difference),
    )]
}

type Column = fn(&Figures) -> String;

fn clients(records: &[Record], phases: &Phases) -> Vec<String> {
    let names = phases.0.iter().map(|phase| format!("{:>12}", phase.name));
    let mut lines = vec![format!("{:<26}{}", "", names.collect::<String>())];
    let rows: [(&str, Column); 8] = [
        ("answered a second", |it| format!("{:.1}", it.per_second)),
        ("failed", |it| it.failed.to_string()),
        ("p50", |it| latency(it.sent.p50)),
        ("p99", |it| latency(it.sent.p99)),
        ("max", |it| latency(it.sent.max)),
        ("p50 with queue", |it| latency(it.due.p50)),
        ("p99", |it| latency(it.due.p99)),
        ("max", |it| latency(it.due.max)),
    ];
    for record in records {
        let figures: Vec<Figures> = phases.0.iter().map(|phase| record.figures(phase)).collect();
        let shown = if record.queued() { 8 } else { 5 };
        for (place, (name, cell)) in rows.iter().take(shown).enumerate() {
            let of = if place == 0 { record.name } else { "" };
            let cells = figures.iter().map(|it| format!("{:>12}", cell(it)));
            lines.push(format!("{of:<8}{name:<18}{}", cells.collect::<String>()));
        }
    }
    lines.push("writes commit, and wait for the standby's reply; reads wait for nobody".to_owned());
    if records.iter().any(Record::queued) {
        lines.push(
            "queue: the wait for one of the clients' connections to be free again".to_owned(),
        );
    }
    lines.extend(aftermath(records, phases));
    lines
}

/// How long the fault outlasted itself.
fn aftermath(records: &[Record], phases: &Phases) -> Option<String> {
    let end = phases.named("fault")?.end;
    let writes = records.iter().find(|record| record.name == "writes")?;
    let first = writes.first_answer(end)?;
    Some(format!(
        "the first write was answered {} after the fault's end",
        format::time(&first)
    ))
}

fn latency(latency: Option<Duration>) -> String {
    format::known(latency, |it| format::time(&it))
}

fn known(value: Option<impl ToString>) -> String {
    format::known(value, |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tracer_core::report::process::Process;
    use tracer_core::report::{ByKind, Endpoint};

    use super::*;
    use crate::testbed::sample_report;

    fn report() -> Report {
        let mut report = sample_report::empty();
        let like = sample_report::full().flows.remove(0);
        let end = |host, port| Endpoint {
            address: [10, 0, 10, host].into(),
            port,
        };
        let flow = |segments, by_kind| FlowReport {
            local: end(3, 41_000),
            remote: end(2, 5432),
            process: Some(Process {
                pid: 7,
                comm: "postgres".to_owned(),
                title: Some("postgres: walreceiver".to_owned()),
                program: None,
                own_pid: None,
            }),
            segments,
            by_kind,
            rto_max_ms: Some(6400.0),
            backoff_max: Some(5),
            ..like.clone()
        };
        let by_kind = ByKind {
            tlp: 3,
            rto: 9,
            ..ByKind::default()
        };
        report.flows = vec![flow(0, ByKind::default()), flow(12, by_kind)];
        report.totals.segments = 12;
        report.totals.kernel_retrans_segs = Some(12);
        report.totals.difference = Some(0);
        let mut made = sample_report::fault("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z");
        let fault = &mut made.fault;
        fault.percent = Percent::new(50.0);
        fault.peers = vec!["10.0.10.2".to_owned()];
        (fault.seen, fault.hit) = (Some(20), Some(10));
        fault.delivered_percent = Some(50.0);
        fault.removed = true;
        report.faults.push(made);
        report
    }

    #[test]
    fn a_report_is_told_in_sentences() {
        let epoch = SystemTime::UNIX_EPOCH;
        let phases = Phases::from_report(&sample_report::empty(), epoch, epoch).unwrap();
        let text = render(&report(), &[], &phases, 10);
        for line in [
            "  the TCP checksum of 10 of 20 segments to 10.0.10.2 (50.0 %, asked for 50 %)",
            "  the receiver's kernel counted 10 wrong checksums: as many: each arrived, and was discarded",
            "  10.0.10.3:41000 > 10.0.10.2:5432   postgres: walreceiver, pid 7",
            "      12 segments, of these",
            "       9 rto         retransmission timeout: no answer in time",
            "       3 tlp         tail loss probe: sent before the timeout, to learn sooner",
            "  its timeout doubled 5 times in a row, up to 6.4 s: each time, all that waits for it waited longer",
            "  tracer counted 12, the kernel's own RetransSegs grew by 12: difference 0",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\nnot in\n{text}");
        }
    }

    #[test]
    fn a_broken_promise_fails_the_demo() {
        assert!(verify(&report(), 10).is_ok());
        assert!(verify(&report(), 9).is_err());
        let broken: [fn(&mut Report); 5] = [
            |report| report.totals.difference = Some(1),
            |report| report.totals.difference = None,
            |report| report.faults[0].fault.removed = false,
            |report| report.faults[0].fault.hit = None,
            |report| report.faults.clear(),
        ];
        for (nth, breaks) in broken.into_iter().enumerate() {
            let mut report = report();
            breaks(&mut report);
            assert!(verify(&report, 10).is_err(), "{nth}");
        }
        let mut unharmed = report();
        unharmed.faults[0].fault.hit = Some(0);
        assert!(verify(&unharmed, 0).is_err());
    }

    #[test]
    fn an_empty_report_invents_nothing() {
        let phases = Phases(Vec::new());
        let text = render(&sample_report::empty(), &[], &phases, 0);
        assert!(text.contains("no flow retransmitted"));
        assert!(text.contains("grew by –: difference –"));
    }
}
