//! Whether what was to fail is so.

use crate::compare::condition::{Condition, ConditionError, ConditionOutcome};
use crate::compare::estimate::Estimate;
use crate::compare::metric::Metric;
use crate::compare::model::{
    ComparedFigure, ConditionReport, FindingChange, HostComparison, Subject,
};
use crate::report::phase::Name;

/// A figure, and the host that it is of.
type HostFigure<'a> = (Option<&'a str>, ComparedFigure);

/// Decides a condition by the figures of the whole run. Of several servers, standbys or peers
/// one suffices; `files` are what the two runs are called.
///
/// # Errors
/// If nothing that it names was measured in both.
pub(super) fn decide(
    condition: &Condition,
    hosts: &[HostComparison],
    findings: &[FindingChange],
    files: [&str; 2],
) -> Result<ConditionReport, ConditionError> {
    let figures = figures(condition.metric, hosts, findings);
    let decided = figures.iter().filter_map(|(host, figure)| {
        let outcome = condition.outcome(&figure.before?, &figure.after?);
        Some((outcome, *host, figure))
    });
    // Of those with one outcome the first.
    let mut decided: Vec<(ConditionOutcome, Option<&str>, &ComparedFigure)> = decided.collect();
    decided.reverse();
    let most = decided.into_iter().max_by_key(|(outcome, ..)| *outcome);
    let Some((outcome, host, figure)) = most else {
        return Err(ConditionError::NotMeasured {
            given: condition.to_string(),
            metric: condition.metric.to_string(),
            runs: missing(&figures, files),
            needs: condition.metric.needs(),
        });
    };
    Ok(ConditionReport {
        condition: condition.to_string(),
        outcome,
        host: host.map(str::to_owned),
        figure: figure.clone(),
    })
}

fn figures<'a>(
    metric: Metric,
    hosts: &'a [HostComparison],
    findings: &[FindingChange],
) -> Vec<HostFigure<'a>> {
    let count = |is: fn(&FindingChange) -> bool| {
        let some = findings.iter().filter(|one| is(one));
        Some(Estimate::exact(some.count() as u64))
    };
    let before = count(|one| one.text_before.is_some());
    let after = count(|one| one.text_after.is_some());
    let came = count(|one| one.text_before.is_none());
    let of_findings = match metric {
        Metric::Findings => Some([before, after]),
        Metric::FindingsCame => Some([Some(Estimate::exact(0)), came]),
        _ => None,
    };
    if let Some(both) = of_findings {
        let figure = ComparedFigure::new(metric, Subject::default(), both);
        return figure.into_iter().map(|figure| (None, figure)).collect();
    }
    let parts = hosts.iter().flat_map(|host| {
        let whole = host.parts.iter().filter(|part| part.part == Name::Whole);
        whole.map(move |part| (host.host.as_deref(), part))
    });
    let figures = parts.flat_map(|(host, part)| {
        let figures = part.figures.iter();
        let those = figures.filter(move |figure| figure.metric == metric);
        those.map(move |figure| (host, figure.clone()))
    });
    figures.collect()
}

