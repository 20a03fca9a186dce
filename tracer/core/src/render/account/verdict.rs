//! All of it in a sentence.

use tracer_ebpf::RetransmitKind;

use crate::render::account::{flows, kinds};
use crate::render::verdict::confidence;
use crate::report::{ByKind, Report};

/// The weightiest finding; or else who retransmitted, and why.
pub(crate) fn sentence(report: &Report) -> String {
    if let Some(first) = report.findings.first() {
        return format!(
            "{} (confidence: {})",
            first.text,
            confidence(first.confidence)
        );
    }
    let total = report.selected.segments;
    let Some(flow) = report.flows.first().filter(|_| total > 0) else {
        return format!("Nothing was retransmitted to {}.", report.request.whom());
    };
    let (kind, most) = leading(&flow.by_kind);
    format!(
        "{} retransmitted {} of {total} segments, {most} of them {}.",
        flows::name(flow),
        flow.segments,
        kinds::why(kind)
    )
}

/// Where, when and what.
pub(crate) fn lead(report: &Report) -> Vec<String> {
    let host = &report.host;
    let window = &report.window;
    let place = match (host.name.as_str(), host.kernel.as_str()) {
        ("", "") => "recorded events".to_owned(),
        (name, kernel) => format!("{name}, Linux {kernel}"),
    };
    let mut lines = vec![format!(
        "{place}; {:.1} s from {} to {}; {}",
        window.duration_s,
        second(&window.start),
        second(&window.end),
        report.request.whom()
    )];
    let others = report.findings.len().saturating_sub(1);
    if others > 0 || !report.warnings.is_empty() {
        lines.push(format!(
            "Below: {}, {}.",
            counted(others, "more finding"),
            counted(report.warnings.len(), "warning")
        ));
    }
    lines
}

pub(crate) fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// A time in UTC, to the second.
fn second(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, _)) => format!("{} UTC", whole.replace('T', " ")),
        None => time.to_owned(),
    }
}

fn leading(by_kind: &ByKind) -> (RetransmitKind, u64) {
    let counts = by_kind.each();
    let first = counts.into_iter().max_by_key(|(_, count)| *count);
    first.unwrap_or((RetransmitKind::Other, 0))
}
