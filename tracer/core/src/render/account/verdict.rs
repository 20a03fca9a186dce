//! All of it in a sentence.

use tracer_ebpf::RetransmitKind;

use crate::render::account::{flows, kinds};
use crate::render::aggregate;
use crate::render::verdict::confidence;
use crate::report::{ByKind, Report};
use crate::text::{counted, segments_were};

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
    // Of more flows than are listed, no single one says anything.
    let mut peers = report.by_peer.iter().filter(|one| one.peer.is_some());
    if let Some(peer) = peers.next().filter(|_| report.unlisted.is_some()) {
        let (kind, most) = leading(&peer.sums.by_kind);
        return format!(
            "{total} segments were retransmitted, {} of them to {}; {most} of these {}.",
            peer.sums.segments,
            aggregate::peer(peer),
            kinds::why(kind)
        );
    }
    let (kind, most) = leading(&flow.by_kind);
    format!(
        "{} retransmitted, {} of them on {}; {most} of these {}.",
        segments_were(total),
        flow.segments,
        flows::name(flow),
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
            counted(others as u64, "more finding"),
            counted(report.warnings.len() as u64, "warning")
        ));
    }
    lines
}

/// A time in UTC, to the second.
pub(crate) fn second(time: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::aggregate::{FlowSums, PeerSums, PortOf, UnlistedFlows};

    #[test]
    fn of_more_flows_than_are_listed_the_peer_is_named() {
        let mut report = Report::read(include_bytes!("../../../tests/data/db1.json")).unwrap();
        report.findings.clear();
        let alone = sentence(&report);
        assert!(alone.contains("10.0.10.3:"), "{alone}");
        report.unlisted = Some(UnlistedFlows::default());
        report.selected.segments = 700;
        report.by_peer = vec![PeerSums {
            peer: Some("10.0.10.9".parse().unwrap()),
            port: Some(2000),
            port_of: Some(PortOf::Peer),
            sums: FlowSums {
                segments: 600,
                by_kind: ByKind {
                    syn: 600,
                    ..ByKind::default()
                },
                ..FlowSums::default()
            },
        }];
        let together = sentence(&report);
        let begins =
            "700 segments were retransmitted, 600 of them to 10.0.10.9:2000; 600 of these ";
        assert!(together.starts_with(begins), "{together}");
    }
}
