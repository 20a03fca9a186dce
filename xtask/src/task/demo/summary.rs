//! The demo's outcome, as a person reads it.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::lab::format::{self, UNKNOWN};
use crate::testbed::load::phase::Phases;
use crate::testbed::load::record::{Figures, Record};

/// Kinds of retransmits by their field in the report, in words.
const KINDS: [(&str, &str); 8] = [
    ("rto", "retransmission timeout: no answer in time"),
    (
        "tlp",
        "tail loss probe: sent before the timeout, to learn sooner",
    ),
    ("fast", "fast retransmit: acknowledgements showed a gap"),
    (
        "rack",
        "RACK's timer: a later segment had arrived long before",
    ),
    ("slow_start", "what followed a timeout"),
    ("syn", "a connection's first segment"),
    ("synack", "the answer to it"),
    ("other", "the kernel counted it without showing why"),
];

/// `checksum_errors` is what the receiver's TCP counted during the run.
pub(super) fn render(
    report: &Value,
    records: &[Record],
    phases: &Phases,
    checksum_errors: u64,
) -> String {
    let parts = [
        ("What was broken on purpose", fault(report, checksum_errors)),
        ("Who sent again, and why", flows(report)),
        ("Is the count right?", kernel(report)),
        ("What the clients saw", clients(records, phases)),
    ];
    let mut text = String::new();
    // Writing to a string cannot fail.
    for (title, lines) in parts {
        let _ = writeln!(text, "\n{title}");
        for line in lines {
            let _ = writeln!(text, "{}", format!("  {line}").trim_end());
        }
    }
    text
}

/// Fails if the run contradicts what tracer promises.
///
/// # Errors
/// Then; the error says which promise.
pub(super) fn verify(report: &Value, checksum_errors: u64) -> Result<()> {
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_i64);
    let difference = number("/totals/difference");
    ensure!(
        difference == Some(0),
        "tracer's count differs from the kernel's by {difference:?}"
    );
    let hit = number("/faults/0/hit");
    ensure!(hit > Some(0), "no segment was damaged: nothing was shown");
    ensure!(
        hit == i64::try_from(checksum_errors).ok(),
        "{hit:?} segments were damaged, and the receiver refused {checksum_errors}"
    );
    ensure!(
        report.pointer("/faults/0/removed") == Some(&Value::Bool(true)),
        "the fault is not known to be removed"
    );
    Ok(())
}

fn fault(report: &Value, checksum_errors: u64) -> Vec<String> {
    let Some(fault) = report.pointer("/faults/0") else {
        return vec!["nothing".to_owned()];
    };
    let field = |name: &str| plain(fault.get(name));
    let agree = if fault.get("hit").and_then(Value::as_u64) == Some(checksum_errors) {
        "as many: what was damaged arrived, and was refused"
    } else {
        "NOT as many"
    };
    vec![
        format!(
            "the TCP checksum of {} of {} segments to {} ({} %, asked for {} %)",
            field("hit"),
            field("seen"),
            plain(fault.pointer("/peers/0")),
            field("delivered_percent"),
            field("percent"),
        ),
        format!("the receiver's kernel counted {checksum_errors} wrong checksums: {agree}"),
        match fault.get("removed") {
            Some(Value::Bool(true)) => {
                "removed; the interface's offloads are as they were".to_owned()
            }
            _ => format!("NOT removed: {}", field("left_behind")),
        },
    ]
}

fn flows(report: &Value) -> Vec<String> {
    let none = Vec::new();
    let flows = report
        .get("flows")
        .and_then(Value::as_array)
        .unwrap_or(&none);
    let mut hit: Vec<(u64, &Value)> = flows
        .iter()
        .filter_map(|flow| Some((flow.get("segments")?.as_u64()?, flow)))
        .filter(|(segments, _)| *segments > 0)
        .collect();
    hit.sort_by_key(|(segments, _)| std::cmp::Reverse(*segments));
    if hit.is_empty() {
        return vec!["nobody: no flow retransmitted anything".to_owned()];
    }
    hit.into_iter()
        .flat_map(|(segments, flow)| describe(flow, segments))
        .collect()
}