/// In which of the files none of them was measured.
fn missing(figures: &[HostFigure<'_>], [before, after]: [&str; 2]) -> String {
    let is_before = figures.iter().any(|(_, figure)| figure.before.is_some());
    let is_after = figures.iter().any(|(_, figure)| figure.after.is_some());
    match (is_before, is_after) {
        (true, true) => "both files of the same server, standby or peer".to_owned(),
        (true, false) => after.to_owned(),
        (false, true) => before.to_owned(),
        (false, false) => format!("{before} or {after}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::metric::{Quantile, Timed};
    use crate::compare::model::{Fate, PartComparison};
    use crate::report::finding::{Cause, Confidence};

    const FILES: [&str; 2] = ["before.json", "after.json"];

    fn exactly(value: f64) -> Option<Estimate> {
        Some(Estimate {
            value,
            at_least: value,
            at_most: Some(value),
            count: 1,
        })
    }

    /// A host whose servers took so long for a commit, before and after.
    fn host(label: &str, p99: &[[Option<Estimate>; 2]]) -> HostComparison {
        let figures = p99.iter().enumerate().filter_map(|(at, both)| {
            let of = Subject {
                server: Some(format!("port {at}")),
                ..Subject::default()
            };
            ComparedFigure::new(Metric::Took(Timed::Commit, Quantile::P99), of, *both)
        });
        HostComparison {
            host: Some(label.to_owned()),
            parts: vec![PartComparison {
                part: Name::Whole,
                before_s: 1.0,
                after_s: 1.0,
                figures: figures.collect(),
            }],
            lone_phases: Vec::new(),
        }
    }

    fn finding(before: bool, after: bool) -> FindingChange {
        let text = |is: bool| is.then(|| "It was slow.".to_owned());
        FindingChange {
            fate: Fate::Stayed,
            host: None,
            cause: Cause::WalFlush,
            confidence_before: before.then_some(Confidence::High),
            confidence_after: after.then_some(Confidence::High),
            text_before: text(before),
            text_after: text(after),
        }
    }

    fn decided(text: &str, hosts: &[HostComparison]) -> Result<ConditionReport, ConditionError> {
        decide(&text.parse().unwrap(), hosts, &[], FILES)
    }

    #[test]
    fn one_server_for_which_it_is_so_suffices() {
        let hosts = [
            host("db1", &[[exactly(1.0), exactly(1.0)]]),
            host(
                "db2",
                &[
                    [exactly(1.0), exactly(2.0)],
                    [exactly(1.0), exactly(3.0)],
                    [None, exactly(9.0)],
                ],
            ),
        ];
        let met = decided("commits.p99 > +20%", &hosts).unwrap();
        assert_eq!(met.outcome, ConditionOutcome::Met);
        assert_eq!(met.host.as_deref(), Some("db2"));
        assert_eq!(met.figure.of.server.as_deref(), Some("port 0"));
        let not = decided("commits.p99 > +500%", &hosts).unwrap();
        assert_eq!(not.outcome, ConditionOutcome::NotMet);
        assert_eq!(not.host.as_deref(), Some("db1"));
    }

    #[test]
    fn what_was_not_measured_in_one_file_is_an_error_that_names_it() {
        let said = |hosts: &[HostComparison]| {
            let error = decided("commits.p99 > +20%", hosts).unwrap_err();
            error.to_string()
        };
        for (both, words) in [
            (
                [None, exactly(1.0)],
                "not measured in before.json: it takes",
            ),
            ([exactly(1.0), None], "not measured in after.json: it takes"),
            ([None, None], "not measured in before.json or after.json"),
        ] {
            let line = said(&[host("db1", &[both])]);
            assert!(line.contains(words), "{line}");
            assert!(line.contains("--commits"), "{line}");
        }
        let apart = [
            host("db1", &[[None, exactly(1.0)]]),
            host("db2", &[[exactly(1.0), None]]),
        ];
        assert!(
            said(&apart).contains("of the same server"),
            "{}",
            said(&apart)
        );
    }

    #[test]
    fn findings_are_counted() {
        let findings = [
            finding(true, true),
            finding(false, true),
            finding(true, false),
        ];
        let outcome = |text: &str| {
            let condition = text.parse().unwrap();
            decide(&condition, &[], &findings, FILES).unwrap().outcome
        };
        for (text, expected) in [
            ("findings > 1", ConditionOutcome::Met),
            ("findings > +0", ConditionOutcome::NotMet),
            ("findings.came > 0", ConditionOutcome::Met),
            ("findings.came > 1", ConditionOutcome::NotMet),
        ] {
            assert_eq!(outcome(text), expected, "{text}");
        }
    }
}
