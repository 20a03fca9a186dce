//! `result.md`: what was seen, for a person.

use std::time::Duration;

use tracer_core::report::ByKind;
use tracer_core::report::finding::Finding;
use tracer_core::report::phase::Figures;

use crate::lab::cluster::DATABASES;
use crate::lab::experiment::Variant;
use crate::lab::format::{self, flows, known};
use crate::lab::outcome::{Outcome, name};
use crate::lab::verify::{Check, Checks};
use crate::testbed::load::record::{Record, milliseconds};
use crate::testbed::stage_figures::{add_stages, stage_table};

/// Of each host, the flows that retransmitted the most: each question to etcd and each
/// check of health is a flow.
const FLOWS_SHOWN: usize = 10;

pub(super) fn render(variant: &Variant, outcome: &Outcome, checks: &Checks) -> String {
    let mut sections = vec![
        ("What the clients saw", clients(outcome)),
        ("Who was what, when", timeline(outcome)),
        ("Who retransmitted", retransmitters(outcome)),
        ("The replication, by phase", replication(outcome)),
        ("What tracer found", findings(outcome)),
        ("What commits waited for", stages(outcome)),
    ];
    if !outcome.words.is_empty() {
        let words = outcome.words.iter();
        sections.push((
            "Beside that",
            words.map(|word| format!("- {word}\n")).collect(),
        ));
    }
    let check = |check: &Check| {
        let mark = if check.holds { "yes" } else { "**no**" };
        format!("- {mark}: {}\n", check.words())
    };
    sections.push(("What had to be so", checks.0.iter().map(check).collect()));
    let sections = sections.iter();
    let sections: String = sections
        .map(|(title, text)| format!("\n## {title}\n\n{text}"))
        .collect();
    format!("# {}\n\n{}\n{sections}", variant.title(), variant.question)
}

/// In the shape of the published tables; latencies from when a request was sent.
fn clients(outcome: &Outcome) -> String {
    let mut text = "| requests | phase | made | failed | average, ms | min | max | median | p99 | answered a second | longest gap |\n\
                    |---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for record in &outcome.records {
        for phase in &outcome.phases.0 {
            let figures = record.figures(phase);
            let sent = &figures.sent;
            let gap = record.longest_gap_within(phase);
            text += &format!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} | {} |\n",
                record.name,
                phase.name,
                figures.requests,
                figures.failed,
                cell(sent.mean),
                cell(sent.min),
                cell(sent.max),
                cell(sent.p50),
                cell(sent.p99),
                figures.per_second,
                known(gap, |gap| { format!("{:.1} s", gap.length.as_secs_f64()) }),
            );
        }
    }
    for record in &outcome.records {
        text += &errors(record);
    }
    text
}