fn describe(flow: &Value, segments: u64) -> Vec<String> {
    let end = |side: &str| {
        format!(
            "{}:{}",
            plain(flow.pointer(&format!("/{side}/address"))),
            plain(flow.pointer(&format!("/{side}/port")))
        )
    };
    // PostgreSQL's processes say in their titles which of them they are.
    let owner = ["/process/title", "/process/comm"]
        .iter()
        .find_map(|name| flow.pointer(name)?.as_str());
    let mut lines = Vec::new();
    if owner.is_some_and(|owner| owner.contains("walreceiver")) {
        lines.push(
            "the standby: its replies, \"flushed up to here\", for which commits wait".to_owned(),
        );
    }
    let process = owner
        .map(|name| format!("   {name}, pid {}", plain(flow.pointer("/process/pid"))))
        .unwrap_or_default();
    lines.push(format!("{} > {}{process}", end("local"), end("remote")));
    lines.push(format!("{segments:>6} segments, of these"));
    let mut kinds: Vec<(u64, &str, &str)> = KINDS
        .iter()
        .filter_map(|(field, words)| {
            let count = flow.pointer(&format!("/by_kind/{field}"))?.as_u64()?;
            (count > 0).then_some((count, *field, *words))
        })
        .collect();
    kinds.sort_by_key(|(count, ..)| std::cmp::Reverse(*count));
    lines.extend(
        kinds
            .iter()
            .map(|(count, field, words)| format!("{count:>6} {field:<11} {words}")),
    );
    let longest = flow.get("rto_max_ms").and_then(Value::as_f64);
    let doubled = flow.get("backoff_max").and_then(Value::as_u64);
    if let (Some(longest), Some(doubled @ 1..)) = (longest, doubled) {
        lines.push(format!(
            "its timeout doubled {doubled} times in a row, up to {}: each time, all that waits for it waited longer",
            format::milliseconds(longest)
        ));
    }
    lines
}

fn kernel(report: &Value) -> Vec<String> {
    let total = |name: &str| plain(report.pointer(&format!("/totals/{name}")));
    vec![format!(
        "tracer counted {}, the kernel's own RetransSegs grew by {}: difference {}",
        total("segments"),
        total("kernel_retrans_segs"),
        total("difference"),
    )]
}

/// How a figure is written.
type Cell = fn(&Figures) -> String;

fn clients(records: &[Record], phases: &Phases) -> Vec<String> {
    let mut header = format!("{:<26}", "");
    // Writing to a string cannot fail.
    for phase in &phases.0 {
        let _ = write!(header, "{:>12}", phase.name);
    }
    let mut lines = vec![header];
    let rows: [(&str, Cell); 8] = [
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
            let mut line = format!("{of:<8}{name:<18}");
            for figures in &figures {
                let _ = write!(line, "{:>12}", cell(figures));
            }
            lines.push(line);
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
    let end = phases.0.iter().find(|phase| phase.name == "fault")?.end;
    let writes = records.iter().find(|record| record.name == "writes")?;
    let first = writes.first_answer(end)?;
    Some(format!(
        "the first write was answered {} after the fault's end",
        format::time(&first)
    ))
}

fn latency(latency: Option<Duration>) -> String {
    latency.map_or_else(|| UNKNOWN.to_owned(), |it| format::time(&it))
}

fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => UNKNOWN.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if number.is_f64() => {
            format!("{:.1}", number.as_f64().unwrap_or_default())
        }
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use serde_json::json;

    use super::*;

    fn report() -> Value {
        json!({
            "flows": [
                {"segments": 0},
                {
                    "local": {"address": "10.0.10.3", "port": 41000},
                    "remote": {"address": "10.0.10.2", "port": 5432},
                    "process": {"pid": 7, "comm": "postgres", "title": "postgres: walreceiver"},
                    "segments": 12, "rto_max_ms": 6400.0, "backoff_max": 5,
                    "by_kind": {"tlp": 3, "rto": 9, "fast": 0}
                }
            ],
            "totals": {"segments": 12, "kernel_retrans_segs": 12, "difference": 0},
            "faults": [{"kind": "corrupt", "percent": 50, "peers": ["10.0.10.2"], "seen": 20,
                "hit": 10, "delivered_percent": 50.0, "removed": true}]
        })
    }

    #[test]
    fn a_report_is_told_in_sentences() {
        let phases =
            Phases::from_report(&json!({}), SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH)
                .unwrap();
        let text = render(&report(), &[], &phases, 10);
        for line in [
            "  the TCP checksum of 10 of 20 segments to 10.0.10.2 (50.0 %, asked for 50 %)",
            "  the receiver's kernel counted 10 wrong checksums: as many: what was damaged arrived, and was refused",
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
        for (pointer, broken) in [
            ("/totals/difference", json!(1)),
            ("/totals/difference", json!(null)),
            ("/faults/0/removed", json!(false)),
            ("/faults/0/hit", json!(null)),
        ] {
            let mut report = report();
            *report.pointer_mut(pointer).unwrap() = broken;
            assert!(verify(&report, 10).is_err(), "{pointer}");
        }
        let mut unharmed = report();
        unharmed["faults"][0]["hit"] = json!(0);
        assert!(verify(&unharmed, 0).is_err());
    }

    #[test]
    fn an_empty_report_invents_nothing() {
        let phases = Phases(Vec::new());
        let text = render(&json!({}), &[], &phases, 0);
        assert!(text.contains("no flow retransmitted"));
        assert!(text.contains("grew by –: difference –"));
    }
}
