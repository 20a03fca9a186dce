//! Findings that came, stayed and went.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::compare::file::ComparedFile;
use crate::compare::model::{Fate, FindingChange};
use crate::compare::pairing::pairs;
use crate::report::finding::Finding;

/// A finding, and what it is about.
#[derive(Debug)]
struct ListedFinding<'a> {
    host: Option<&'a str>,
    finding: &'a Finding,
    /// The peers of the flows that it names as its evidence.
    peers: BTreeSet<IpAddr>,
}

/// Those of the run after in their order, then those that went. Of one cause, one is the same
/// that is of the same host and about the same peers; if that is several, the one that says the
/// same; or that alone is left.
pub(super) fn findings(before: &ComparedFile, after: &ComparedFile) -> Vec<FindingChange> {
    let [listed_before, listed_after] = [before, after].map(listed);
    let [before, after]: [Vec<&ListedFinding<'_>>; 2] =
        [&listed_before, &listed_after].map(|all| all.iter().collect());
    let same_cause = |one: &ListedFinding<'_>, other: &ListedFinding<'_>| {
        one.finding.cause == other.finding.cause
    };
    let same_host = |one: &ListedFinding<'_>, other: &ListedFinding<'_>| {
        same_cause(one, other) && one.host == other.host
    };
    let same_peers = |one: &ListedFinding<'_>, other: &ListedFinding<'_>| {
        same_host(one, other) && one.peers == other.peers
    };
    let same_text = |one: &ListedFinding<'_>, other: &ListedFinding<'_>| {
        same_host(one, other) && one.finding.text == other.finding.text
    };
    let same_words = |one: &ListedFinding<'_>, other: &ListedFinding<'_>| {
        same_peers(one, other) && same_text(one, other)
    };
    // Those of the run after are named in their order.
    let found = pairs(
        &after,
        &before,
        &[
            &same_words,
            &same_peers,
            &same_text,
            &same_host,
            &same_cause,
        ],
    );
    let changes = found.into_iter().filter_map(|pair| {
        let [after, before] = pair;
        let (fate, named) = match (before, after) {
            (None, Some(after)) => (Fate::Came, after),
            (Some(_), Some(after)) => (Fate::Stayed, after),
            (Some(before), None) => (Fate::Went, before),
            (None, None) => return None,
        };
        Some(FindingChange {
            fate,
            host: named.host.map(str::to_owned),
            cause: named.finding.cause,
            confidence_before: before.map(|one| one.finding.confidence),
            confidence_after: after.map(|one| one.finding.confidence),
            text_before: before.map(|one| one.finding.text.clone()),
            text_after: after.map(|one| one.finding.text.clone()),
        })
    });
    changes.collect()
}

fn listed(file: &ComparedFile) -> Vec<ListedFinding<'_>> {
    let findings = file.findings().into_iter();
    let findings = findings.map(|(host, finding)| ListedFinding {
        host,
        finding,
        peers: peers(file, finding),
    });
    findings.collect()
}

fn peers(file: &ComparedFile, finding: &Finding) -> BTreeSet<IpAddr> {
    let flows = finding.evidence.iter().filter_map(|pointer| {
        let (report, flow) = flow_at(pointer)?;
        let (_, report) = file.hosts().into_iter().nth(report)?;
        report.flows.get(flow).map(|flow| flow.remote.address)
    });
    flows.collect()
}

