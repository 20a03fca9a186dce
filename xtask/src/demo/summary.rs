//! The demo's outcome, as a person reads it.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::phase::Phases;
use super::record::{Figures, Record, milliseconds};

/// What was not measured. Never a zero.
const UNKNOWN: &str = "–";

/// Kinds of retransmits by their field in the report, in words.
const KINDS: [(&str, &str); 8] = [
    ("rto", "after a timeout"),
    ("tlp", "as tail loss probes"),
    ("fast", "as fast retransmits"),
    ("rack", "by RACK"),
    ("slow_start", "in slow start after a timeout"),
    ("syn", "as SYN"),
    ("synack", "as SYN-ACK"),
    ("other", "of other kinds"),
];

/// `checksum_errors` is what the receiver's TCP counted during the run.
pub(super) fn render(
    report: &Value,
    records: &[Record],
    phases: &Phases,
    checksum_errors: u64,
) -> String {
    let mut text = String::from("\nWhat happened\n");
    // Writing to a string cannot fail.
    for line in flows(report)
        .iter()
        .chain([&kernel(report), &fault(report, checksum_errors)])
    {
        let _ = writeln!(text, "  {line}");
    }
    text.push('\n');
    text + &table(records, phases)
}

fn flows(report: &Value) -> Vec<String> {
    let none = Vec::new();
    let flows = report
        .get("flows")
        .and_then(Value::as_array)
        .unwrap_or(&none);
    let mut hit: Vec<(u64, String)> = flows
        .iter()
        .filter_map(|flow| Some((flow.get("segments")?.as_u64()?, flow)))
        .filter(|(segments, _)| *segments > 0)
        .map(|(segments, flow)| (segments, describe(flow, segments)))
        .collect();
    hit.sort_by_key(|(segments, _)| std::cmp::Reverse(*segments));
    if hit.is_empty() {
        return vec!["no flow retransmitted anything".to_owned()];
    }
    hit.into_iter().map(|(_, line)| line).collect()
}

fn describe(flow: &Value, segments: u64) -> String {
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
        .find_map(|name| flow.pointer(name)?.as_str())
        .map(|name| format!(" ({name}, pid {})", plain(flow.pointer("/process/pid"))))
        .unwrap_or_default();
    let kinds: Vec<String> = KINDS
        .iter()
        .filter_map(|(field, words)| {
            let count = flow.pointer(&format!("/by_kind/{field}"))?.as_u64()?;
            (count > 0).then(|| format!("{count} {words}"))
        })
        .collect();
    let timeout = flow
        .get("rto_max_ms")
        .and_then(Value::as_f64)
        .map(|longest| format!("; longest timeout {longest:.0} ms"))
        .unwrap_or_default();
    format!(
        "{} → {}{owner} sent {segments} segments again: {}{timeout}",
        end("local"),
        end("remote"),
        kinds.join(", "),
    )
}

fn kernel(report: &Value) -> String {
    let total = |name: &str| plain(report.pointer(&format!("/totals/{name}")));
    format!(
        "counted {} segments in all; the kernel's own RetransSegs grew by {} (difference {}); {} events lost",
        total("segments"),
        total("kernel_retrans_segs"),
        total("difference"),
        total("lost_events"),
    )
}

fn fault(report: &Value, checksum_errors: u64) -> String {
    let Some(fault) = report.pointer("/faults/0") else {
        return "no fault was injected".to_owned();
    };
    let field = |name: &str| plain(fault.get(name));
    format!(
        "fault {} {} %: {} of {} segments damaged ({} %); the receiver refused {checksum_errors} for their checksum; removed: {}",
        field("kind"),
        field("percent"),
        field("hit"),
        field("seen"),
        field("delivered_percent"),
        field("removed"),
    )
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

/// How a figure is written.
type Cell = fn(&Figures) -> String;

fn table(records: &[Record], phases: &Phases) -> String {
    let mut text = format!("  {:<22}", "");
    let figures: Vec<Vec<Figures>> = records
        .iter()
        .map(|record| phases.0.iter().map(|phase| record.figures(phase)).collect())
        .collect();
    // Writing to a string cannot fail.
    for phase in &phases.0 {
        let _ = write!(text, "{:>12}", phase.name);
    }
    for (record, figures) in records.iter().zip(&figures) {
        let rows: [(&str, Cell); 5] = [
            ("answered/s", |figures| format!("{:.1}", figures.per_second)),
            ("failed", |figures| figures.failed.to_string()),
            ("p50 ms", |figures| latency(figures.p50)),
            ("p99 ms", |figures| latency(figures.p99)),
            ("max ms", |figures| latency(figures.max)),
        ];
        for (name, cell) in rows {
            let _ = write!(text, "\n  {:<22}", format!("{} {name}", record.name));
            for figures in figures {
                let _ = write!(text, "{:>12}", cell(figures));
            }
        }
    }
    text + "\n"
}

fn latency(latency: Option<Duration>) -> String {
    latency.map_or_else(
        || UNKNOWN.to_owned(),
        |latency| format!("{:.1}", milliseconds(latency)),
    )
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_is_told_in_sentences() {
        let report = json!({
            "flows": [
                {"segments": 0},
                {
                    "local": {"address": "10.0.10.3", "port": 41000},
                    "remote": {"address": "10.0.10.2", "port": 5432},
                    "process": {"pid": 7, "comm": "postgres"},
                    "segments": 12, "rto_max_ms": 6400,
                    "by_kind": {"rto": 9, "tlp": 3, "fast": 0}
                }
            ],
            "totals": {"segments": 12, "kernel_retrans_segs": 12, "difference": 0, "lost_events": null},
            "faults": [{"kind": "corrupt", "percent": 50, "seen": 20, "hit": 10,
                "delivered_percent": 50.0, "removed": true}]
        });
        let phases =
            Phases::from_report(&json!({}), SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH)
                .unwrap();
        let text = render(&report, &[], &phases, 10);
        assert!(text.contains(
            "10.0.10.3:41000 → 10.0.10.2:5432 (postgres, pid 7) sent 12 segments again: \
             9 after a timeout, 3 as tail loss probes; longest timeout 6400 ms"
        ));
        assert!(text.contains("grew by 12 (difference 0); – events lost"));
        assert!(text.contains("10 of 20 segments damaged (50.0 %); the receiver refused 10"));
    }

    #[test]
    fn an_empty_report_invents_nothing() {
        let phases = Phases(Vec::new());
        let text = render(&json!({}), &[], &phases, 0);
        assert!(text.contains("no flow retransmitted"));
        assert!(text.contains("grew by – (difference –)"));
    }
}