fn errors(record: &Record) -> String {
    let mut text = String::new();
    for (error, count) in record.errors() {
        text += &format!("\n- {count} {} failed: {error}", record.name);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn cell(latency: Option<Duration>) -> String {
    known(latency, |it| format!("{:.1}", milliseconds(it)))
}

/// What was done and what became of it, in one order.
fn timeline(outcome: &Outcome) -> String {
    let done = outcome
        .notes
        .iter()
        .map(|note| (note.at, "done".to_owned(), note.text.clone()));
    let became = outcome
        .roles
        .iter()
        .map(|change| (change.at, change.node.to_owned(), change.state.words()));
    let mut lines: Vec<_> = done.chain(became).collect();
    lines.sort_by_key(|(at, ..)| *at);
    let mut text =
        "Seconds from the beginning of the fault.\n\n| s | who | what |\n|--:|---|---|\n"
            .to_owned();
    for (at, who, what) in lines {
        text += &format!("| {:.1} | {who} | {what} |\n", outcome.after_fault(at));
    }
    text
}

fn retransmitters(outcome: &Outcome) -> String {
    let mut text = "| seen on | flow | role | segments | by kind | longest timeout |\n|---|---|---|--:|---|--:|\n".to_owned();
    let mut any = false;
    for (name, report) in DATABASES.iter().zip(&outcome.reports) {
        let flows = flows(report);
        any |= !flows.is_empty();
        let (shown, rest) = flows.split_at(flows.len().min(FLOWS_SHOWN));
        for flow in shown {
            text += &format!(
                "| {name} | {} → {} | {} | {} | {} | {} |\n",
                flow.local,
                flow.remote,
                flow.role.kind,
                flow.segments,
                kinds(&flow.by_kind),
                known(flow.rto_max_ms, |it| format!("{it:.0} ms")),
            );
        }
        if !rest.is_empty() {
            let segments: u64 = rest.iter().map(|flow| flow.segments).sum();
            text += &format!("| {name} | {} more | | {segments} | | |\n", rest.len());
        }
    }
    if !any {
        return "Nobody: no flow of either database's host retransmitted anything.\n".to_owned();
    }
    text
}

/// What tracer says of each phase.
fn replication(outcome: &Outcome) -> String {
    let mut text = "| seen on | phase | seconds | retransmitted | by kind, a second | arrived with a bad checksum | seconds with commits waiting | of these in loss recovery |\n|---|---|--:|--:|---|--:|--:|--:|\n".to_owned();
    for (name, report) in DATABASES.iter().zip(&outcome.reports) {
        for phase in &report.phases {
            let figures = &phase.figures;
            text += &format!(
                "| {name} | {} | {} | {} | {} | {} | {} | {} |\n",
                self::name(phase.name),
                format_args!("{:.0}", phase.duration_s),
                known(figures.replication, |it| it.segments.to_string()),
                rates(figures),
                known(figures.arrived_damaged, |it| it.to_string()),
                known(figures.sync_rep_s, |it| format!("{it:.1}")),
                known(figures.sync_rep_in_recovery_percent, |it| format!(
                    "{it:.0} %"
                )),
            );
        }
    }
    text
}

fn rates(figures: &Figures) -> String {
    let rates = figures.replication.and_then(|rates| rates.by_kind_per_s);
    let rates = rates.map(|rates| rates.each()).into_iter().flatten();
    let words: Vec<String> = rates
        .filter(|(_, rate)| *rate > 0.0)
        .map(|(kind, rate)| format!("{rate:.2} {}", kind.name()))
        .collect();
    words.join(", ")
}

fn kinds(by_kind: &ByKind) -> String {
    let kinds = format::kinds(by_kind).into_iter();
    let words: Vec<String> = kinds
        .map(|(kind, count)| format!("{count} {}", kind.name()))
        .collect();
    words.join(", ")
}

/// By both reports as one, and by each host alone.
fn findings(outcome: &Outcome) -> String {
    let line = |of: &str, finding: &Finding| {
        format!(
            "- {of}, `{}` ({}): {}\n",
            name(finding.cause),
            name(finding.confidence),
            finding.text,
        )
    };
    let both = outcome.merged.findings.iter();
    let mut text: String = both
        .map(|one| {
            line(
                &format!("by both hosts' reports, of {}", one.host),
                &one.finding,
            )
        })
        .collect();
    for (host, report) in DATABASES.iter().zip(&outcome.reports) {
        let alone = report.findings.iter();
        text.extend(alone.map(|finding| line(&format!("on {host} alone"), finding)));
    }
    if text.is_empty() {
        return "Nothing.\n".to_owned();
    }
    text
}

/// Stage by stage, ms.
fn stages(outcome: &Outcome) -> String {
    let mut table = stage_table("ms");
    add_stages(&mut table, "commits", &outcome.merged);
    match table.is_empty() {
        true => "No wait for a standby was followed.\n".to_owned(),
        false => table.markdown(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::SystemTime;

    use tracer_core::report::role::FlowRole;
    use tracer_core::report::{Endpoint, FlowReport, Report};

    use super::super::reduced;
    use super::*;
    use crate::lab::context::Note;
    use crate::lab::outcome::FlowKind;
    use crate::lab::timing::Timing;
    use crate::testbed::load::Request;
    use crate::testbed::load::clients::Profile;
    use crate::testbed::load::phase::Phases;
    use crate::testbed::sample_report;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn outcome() -> Outcome {
        let request = |due, ms, error: Option<&str>| Request {
            number: 0,
            due: at(due),
            late: Duration::ZERO,
            latency: Duration::from_millis(ms),
            error: error.map(str::to_owned),
        };
        let Profile { writes, reads } = Profile::steady();
        let requests = vec![
            request(1, 2, None),
            request(11, 1, Some("gone")),
            request(15, 500, None),
        ];
        let like = sample_report::full().flows.remove(0);
        let end = |host, port| Endpoint {
            address: [10, 0, 10, host].into(),
            port,
        };
        let flow = |segments| FlowReport {
            local: end(3, 41_000),
            remote: end(2, 5432),
            role: FlowRole {
                kind: match segments {
                    0 => FlowKind::Patroni,
                    _ => FlowKind::Walreceiver,
                },
                ..FlowRole::default()
            },
            segments,
            events: 0,
            failed_events: None,
            failed_segments: 0,
            rto_max_ms: Some(408.0),
            by_kind: ByKind {
                rto: segments,
                ..ByKind::default()
            },
            ..like.clone()
        };
        let report = |flows| Report {
            flows,
            ..sample_report::empty()
        };
        let reports = [report(Vec::new()), report(vec![flow(3), flow(0)])];
        Outcome {
            phases: Phases::around(at(0), at(10), at(20), at(30)),
            records: [
                Record::new("writes", writes, requests),
                Record::new("reads", reads, Vec::new()),
            ],
            roles: Vec::new(),
            notes: vec![Note {
                at: at(12),
                text: "something was done".to_owned(),
            }],
            merged: sample_report::merged(),
            reports,
            checksum_errors: [0, 0],
            extra: serde_json::Map::new(),
            words: Vec::new(),
            commands: Vec::new(),
            timing: Timing::default(),
            folder: PathBuf::new(),
            up: Duration::ZERO,
        }
    }

    #[test]
    fn the_clients_table_has_what_the_published_ones_have() {
        let text = clients(&outcome());
        for line in [
            "| writes | baseline | 1 | 0 | 2.0 | 2.0 | 2.0 | 2.0 | 2.0 | 0.1 | 9.0 s |",
            "| writes | fault | 2 | 1 | 500.0 | 500.0 | 500.0 | 500.0 | 500.0 | 0.1 | 5.5 s |",
            // Not measured, and not zero.
            "| reads | fault | 0 | 0 | – | – | – | – | – | 0.0 | – |",
            "- 1 writes failed: gone",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\nnot in\n{text}");
        }
    }

    #[test]
    fn time_counts_from_the_fault() {
        assert!(timeline(&outcome()).contains("| 2.0 | done | something was done |"));
    }

    #[test]
    fn only_who_retransmitted_is_shown_and_kept() {
        let text = retransmitters(&outcome());
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.contains("10.0.10.3:41000 → 10.0.10.2:5432 | walreceiver | 3 | 3 rto"));
        let kept = reduced(outcome().report("db2"));
        assert_eq!(kept.flows.len(), 1);
    }

    #[test]
    fn what_was_not_so_stands_out() {
        let checks = Checks(vec![Check {
            sentence: "it was so".to_owned(),
            holds: false,
            seen: "not".to_owned(),
        }]);
        let variant = &crate::lab::experiment::named("failover")[0];
        let text = render(variant, &outcome(), &checks);
        assert!(text.contains("- **no**: it was so (not)"), "{text}");
    }
}