/// Which report's flow a pointer leads to, or into.
fn flow_at(pointer: &str) -> Option<(usize, usize)> {
    let parts: Vec<&str> = pointer.split('/').collect();
    match parts.as_slice() {
        ["", "flows", flow, ..] => Some((0, flow.parse().ok()?)),
        ["", "reports", report, "flows", flow, ..] => {
            Some((report.parse().ok()?, flow.parse().ok()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;
    use crate::report::finding::{Cause, Confidence, Size};

    fn finding(cause: Cause, confidence: Confidence, evidence: &str) -> Finding {
        Finding {
            text: format!("{cause:?} by {evidence}"),
            cause,
            confidence,
            size: Size::default(),
            evidence: vec![evidence.to_owned()],
        }
    }

    /// A report with flows to 10.0.10.3 and 10.0.10.4, in this order or the other.
    fn file(findings: &[Finding], turned: bool) -> ComparedFile {
        let mut report = Report::read(include_bytes!("../../tests/data/db1.json")).unwrap();
        let mut other = report.flows[0].clone();
        other.remote.address = "10.0.10.4".parse().unwrap();
        report.flows.push(other);
        if turned {
            report.flows.reverse();
        }
        report.findings = findings.to_vec();
        ComparedFile::Report(Box::new(report))
    }

    fn fates(before: &ComparedFile, after: &ComparedFile) -> Vec<(Fate, Cause)> {
        let changes = findings(before, after).into_iter();
        changes.map(|one| (one.fate, one.cause)).collect()
    }

    #[test]
    fn findings_come_stay_and_go_by_their_cause() {
        use Confidence::{High, Low, Medium};
        let before = file(
            &[
                finding(Cause::WalFlush, High, "/commits/slow"),
                finding(Cause::LockWaits, Low, "/postgres/series"),
            ],
            false,
        );
        let after = file(
            &[
                finding(Cause::Partition, Medium, "/flows/0/path"),
                finding(Cause::LockWaits, High, "/postgres/series/3"),
            ],
            false,
        );
        let found = findings(&before, &after);
        let told: Vec<_> = found
            .iter()
            .map(|one| {
                let confidence = (one.confidence_before, one.confidence_after);
                (one.fate, one.cause, confidence)
            })
            .collect();
        assert_eq!(
            told,
            [
                (Fate::Came, Cause::Partition, (None, Some(Medium))),
                (Fate::Stayed, Cause::LockWaits, (Some(Low), Some(High))),
                (Fate::Went, Cause::WalFlush, (Some(High), None)),
            ]
        );
        assert_eq!(found[2].text_after, None);
        let texts = (&found[1].text_before, &found[1].text_after);
        assert!(texts.0.is_some() && texts.1.is_some() && texts.0 != texts.1);
    }

    #[test]
    fn two_of_one_cause_are_told_apart_by_the_standby() {
        use Confidence::High;
        let of = |flow: usize| {
            let evidence = format!("/flows/{flow}/by_kind/rto");
            finding(Cause::LossTowardStandby, High, &evidence)
        };
        let both = file(&[of(0), of(1)], false);
        // The same flows, and their places exchanged.
        let turned = file(&[of(0), of(1)], true);
        let found = findings(&both, &turned);
        assert_eq!(found.len(), 2, "{found:?}");
        for one in &found {
            assert_eq!(one.fate, Fate::Stayed, "{one:?}");
            assert_ne!(one.text_before, one.text_after, "{one:?}");
        }
        // The second standby's went, and the first's stayed.
        let second = file(&[of(1)], false);
        let first_alone = file(&[of(1)], true);
        let lost = Cause::LossTowardStandby;
        assert_eq!(
            fates(&both, &first_alone),
            [(Fate::Stayed, lost), (Fate::Went, lost)]
        );
        // One alone on either side is taken for the same.
        assert_eq!(fates(&second, &first_alone), [(Fate::Stayed, lost)]);
    }

    #[test]
    fn pointers_lead_to_flows_of_either_report() {
        assert_eq!(flow_at("/flows/3/series"), Some((0, 3)));
        assert_eq!(flow_at("/flows/3"), Some((0, 3)));
        assert_eq!(flow_at("/reports/1/flows/2/path"), Some((1, 2)));
        for other in ["", "/flows", "/flows/x", "/commits/slow", "flows/3"] {
            assert_eq!(flow_at(other), None, "{other}");
        }
    }
}
